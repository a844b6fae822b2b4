"""Polygons into blocks of a raster, at any resolution, with smooth edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.simulation.noise import Raster

Array = npt.NDArray[np.float64]

_SHIFT = 5
_SCALE = 1 << _SHIFT


@dataclass(frozen=True, eq=False)
class Block:
    """A rectangular part of a site's raster; row 0 of the raster is the northern edge.

    Attributes:
        size: side of the site, m.
        resolution: pixel, m.
        row: first row.
        column: first column.
        rows: number of rows.
        columns: number of columns.
    """

    size: float
    resolution: float
    row: int
    column: int
    rows: int
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north, m."""
        r = self.resolution
        north = self.size - self.row * r
        return self.column * r, north - self.rows * r, (self.column + self.columns) * r, north

    def places(self) -> tuple[Raster, Raster]:
        """East (1, columns) and north (rows, 1) of the pixels' centres, m."""
        east = (self.column + np.arange(self.columns) + 0.5) * self.resolution
        north = self.size - (self.row + np.arange(self.rows) + 0.5) * self.resolution
        return east[None, :].astype(np.float32), north[:, None].astype(np.float32)

    def touches(self, points: Array, margin: float = 0.0) -> bool:
        """Whether the bounding box of points (N, 2) meets the block grown by ``margin`` metres."""
        west, south, east, north = self.bounds
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        return bool(low[0] < east and high[0] > west and low[1] < north and high[1] > south)

    def pixels(self, points: Array) -> npt.NDArray[np.int32]:
        """Places (N, 2) as the fixed-point pixels that OpenCV draws with."""
        west, _, _, north = self.bounds
        pixel = np.column_stack([points[:, 0] - west, north - points[:, 1]]) / self.resolution - 0.5
        return np.round(np.clip(pixel, -8000, 8000) * _SCALE).astype(np.int32)

    def fill(self, raster: npt.NDArray[np.uint8], polygon: Array, value: int) -> None:
        """Fills a polygon (N, 2) with hard edges."""
        if self.touches(polygon):
            cv2.fillPoly(raster, [self.pixels(polygon)], (value,), cv2.LINE_8, _SHIFT)

    def coverage(self, polygons: Sequence[Array]) -> Raster | None:
        """Share of every pixel that polygons cover, 0…1; None where none touches the block."""
        near = [p for p in polygons if self.touches(p)]
        if not near:
            return None
        raster = np.zeros(self.shape, np.uint8)
        for polygon in near:
            cv2.fillPoly(raster, [self.pixels(polygon)], (255,), cv2.LINE_AA, _SHIFT)
        return raster.astype(np.float32) * np.float32(1 / 255)

    def window(self, raster: Raster, cell: float) -> Raster:
        """A raster of the whole site with cells of ``cell`` metres, resampled to the block's pixels, bilinear."""
        west, _, _, north = self.bounds
        k = self.resolution / cell
        matrix = np.array(
            [[k, 0.0, west / cell + 0.5 * k - 0.5], [0.0, k, (self.size - north) / cell + 0.5 * k - 0.5]]
        )
        return np.asarray(
            cv2.warpAffine(
                raster, matrix, (self.columns, self.rows),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
            )
        )  # fmt: skip


def blocks(size: float, resolution: float, side: int) -> list[Block]:
    """A site's raster in blocks of at most ``side`` pixels."""
    cells = round(size / resolution)
    return [
        Block(size, resolution, r, c, min(side, cells - r), min(side, cells - c))
        for r in range(0, cells, side)
        for c in range(0, cells, side)
    ]


def draw_coloured(
    block: Block, polygons: Sequence[Array], colours: npt.NDArray[np.float64]
) -> tuple[Raster, Raster] | None:
    """Polygons that each have a colour (sRGB 0…1): coverage, and colour times coverage; None where none is near."""
    near = [i for i, p in enumerate(polygons) if block.touches(p)]
    if not near:
        return None
    mask = np.zeros(block.shape, np.uint8)
    rgb = np.zeros((*block.shape, 3), np.uint8)
    for i in near:
        pixels = [block.pixels(polygons[i])]
        value = tuple(int(round(float(c) * 255)) for c in np.clip(colours[i], 0.0, 1.0))
        cv2.fillPoly(mask, pixels, (255,), cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(rgb, pixels, value, cv2.LINE_AA, _SHIFT)
    scale = np.float32(1 / 255)
    return mask.astype(np.float32) * scale, rgb.astype(np.float32) * scale
