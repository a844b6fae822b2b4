"""Pictures of roofs and walls: what a building keeps comes from its own seed, the grain from the epoch's."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from geo_nav.simulation.epochs import Epoch
from geo_nav.simulation.noise import Raster, fractal_noise, sample
from geo_nav.simulation.palette import SNOW, roof_colour, wall_colour
from geo_nav.simulation.surface import CELL_SIZE
from geo_nav.simulation.town import Building, rotation
from geo_nav.simulation.wall_details import FLOOR, WINDOW, Openings, add_details

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

OVERHANG = 0.4
"""Of the eaves, m."""
_SKYLIGHT = np.array([0.20, 0.25, 0.31])
_PANEL = np.array([0.13, 0.16, 0.24])


def lit(colour: Raster, epoch: Epoch, normal: Array, shadow: Raster | float) -> Image:
    """Colours (h, w, 3) sRGB 0…1 of a plane with that normal, in the epoch's light, as uint8."""
    cosine = max(float(normal @ epoch.sun), 0.0)
    shade = np.full(colour.shape[:2], cosine, np.float32)
    light = epoch.light(shade, np.broadcast_to(np.asarray(shadow, np.float32), shade.shape))
    return np.asarray(np.clip(np.sqrt(np.square(np.maximum(colour, 0.0)) * light) * 255.0 + 0.5, 0, 255), np.uint8)


def roof_planes(building: Building) -> list[tuple[Array, Array]]:
    """(polygon (N, 3) in the building's axes over its ground, unit normal in those axes) of every roof plane."""
    a, b, e, r = building.length / 2 + OVERHANG, building.width / 2 + OVERHANG, building.eaves, building.ridge
    if building.roof == "flat":
        return [(np.array([[-a, -b, e], [a, -b, e], [a, b, e], [-a, b, e]]), np.array([0.0, 0.0, 1.0]))]
    low, top = e - OVERHANG * r / (building.width / 2), e + r
    g = building.length / 2 - building.width / 2 if building.roof == "hip" else a
    slope = np.array([0.0, -r, building.width / 2]) / np.hypot(r, building.width / 2)
    sides = [
        (np.array([[-a, -b, low], [a, -b, low], [g, 0, top], [-g, 0, top]]), slope),
        (np.array([[a, b, low], [-a, b, low], [-g, 0, top], [g, 0, top]]), slope * [1, -1, 1]),
    ]
    if building.roof == "hip":
        end = slope[[1, 0, 2]]
        sides += [
            (np.array([[-a, b, low], [-a, -b, low], [-g, 0, top]]), end),
            (np.array([[a, -b, low], [a, b, low], [g, 0, top]]), end * [-1, 1, 1]),
        ]
    return sides


def roof_picture(building: Building, epoch: Epoch, resolution: float, shadow: Raster, size: float) -> Image:
    """A roof seen from above, in the building's axes: columns along its length, row 0 on the far side.

    Args:
        building: whose roof.
        epoch: light and grain.
        resolution: pixel, m.
        shadow: of the whole site, cells of :data:`~geo_nav.simulation.surface.CELL_SIZE`.
        size: side of the site, m.
    """
    own = np.random.default_rng(building.seed)
    now = np.random.default_rng([building.seed, epoch.index])
    length, width = building.length + 2 * OVERHANG, building.width + 2 * OVERHANG
    shape = (max(4, round(width / resolution)), max(4, round(length / resolution)))
    along = (np.arange(shape[1]) + 0.5) / shape[1] * length - length / 2
    across = width / 2 - (np.arange(shape[0]) + 0.5) / shape[0] * width
    colour = _roof_surface(building, shape, own, now, resolution, epoch.snow)
    for place, extent, tone in _roof_details(building, own):
        columns = np.abs(along - place[0]) < extent[0] / 2
        rows = np.abs(across - place[1]) < extent[1] / 2
        inside = rows[:, None] & columns[None, :]
        colour[inside] = tone
    u, v = np.meshgrid(along, across)
    east, north = np.moveaxis(np.stack([u, v], axis=-1) @ rotation(building.angle).T + building.centre, -1, 0)
    cast = 0.85 * sample(
        shadow, (east / CELL_SIZE - 0.5).astype(np.float32), ((size - north) / CELL_SIZE - 0.5).astype(np.float32)
    )
    picture = np.zeros((*shape, 3), np.uint8)
    turn = np.eye(3)
    turn[:2, :2] = rotation(building.angle)
    for polygon, normal in roof_planes(building):
        mask = np.zeros(shape, np.uint8)
        pixels = np.column_stack(
            [(polygon[:, 0] / length + 0.5) * shape[1] - 0.5, (0.5 - polygon[:, 1] / width) * shape[0] - 0.5]
        )
        cv2.fillConvexPoly(mask, np.round(pixels).astype(np.int32), (1,))
        picture[mask > 0] = lit(colour, epoch, turn @ normal, cast)[mask > 0]
    return picture


def _roof_surface(
    building: Building,
    shape: tuple[int, int],
    own: np.random.Generator,
    now: np.random.Generator,
    resolution: float,
    snow: float,
) -> Raster:
    # Weathering is drawn on a fixed grid, so that both epochs have the same at any resolution.
    stains = cv2.resize(own.standard_normal((8, 8), np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    grain = fractal_noise(now, shape, (1.0, 0.9 / resolution), (1.0, 0.7))
    tone = 1.0 + 0.05 * stains + 0.05 * grain
    if building.roof == "flat":
        seams = np.floor((np.arange(shape[1]) * resolution) / 3.0).astype(int)
        tone = tone * (1.0 + 0.04 * own.standard_normal(64))[seams % 64][None, :].astype(np.float32)
    out: Raster = (roof_colour(building).astype(np.float32) * tone[..., None]).astype(np.float32)
    if building.roof != "flat":
        middle = shape[0] // 2
        out[middle : middle + 1] *= 1.12
    if snow:
        # Roofs differ in how well they are insulated, and so in how much of it has melted.
        melt = ndtri(snow) + 0.9 * now.standard_normal() + (0.25 * stains if building.roof != "flat" else 0.4)
        cover = np.clip(0.5 + 0.8 * melt, 0.0, 1.0).astype(np.float32)[..., None]
        out += cover * (SNOW.astype(np.float32) * (1.0 + 0.02 * grain[..., None]) - out)
    return out


def _roof_details(building: Building, own: np.random.Generator) -> list[tuple[Array, Array, Array]]:
    """Place and extent (m, in the building's axes) and colour of what is on a roof."""
    half = np.array([building.length, building.width]) / 2
    details = []
    if building.roof == "flat":
        for _ in range(int(own.integers(1, 5)) if building.width > 8.0 else 0):
            tone = np.full(3, own.uniform(0.45, 0.85))
            details.append((own.uniform(-0.75, 0.75, 2) * half, own.uniform(0.8, 2.6, 2), tone))
    for _ in range(building.skylights):
        place = own.uniform(-0.75, 0.75, 2) * half
        if abs(place[1]) > 1.0:
            details.append((place, np.array([0.9, 1.2]), _SKYLIGHT))
    if building.solar:
        # The slope whose normal looks more to the south.
        south = -1.0 if np.cos(building.angle) > 0 else 1.0
        place = np.array([own.uniform(-0.3, 0.3), 0.5 * south]) * half
        details.append((place, np.array([1.0, 0.5]) * half, _PANEL))
    if building.roof != "flat" and building.eaves > 3.5:
        details.append((np.array(building.chimney) * half, np.array([0.9, 0.7]), np.array([0.35, 0.30, 0.28])))
    return details


def wall_picture(
    building: Building, side: int, epoch: Epoch, resolution: float, height: float, detailed: bool = False
) -> Image:
    """A wall seen from outside, from ``height`` m above the building's ground down to :data:`FOOTING` below it.

    Args:
        building: whose wall.
        side: 0 … 3, counter-clockwise from the one at -width/2.
        epoch: light and grain.
        resolution: pixel, m.
        height: of the picture's upper edge, m.
        detailed: with all that is seen from the street, see :func:`~geo_nav.simulation.wall_details.add_details`.
    """
    own = np.random.default_rng([building.seed, 100 + side])
    now = np.random.default_rng([building.seed, 200 + side, epoch.index])
    length = building.length if side % 2 == 0 else building.width
    shape = (max(4, round((height + FOOTING) / resolution)), max(4, round(length / resolution)))
    tone = 1.0 + 0.04 * fractal_noise(now, shape, (1.0, 1.2 / resolution), (1.0, 0.7))
    colour = (wall_colour(building).astype(np.float32) * tone[..., None]).astype(np.float32)
    up = height - (np.arange(shape[0]) + 0.5) / shape[0] * (height + FOOTING)
    across = (np.arange(shape[1]) + 0.5) / shape[1] * length
    colour[up < 0.5] *= 0.8
    pitch = own.uniform(2.3, 3.2)
    half_window = own.uniform(0.5, 0.7)
    columns = np.abs((across - length / 2 + pitch / 2) % pitch - pitch / 2) < half_window
    columns &= (across > 0.8) & (across < length - 0.8)
    storey = (up - 0.9) % FLOOR
    rows = (storey < 1.35) & (up > 0.9) & (up < building.eaves - 0.3)
    if building.eaves > 2.8:
        colour[rows[:, None] & columns[None, :]] = WINDOW
    if detailed:
        add_details(colour, building, side, Openings(across, up, rows, columns, pitch, half_window))
    outward = rotation(building.angle) @ [(0, -1), (1, 0), (0, 1), (-1, 0)][side]
    return lit(colour, epoch, np.array([*outward, 0.0]), 0.0)


FOOTING = 2.5
"""Walls go this far below the lowest ground at the building, m."""
