"""Packs many small pictures into one texture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_GAP = 4


def pack(pictures: list[Image]) -> tuple[Image, npt.NDArray[np.int64]]:
    """Shelf packing: pictures of falling height in rows.

    Args:
        pictures: (h, w, 3) uint8 each.

    Returns:
        the atlas (H, W, 3), and (N, 2) column and row of every picture's upper left corner. Each picture's edge is
        repeated around it, so that mipmaps do not mix neighbours.
    """
    area = sum((p.shape[0] + 2 * _GAP) * (p.shape[1] + 2 * _GAP) for p in pictures)
    widest = max((p.shape[1] for p in pictures), default=1) + 2 * _GAP
    width = max(256, widest, int(np.ceil(np.sqrt(area * 1.1) / 64.0)) * 64)
    corners = np.zeros((len(pictures), 2), np.int64)
    x = y = shelf = 0
    for i in sorted(range(len(pictures)), key=lambda k: -pictures[k].shape[0]):
        h, w = pictures[i].shape[0] + 2 * _GAP, pictures[i].shape[1] + 2 * _GAP
        if x + w > width:
            x, y, shelf = 0, y + shelf, 0
        shelf = max(shelf, h)
        corners[i] = x + _GAP, y + _GAP
        x += w
    atlas = np.full((max(y + shelf, 64), width, 3), 128, np.uint8)
    for picture, (column, row) in zip(pictures, corners, strict=True):
        framed = np.pad(picture, ((_GAP, _GAP), (_GAP, _GAP), (0, 0)), mode="edge")
        atlas[row - _GAP : row - _GAP + framed.shape[0], column - _GAP : column - _GAP + framed.shape[1]] = framed
    return atlas, corners
