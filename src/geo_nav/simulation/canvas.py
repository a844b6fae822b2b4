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

    def window(self, raster: Raster | npt.NDArray[np.uint8], cell: float) -> Raster:
        """A raster of the whole site with cells of ``cell`` metres, resampled to the block's pixels, bilinear."""
        west, _, _, north = self.bounds
        k = self.resolution / cell
        matrix = np.array([[k, 0.0, west / cell + 0.5 * k - 0.5], [0.0, k, (self.size - north) / cell + 0.5 * k - 0.5]])
        return np.asarray(
            cv2.warpAffine(
                raster, matrix, (self.columns, self.rows),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
            ),
            dtype=np.float32,
        )  # fmt: skip


def blocks(size: float, resolution: float, side: int) -> list[Block]:
    """A site's raster in blocks of at most ``side`` pixels."""
    cells = round(size / resolution)
    return [
        Block(size, resolution, r, c, min(side, cells - r), min(side, cells - c))
        for r in range(0, cells, side)
        for c in range(0, cells, side)
    ]


@dataclass(frozen=True, eq=False)
class Stencil:
    """Polygons drawn into a part of a block.

    Attributes:
        part: rows and columns of the block that they touch.
        coverage: (h, w) share of every pixel of that part that they cover, 0…1.
        colour: (h, w, 3) sRGB 0…1 times coverage.
    """

    part: tuple[slice, slice]
    coverage: Raster
    colour: Raster


def bounding_boxes(polygons: Sequence[Array]) -> Array:
    """(N, 4) west, south, east, north of polygons, m."""
    boxes = [np.concatenate([p.min(axis=0), p.max(axis=0)]) for p in polygons]
    return np.array(boxes, np.float64).reshape(-1, 4)


def draw(block: Block, polygons: Sequence[Array], boxes: Array, colours: Array) -> Stencil | None:
    """Draws polygons with smooth edges.

    Args:
        block: to draw into.
        polygons: (N, 2) each, m east and north.
        boxes: of :func:`bounding_boxes`.
        colours: (3,) for all or (len(polygons), 3) for each, sRGB 0…1.

    Returns:
        what was drawn; None where no polygon touches the block.
    """
    west, south, east, north = block.bounds
    near = np.flatnonzero((boxes[:, 0] < east) & (boxes[:, 2] > west) & (boxes[:, 1] < north) & (boxes[:, 3] > south))
    if not len(near):
        return None
    alike = colours.ndim == 1
    mask = np.zeros(block.shape, np.uint8)
    rgb = np.zeros((*block.shape, 3), np.uint8) if not alike else mask
    for i in near:
        pixels = [block.pixels(polygons[int(i)])]
        cv2.fillPoly(mask, pixels, (255,), cv2.LINE_AA, _SHIFT)
        if not alike:
            value = tuple(round(float(c) * 255) for c in np.clip(colours[i], 0.0, 1.0))
            cv2.fillPoly(rgb, pixels, value, cv2.LINE_AA, _SHIFT)
    column, row, width, height = cv2.boundingRect(mask)
    if width == 0:
        return None
    part = (slice(row, row + height), slice(column, column + width))
    coverage = mask[part] * np.float32(1 / 255)
    colour = coverage[..., None] * colours.astype(np.float32) if alike else rgb[part] * np.float32(1 / 255)
    return Stencil(part, coverage, colour)
