"""Splitting of tiles: by place, so that a renderer can leave out what is not in view; by texture, so that it fits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.site.model import SiteTile


def split_by_place(tile: SiteTile, max_triangles: int) -> list[SiteTile]:
    """Halves a tile along its longer side in plan until no piece has more triangles; the texture is shared."""
    if len(tile.faces) <= max_triangles:
        return [tile]
    centres = tile.vertices[tile.faces, :2].mean(axis=1)
    axis = int(np.argmax(np.ptp(centres, axis=0)))
    order = np.argsort(centres[:, axis], kind="stable")
    half = len(order) // 2
    return [
        piece for part in (order[:half], order[half:]) for piece in split_by_place(_select(tile, part), max_triangles)
    ]


def split_by_texture(tile: SiteTile, max_side: int) -> list[SiteTile]:
    """Cuts a texture that is larger than ``max_side`` and deals the faces out among the pieces.

    A face goes to the piece that holds its centre, and the piece grows to hold the face. A face that alone spans
    more than ``max_side`` texels keeps a reduced copy of its part.
    """
    height, width = tile.texture.shape[:2]
    if max(height, width) <= max_side:
        return [tile]
    # A repeating texture is brought back to its first period where a face lies in one.
    uv = tile.uv[tile.faces].astype(np.float64)
    uv -= np.floor(uv.mean(axis=1, keepdims=True))
    pixels = np.stack([uv[..., 0] * width, (1.0 - uv[..., 1]) * height], axis=-1)
    cell = max_side // 2
    key = (pixels.mean(axis=1) // cell).astype(np.int64)
    _, group = np.unique(key[:, 1] * (width // cell + 2) + key[:, 0], return_inverse=True)
    return [_cut(tile, np.flatnonzero(group == g), pixels[group == g], max_side) for g in range(group.max() + 1)]


def _cut(tile: SiteTile, faces: npt.NDArray[np.intp], pixels: npt.NDArray[np.float64], max_side: int) -> SiteTile:
    height, width = tile.texture.shape[:2]
    low = np.maximum(np.floor(pixels.min(axis=(0, 1))).astype(int) - 4, 0)
    high = np.minimum(np.ceil(pixels.max(axis=(0, 1))).astype(int) + 4, [width, height])
    high = np.maximum(high, low + 1)
    step = max(1, int(np.ceil((high - low).max() / max_side)))
    texture = tile.texture[low[1] : high[1] : step, low[0] : high[0] : step]
    local = (pixels - low) / (high - low)
    corners = tile.faces[faces].ravel()
    return SiteTile(
        vertices=tile.vertices[corners],
        faces=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        uv=np.stack([local[..., 0], 1.0 - local[..., 1]], axis=-1).reshape(-1, 2).astype(np.float32),
        texture=np.ascontiguousarray(texture),
        colors=None if tile.colors is None else tile.colors[corners],
    )


def _select(tile: SiteTile, faces: npt.NDArray[np.intp]) -> SiteTile:
    used, compact = np.unique(tile.faces[faces], return_inverse=True)
    return SiteTile(
        vertices=tile.vertices[used],
        faces=compact.reshape(-1, 3).astype(np.int32),
        uv=tile.uv[used],
        texture=tile.texture,
        colors=None if tile.colors is None else tile.colors[used],
    )
