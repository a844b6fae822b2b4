"""The site model from straight above, as a map to draw on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.site.model import SiteModel, SiteTile

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_SAMPLES_PER_PIXEL = 3.0
_MAX_SAMPLES = 4_000_000


@dataclass(frozen=True, eq=False)
class TopView:
    """An orthographic picture.

    Attributes:
        image: (H, W, 3) RGB, north up.
        extent: west, east, south, north border in `map`, metres (matplotlib's order).
        covered: (H, W), False where there is no model.
    """

    image: Image
    extent: tuple[float, float, float, float]
    covered: npt.NDArray[np.bool_]


def top_view(site: SiteModel, low: Array, high: Array, width: int = 1400, background: int = 235) -> TopView:
    """Draws the part of a site that lies between two corners.

    Every triangle is sampled at a few points a pixel, and the highest sample of a pixel is seen (a z-buffer); this
    needs no graphics driver, and shows meshes and elevation models alike.

    Args:
        site: the model.
        low: (2,) least east and north, m.
        high: (2,) greatest east and north, m.
        width: of the longer side, pixels.
        background: grey value where there is no model.

    Raises:
        EvaluationError: the corners span no area.
    """
    span = np.asarray(high, dtype=np.float64) - low
    if not (np.isfinite(span).all() and (span > 0).all()):
        raise EvaluationError(f"no area lies between {low} and {high}")
    pixel = float(span.max()) / width
    columns, rows = (max(1, int(np.ceil(s / pixel))) for s in span)
    top = np.full(rows * columns, -np.inf)
    colour = np.full((rows * columns, 3), background, np.uint8)
    for tile in site.tiles:
        _splat(tile, np.asarray(low, dtype=np.float64), pixel, (rows, columns), top, colour)
    covered = np.isfinite(top).reshape(rows, columns)
    image, covered = _close_gaps(colour.reshape(rows, columns, 3), covered)
    extent = (float(low[0]), float(low[0]) + columns * pixel, float(low[1]), float(low[1]) + rows * pixel)
    return TopView(image[::-1], extent, covered[::-1])


def _splat(tile: SiteTile, low: Array, pixel: float, size: tuple[int, int], top: Array, colour: Image) -> None:
    """Draws one tile's samples into the flat z-buffer ``top`` and ``colour``; row 0 is the southernmost."""
    corners = tile.vertices[tile.faces].astype(np.float64)
    flat = (corners[:, :, :2] - low) / pixel
    seen = (flat.max(axis=1) >= 0).all(axis=1) & (flat.min(axis=1) < [size[1], size[0]]).all(axis=1)
    if not seen.any():
        return
    corners, flat, uv = corners[seen], flat[seen], tile.uv[tile.faces[seen]].astype(np.float64)
    a, b = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2.0
    share = min(1.0, _MAX_SAMPLES / max(float(area.sum()) * _SAMPLES_PER_PIXEL, 1.0))
    count = np.ceil(area * _SAMPLES_PER_PIXEL * share).astype(np.int64)
    triangle = np.repeat(np.arange(len(count)), count)
    weights = _barycentric(count)
    xy = np.einsum("nk,nkd->nd", weights, flat[triangle])
    height = np.einsum("nk,nk->n", weights, corners[triangle, :, 2])
    coordinates = np.einsum("nk,nkd->nd", weights, uv[triangle])
    column, row = np.floor(xy).astype(np.int64).T
    inside = (column >= 0) & (row >= 0) & (column < size[1]) & (row < size[0])
    index = row[inside] * size[1] + column[inside]
    height, coordinates = height[inside], coordinates[inside]
    # Sorted by pixel and then by height, the last sample of a pixel is its highest.
    order = np.lexsort((height, index))
    highest = order[np.append(np.diff(index[order]) > 0, True)] if len(order) else order
    highest = highest[height[highest] > top[index[highest]]]
    top[index[highest]] = height[highest]
    colour[index[highest]] = _texels(tile, coordinates[highest], pixel, corners, uv)


def _barycentric(count: npt.NDArray[np.int64]) -> Array:
    """(sum of count, 3) weights, ``count[k]`` of them spread evenly over triangle k (Roberts' R2 sequence, folded)."""
    first = np.repeat(np.cumsum(count) - count, count)
    k = np.arange(len(first)) - first
    # 1 / g and 1 / g², where g³ = g + 1.
    r, s = (0.5 + k * 0.7548776662466927) % 1.0, (0.5 + k * 0.5698402909980532) % 1.0
    beyond = r + s > 1.0
    r, s = np.where(beyond, 1.0 - r, r), np.where(beyond, 1.0 - s, s)
    return np.column_stack([1.0 - r - s, r, s])


def _texels(tile: SiteTile, uv: Array, pixel: float, corners: Array, corner_uv: Array) -> Image:
    """Texture colours (N, 3), the texture first reduced to the picture's resolution, or it would alias."""
    height, width = tile.texture.shape[:2]
    texels = np.linalg.norm((corner_uv[:, 1] - corner_uv[:, 0]) * [width, height], axis=1)
    metres = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    factor = float(np.median(texels / np.maximum(metres, 1e-9))) * pixel
    texture = tile.texture
    if factor > 1.5:
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        texture = np.asarray(cv2.resize(texture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    rows, columns = texture.shape[:2]
    u = np.clip((uv[:, 0] * columns).astype(int), 0, columns - 1)
    v = np.clip(((1.0 - uv[:, 1]) * rows).astype(int), 0, rows - 1)
    out: Image = texture[v, u]
    return out


def _close_gaps(image: Image, covered: npt.NDArray[np.bool_]) -> tuple[Image, npt.NDArray[np.bool_]]:
    """Fills the few pixels that were left without a sample from their neighbours."""
    kernel = np.ones((3, 3), np.uint8)
    closed = cv2.morphologyEx(covered.astype(np.uint8), cv2.MORPH_CLOSE, kernel).astype(bool)
    holes = closed & ~covered
    weight = cv2.blur(covered.astype(np.float32), (3, 3))
    mean = cv2.blur(image.astype(np.float32) * covered[..., None], (3, 3))
    out = image.copy()
    out[holes] = np.clip(mean[holes] / np.maximum(weight[holes], 1e-6)[:, None], 0, 255).astype(np.uint8)
    return out, closed
