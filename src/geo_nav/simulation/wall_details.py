"""What a wall has that is seen from the street: frames, sills, shutters, a door, downpipes, soot under the eaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.noise import Raster
from geo_nav.simulation.town import Building

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FLOOR = 2.9
"""Height of a storey, m."""
WINDOW = np.array([0.21, 0.24, 0.28])
_SILL, _TOP = 0.0, 1.35
_FRAMES = np.array([[0.90, 0.90, 0.88], [0.86, 0.85, 0.80], [0.36, 0.25, 0.17], [0.30, 0.31, 0.33]])
_SHUTTERS = np.array([[0.22, 0.33, 0.25], [0.36, 0.24, 0.17], [0.45, 0.19, 0.16], [0.28, 0.34, 0.43]])
_DOORS = np.array([[0.36, 0.24, 0.16], [0.20, 0.30, 0.24], [0.45, 0.44, 0.42], [0.26, 0.18, 0.14], [0.80, 0.79, 0.76]])
_STONE = np.array([0.62, 0.60, 0.56])
_ZINC = np.array([0.52, 0.53, 0.54])


@dataclass(frozen=True, eq=False)
class Openings:
    """Where a wall has its windows.

    Attributes:
        across: (w,) places of the picture's columns along the wall, m.
        up: (h,) heights of its rows over the building's ground, m.
        rows: (h,) whether a row runs through windows.
        columns: (w,) whether a column does.
        pitch: spacing of the windows, m.
        half_window: half of their width, m.
    """

    across: Array
    up: Array
    rows: Mask
    columns: Mask
    pitch: float
    half_window: float


def add_details(colour: Raster, building: Building, side: int, at: Openings) -> None:
    """Draws the details into a wall (h, w, 3) sRGB 0…1 in place; they are the building's own, alike in all epochs."""
    own = np.random.default_rng([building.seed, 300 + side])
    house = np.random.default_rng([building.seed, 310])
    frame, shutter = _FRAMES[house.integers(len(_FRAMES))], _SHUTTERS[house.integers(len(_SHUTTERS))]
    with_shutters, with_sills = house.random() < 0.4, house.random() < 0.8
    door = _DOORS[house.integers(len(_DOORS))]
    _weather(colour, building, at, own)
    if building.eaves > 2.8:
        middle = at.across[-1] / 2
        offset = (at.across - middle + at.pitch / 2) % at.pitch - at.pitch / 2
        storey = (at.up - 0.9) % FLOOR
        _panes(colour, at, storey, own)
        w = at.half_window
        outer = at.columns & (np.abs(offset) > w - 0.07)
        bars = outer | (at.columns & (np.abs(offset) < 0.035))
        colour[at.rows[:, None] & bars[None, :]] = frame
        lintel = at.rows & ((storey < _SILL + 0.07) | (storey > _TOP - 0.07) | (np.abs(storey - 1.0) < 0.03))
        colour[lintel[:, None] & at.columns[None, :]] = frame
        inside = (at.across > 0.8) & (at.across < at.across[-1] - 0.8)
        if with_shutters and at.pitch > 2 * w + 0.9:
            wings = inside & (np.abs(offset) > w + 0.03) & (np.abs(offset) < w + 0.42)
            slats = 0.85 + 0.15 * (np.floor(at.up / 0.07) % 2)
            mask = at.rows[:, None] & wings[None, :]
            colour[mask] = (slats[:, None, None] * np.broadcast_to(shutter, colour.shape))[mask]
        if with_sills:
            near = at.up < building.eaves - 0.3 - _TOP
            sills = near & (at.up > 0.5) & (storey > FLOOR - 0.09)
            ledge = inside & (np.abs(offset) < w + 0.08)
            colour[sills[:, None] & ledge[None, :]] = _STONE
            below = near & (at.up > 0.5) & (storey > FLOOR - 0.2) & (storey <= FLOOR - 0.09)
            colour[below[:, None] & ledge[None, :]] *= 0.72
    if side % 2 == 0 and at.across[-1] > 5.0:
        _door(colour, at, own, door, building.eaves < 2.8)
    for place in (0.22, at.across[-1] - 0.22):
        pipe = np.abs(at.across - place) < 0.05
        colour[(at.up < building.eaves)[:, None] & pipe[None, :]] = _ZINC


def _weather(colour: Raster, building: Building, at: Openings, own: np.random.Generator) -> None:
    """Soot under the eaves, damp over the ground, streaks of rain, a plinth."""
    tone = 1.0 - 0.30 * np.exp(-np.abs(building.eaves - at.up) / 0.35) - 0.18 * np.exp(-np.maximum(at.up, 0.0) / 0.5)
    streaks = np.interp(at.across, np.linspace(0.0, at.across[-1], 24), own.normal(0.0, 0.02, 24))
    colour *= (tone[:, None] * (1.0 + streaks[None, :])).astype(np.float32)[..., None]
    colour[at.up < 0.45] = colour[at.up < 0.45] * 0.4 + 0.6 * 0.8 * _STONE.astype(np.float32)


def _panes(colour: Raster, at: Openings, storey: Array, own: np.random.Generator) -> None:
    """Every window its own glass: the sky in some, curtains in others."""
    column = np.floor((at.across - at.across[-1] / 2 + at.pitch / 2) / at.pitch).astype(int)
    row = np.floor((at.up - 0.9) / FLOOR).astype(int)
    column -= column.min()
    row -= row.min()
    shape = (row.max() + 1, column.max() + 1)
    tone, sky = own.uniform(0.6, 1.3, shape), own.uniform(0.0, 0.5, shape)
    curtain = np.where(own.random(shape) < 0.35, own.uniform(0.3, 0.9, shape), 0.0)
    index = np.ix_(row, column)
    share = np.clip(storey / _TOP, 0.0, 1.0)[:, None, None]
    glass = WINDOW * tone[index][..., None] + np.array([0.30, 0.36, 0.42]) * sky[index][..., None] * share
    drawn = curtain[index][..., None] * (share > 0.25)
    glass = glass * (1.0 - 0.75 * drawn) + 0.75 * drawn * np.array([0.72, 0.70, 0.66])
    mask = at.rows[:, None] & at.columns[None, :]
    colour[mask] = glass[mask]


def _door(colour: Raster, at: Openings, own: np.random.Generator, tone: Array, garage: bool) -> None:
    half, top = (1.25, 2.15) if garage else (0.52, 2.2)
    place = own.uniform(half + 0.6, at.across[-1] - half - 0.6)
    offset = np.abs(at.across - place)
    surround = (at.up < top + 0.14)[:, None] & (offset < half + 0.14)[None, :]
    colour[surround] = _STONE
    leaf = (at.up < top)[:, None] & (offset < half)[None, :]
    panels = 0.88 + 0.12 * (np.floor(at.up / (0.25 if garage else 0.7)) % 2)
    colour[leaf] = (panels[:, None, None] * np.broadcast_to(tone, colour.shape))[leaf]
    if not garage:
        light = ((at.up > 1.5) & (at.up < 2.0))[:, None] & (offset < half - 0.15)[None, :]
        colour[light] = WINDOW
