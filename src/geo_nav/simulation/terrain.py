"""The ground: relief, a valley with a stream, and the warp that makes straight plans look grown."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from geo_nav.simulation.noise import Raster, fractal_noise

Array = npt.NDArray[np.float64]

CELL = 8.0
"""Cell of the low-resolution grids of relief and warp, m."""
MARGIN = 320.0
"""The grids reach this far past the site, m."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A smooth function of place on a coarse lattice; places are metres east and north of the south-west corner.

    Attributes:
        values: (rows, columns) float32, row 0 in the south, one cell of :data:`CELL` apart, from -:data:`MARGIN`.
    """

    values: Raster

    def at(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
        """Values at places of any shape, bilinear; the border goes on outwards."""
        column, row = np.broadcast_arrays(
            (np.asarray(x, np.float64) + MARGIN) / CELL, (np.asarray(y, np.float64) + MARGIN) / CELL
        )
        positions = np.stack([row.ravel(), column.ravel()])
        values: Array = map_coordinates(self.values, positions, np.float64, order=1, mode="nearest")
        return values.reshape(column.shape)

    def raster(self, size: float, cell: float) -> Raster:
        """Values at the cells of a site's raster (row 0 in the north), cubic; ``cell`` (m) divides :data:`CELL`."""
        factor = round(CELL / cell)
        fine = cv2.resize(self.values, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        # Lattice points are pixel centres, so the fine picture begins half a lattice cell before them.
        first, cells = round((MARGIN + CELL / 2) / cell), round(size / cell)
        return np.ascontiguousarray(fine[first : first + cells, first : first + cells][::-1])


def grid_places(size: float) -> tuple[Array, Array]:
    """East and north (rows, columns) of the lattice points of a :class:`Grid` for a site of that side."""
    axis = np.arange(int(np.ceil((size + 2 * MARGIN) / CELL)) + 1) * CELL - MARGIN
    x, y = np.meshgrid(axis, axis)
    return x, y


@dataclass(frozen=True, eq=False)
class Warp:
    """A smooth displacement of places: parcels are planned straight and grow crooked.

    Attributes:
        east: displacement, m.
        north: displacement, m.
        back_east: of the inverse.
        back_north: of the inverse.
    """

    east: Grid
    north: Grid
    back_east: Grid
    back_north: Grid

    def apply(self, plan: npt.ArrayLike) -> Array:
        """Planned places (..., 2) → places on the ground."""
        p = np.asarray(plan, np.float64)
        return p + np.stack([self.east.at(p[..., 0], p[..., 1]), self.north.at(p[..., 0], p[..., 1])], axis=-1)

    def inverse(self, ground: npt.ArrayLike) -> Array:
        """Places on the ground (..., 2) → planned places."""
        p = np.asarray(ground, np.float64)
        return p + np.stack(
            [self.back_east.at(p[..., 0], p[..., 1]), self.back_north.at(p[..., 0], p[..., 1])], axis=-1
        )

    def angle(self, plan: npt.ArrayLike, direction: float) -> float:
        """Direction (rad from east) on the ground of a planned direction at one planned place (2,)."""
        p = np.asarray(plan, np.float64)
        ahead = p + 4.0 * np.array([np.cos(direction), np.sin(direction)])
        d = self.apply(ahead) - self.apply(p)
        return float(np.arctan2(d[1], d[0]))


def make_warp(rng: np.random.Generator, size: float) -> Warp:
    """A warp whose gradient stays near a fifth, so that it never folds."""
    x, y = grid_places(size)
    wavelengths, weights = (700.0 / CELL, 260.0 / CELL), (1.0, 0.25)
    east = Grid(16.0 * fractal_noise(rng, (x.shape[0], x.shape[1]), wavelengths, weights))
    north = Grid(16.0 * fractal_noise(rng, (x.shape[0], x.shape[1]), wavelengths, weights))
    u, v = x.copy(), y.copy()
    for _ in range(8):
        u, v = x - east.at(u, v), y - north.at(u, v)
    return Warp(east, north, Grid((u - x).astype(np.float32)), Grid((v - y).astype(np.float32)))


@dataclass(frozen=True, eq=False)
class Terrain:
    """The bare ground.

    Attributes:
        height: metres above the ellipsoid.
        stream: (N, 2) centre line of the stream, m east and north.
        stream_width: metres.
    """

    height: Grid
    stream: Array
    stream_width: float

    def at(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
        """Height of the ground at places of any shape, m above the ellipsoid."""
        return self.height.at(x, y)


def make_terrain(rng: np.random.Generator, size: float, base_height: float) -> Terrain:
    """Hills of some 60 m over a kilometre, and a valley from west to east with a stream in it."""
    x, y = grid_places(size)
    shape = (x.shape[0], x.shape[1])
    relief = 13.0 * fractal_noise(rng, shape, (1700.0 / CELL, 800.0 / CELL), (1.0, 0.5))
    relief += 2.2 * fractal_noise(rng, shape, (300.0 / CELL, 130.0 / CELL), (1.0, 0.35))
    s = np.arange(-MARGIN, size + MARGIN + 1.0, 6.0)
    meander = 0.035 * size * np.sin(2 * np.pi * (s / (0.55 * size) + rng.uniform()))
    meander += 14.0 * np.sin(2 * np.pi * (s / 230.0 + rng.uniform())) + 5.0 * np.sin(
        2 * np.pi * (s / 90.0 + rng.uniform())
    )
    stream = np.column_stack([s, 0.27 * size + meander + 0.08 * (s - size / 2)])
    distance = np.abs(y - np.interp(x, stream[:, 0], stream[:, 1]))
    # A broad valley, and in it the bed that the stream has cut.
    valley = 16.0 * np.exp(-((distance / 240.0) ** 2)) + 1.8 * np.exp(-((distance / 9.0) ** 2))
    return Terrain(Grid((base_height + relief - valley).astype(np.float32)), stream, 5.5)
