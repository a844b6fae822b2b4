"""Height of the highest surface of the site model over a place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.site.model import SiteModel

Array = npt.NDArray[np.float64]

# Points of one query that are worked on at once; bounds the memory of their candidate triangles.
_BATCH = 65536


class HeightMap:
    """Exact heights of the triangles from above, by a grid of bins in plan.

    Args:
        model: the site model; its triangles are copied.
    """

    def __init__(self, model: SiteModel) -> None:
        triangles = np.concatenate([tile.vertices[tile.faces] for tile in model.tiles]).astype(np.float64)
        a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
        # Upright walls cover no place in plan.
        keep = np.abs(area) > 1e-9
        self._a, self._ab, self._ac = a[keep], (b - a)[keep], (c - a)[keep]
        self._inverse_area = 1.0 / area[keep]
        low, high = triangles[keep, :, :2].min(axis=1), triangles[keep, :, :2].max(axis=1)
        self._origin = low.min(axis=0) if len(low) else np.zeros(2)
        extent = (high.max(axis=0) if len(high) else self._origin) - self._origin
        # As many bins as triangles, so that a bin holds a few.
        self._cell = max(
            float(np.sqrt(extent[0] * extent[1] / max(len(low), 1))), float(extent.max(initial=0.0)) / 4096
        )
        self._cell = max(self._cell, 1e-3)
        self._shape = np.floor(extent / self._cell).astype(np.int64) + 1
        self._index(low, high)

    def _index(self, low: Array, high: Array) -> None:
        first = np.floor((low - self._origin) / self._cell).astype(np.int64)
        span = np.floor((high - self._origin) / self._cell).astype(np.int64) - first + 1
        count = span.prod(axis=1)
        triangle = np.repeat(np.arange(len(low)), count)
        k = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
        column = first[triangle, 0] + k % span[triangle, 0]
        row = first[triangle, 1] + k // span[triangle, 0]
        bins = row * self._shape[0] + column
        order = np.argsort(bins, kind="stable")
        self._triangles = triangle[order].astype(np.int32)
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=int(self._shape.prod())))])

    def __call__(self, east: npt.ArrayLike, north: npt.ArrayLike) -> Array:
        """Places → height of the highest surface there.

        Args:
            east: in `map`, metres, any shape.
            north: in `map`, metres, the same shape.

        Returns:
            Up in `map`, metres, of that shape; NaN where the model has no surface.
        """
        east, north = np.broadcast_arrays(np.asarray(east, np.float64), np.asarray(north, np.float64))
        places = np.stack([east.ravel(), north.ravel()], axis=-1)
        heights = np.full(len(places), np.nan)
        for start in range(0, len(places), _BATCH):
            heights[start : start + _BATCH] = self._highest(places[start : start + _BATCH])
        return heights.reshape(east.shape)

    def _highest(self, places: Array) -> Array:
        heights = np.full(len(places), -np.inf)
        with np.errstate(invalid="ignore"):
            position = np.floor((places - self._origin) / self._cell)
            inside = ((position >= 0) & (position < self._shape)).all(axis=1)
        cell = position[inside].astype(np.int64)
        bins = cell[:, 1] * self._shape[0] + cell[:, 0]
        starts, count = self._starts[bins], self._starts[bins + 1] - self._starts[bins]
        place = np.repeat(np.flatnonzero(inside), count)
        k = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
        triangle = self._triangles[np.repeat(starts, count) + k]
        ab, ac, d = self._ab[triangle], self._ac[triangle], places[place] - self._a[triangle, :2]
        v = (d[:, 0] * ac[:, 1] - d[:, 1] * ac[:, 0]) * self._inverse_area[triangle]
        w = (ab[:, 0] * d[:, 1] - ab[:, 1] * d[:, 0]) * self._inverse_area[triangle]
        # The edge belongs to both neighbours: a place on it must not fall between them.
        hit = (v >= -1e-9) & (w >= -1e-9) & (v + w <= 1.0 + 1e-9)
        surface = self._a[triangle, 2] + v * ab[:, 2] + w * ac[:, 2]
        np.maximum.at(heights, place[hit], surface[hit])
        return np.where(np.isinf(heights), np.nan, heights)
