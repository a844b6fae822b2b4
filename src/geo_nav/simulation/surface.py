"""Height rasters of a world, and the sun on them: shading and cast shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.simulation.epochs import Epoch
from geo_nav.simulation.noise import Raster, fractal_noise
from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.town import Building, Vehicle, rotation
from geo_nav.simulation.trees import CONIFER, SHRUB

Array = npt.NDArray[np.float64]

CELL_SIZE = 0.5
"""Cell of the height rasters, m."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Rasters of what does not change between the epochs; row 0 in the north, cells of :data:`CELL_SIZE`.

    Attributes:
        ground: bare earth, m above the ellipsoid.
        canopy: height of trees over the ground, m.
        tree_kind: uint8, kind + 1 of the tree that covers the cell, 0 where there is none.
        tree_tint: -1…1.
    """

    ground: Raster
    canopy: Raster
    tree_kind: npt.NDArray[np.uint8]
    tree_tint: Raster


def cell_range(centre: Array, radius: float, size: float, cell: float, cells: int) -> tuple[int, int, int, int]:
    """Rows and columns (r0, r1, c0, c1) of the cells within ``radius`` metres of a place; empty when outside."""
    c0 = max(int((centre[0] - radius) / cell), 0)
    c1 = min(int((centre[0] + radius) / cell) + 1, cells)
    r0 = max(int((size - centre[1] - radius) / cell), 0)
    r1 = min(int((size - centre[1] + radius) / cell) + 1, cells)
    return r0, max(r1, r0), c0, max(c1, c0)


def make_surface(plan: WorldPlan) -> Surface:
    """Relief and trees of a plan as rasters."""
    cells = round(plan.size / CELL_SIZE)
    axis = (np.arange(cells) + 0.5) * CELL_SIZE
    ground = plan.terrain.height.raster(plan.size, CELL_SIZE)
    canopy = np.zeros((cells, cells), np.float32)
    kind = np.zeros((cells, cells), np.uint8)
    tint = np.zeros((cells, cells), np.float32)
    rng = np.random.default_rng([plan.seed, 2])
    clumps = fractal_noise(rng, (512, 512), (3.0, 7.0), (1.0, 0.8))
    trees = plan.trees
    for i in np.argsort(trees.height):
        r0, r1, c0, c1 = cell_range(trees.centre[i], trees.radius[i], plan.size, CELL_SIZE, cells)
        if r1 <= r0 or c1 <= c0:
            continue
        dx = (axis[c0:c1] - trees.centre[i, 0]) / trees.radius[i]
        dy = (plan.size - axis[r0:r1] - trees.centre[i, 1]) / trees.radius[i]
        d2 = dx[None, :] ** 2 + dy[:, None] ** 2
        height = _crown(d2, int(trees.kind[i]), float(trees.height[i]))
        r, c = r0 % 480, c0 % 480
        height = height * (1.0 + 0.10 * clumps[r : r + r1 - r0, c : c + c1 - c0])
        patch = canopy[r0:r1, c0:c1]
        higher = (d2 < 1.0) & (height > patch)
        patch[higher] = height[higher]
        kind[r0:r1, c0:c1][higher] = trees.kind[i] + 1
        tint[r0:r1, c0:c1][higher] = trees.tint[i]
    return Surface(ground, canopy, kind, tint)


def _crown(d2: Array, kind: int, height: float) -> Array:
    """Height of a crown over the ground by the squared relative distance from the stem."""
    if kind == CONIFER:
        return height * (1.0 - 0.8 * np.sqrt(d2))
    flank = 0.3 if kind == SHRUB else 0.5
    return height * (flank + (1.0 - flank) * np.sqrt(np.maximum(1.0 - d2, 0.0)))


def roof_height(building: Building, along: Array, across: Array) -> Array:
    """Height of a roof over ``building.ground`` at places of its own axes (m from its centre)."""
    half_l, half_w = building.length / 2, building.width / 2
    if building.roof == "flat":
        return np.full(np.broadcast_shapes(along.shape, across.shape), building.eaves)
    rise = building.ridge * (1.0 - np.abs(across) / half_w)
    if building.roof == "hip":
        rise = np.minimum(rise, building.ridge * (half_l - np.abs(along)) / half_w)
    out: Array = building.eaves + rise
    return out


def add_buildings(heights: Raster, buildings: list[Building], vehicles: list[Vehicle], plan: WorldPlan) -> Raster:
    """A copy of a height raster with the roofs and the vehicles on it."""
    out = heights.copy()
    cells = len(out)
    axis = (np.arange(cells) + 0.5) * CELL_SIZE
    boxes: list[tuple[Array, float, float, float, Vehicle | Building]] = [
        (v.centre, v.angle, v.length, v.width, v) for v in vehicles
    ]
    boxes += [(b.centre, b.angle, b.length, b.width, b) for b in buildings]
    for centre, angle, length, width, item in boxes:
        r0, r1, c0, c1 = cell_range(centre, float(np.hypot(length, width)) / 2, plan.size, CELL_SIZE, cells)
        if r1 <= r0 or c1 <= c0:
            continue
        x, y = np.meshgrid(axis[c0:c1] - centre[0], plan.size - axis[r0:r1] - centre[1])
        local = np.stack([x, y], axis=-1) @ rotation(angle)
        inside = (np.abs(local[..., 0]) < length / 2) & (np.abs(local[..., 1]) < width / 2)
        patch = out[r0:r1, c0:c1]
        if isinstance(item, Building):
            top: npt.NDArray[np.floating] = item.ground + roof_height(item, local[..., 0], local[..., 1])
        else:
            top = patch + (1.5 if length < 6.0 else 3.2)
        patch[inside] = np.maximum(patch, top)[inside]
    return out


def cosine_to_sun(heights: Raster, epoch: Epoch) -> Raster:
    """Cosine between the surface's normal and the sun, clipped at 0."""
    east = cv2.Sobel(heights, cv2.CV_32F, 1, 0, ksize=3, scale=1.0 / (8.0 * CELL_SIZE))
    north = -cv2.Sobel(heights, cv2.CV_32F, 0, 1, ksize=3, scale=1.0 / (8.0 * CELL_SIZE))
    sun = epoch.sun.astype(np.float32)
    cosine = sun[2] - sun[0] * east - sun[1] * north
    cosine /= np.sqrt(1.0 + east * east + north * north)
    return np.asarray(np.maximum(cosine, 0.0), np.float32)


def cast_shadow(heights: Raster, epoch: Epoch) -> Raster:
    """Cast shadow of every cell, 0 in the sun … 1 in full shadow.

    The raster is turned so that light runs down its rows; the height of the shadow's upper limit then follows
    from row to row, ``limit[i] = max(limit[i-1], height[i-1]) - step·tan(elevation)``.
    """
    side = len(heights)
    span = int(np.ceil(side * 1.4143)) + 2
    away = np.array([-np.sin(epoch.sun_azimuth), np.cos(epoch.sun_azimuth)])  # column, row
    across = np.array([away[1], -away[0]])
    centre = (side - 1) / 2 - across * (span - 1) / 2 - away * (span - 1) / 2
    matrix = np.column_stack([across, away, centre])
    low = float(heights.min())
    turned = cv2.warpAffine(
        heights, matrix, (span, span), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=(low - 1.0,)
    )
    fall = np.float32(CELL_SIZE * np.tan(epoch.sun_elevation))
    limit = np.full(span, low - 10.0, np.float32)
    for row in turned:
        covered = limit - row
        np.maximum(limit, row, out=limit)
        limit -= fall
        row[:] = covered
    depth = cv2.warpAffine(turned, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(-1.0,))
    # The sun's disc and the raster's cell make a soft edge of about a cell.
    return np.asarray(np.clip(depth / 0.5 + 0.3, 0.0, 1.0), np.float32)
