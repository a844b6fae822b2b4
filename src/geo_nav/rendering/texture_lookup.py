"""Texture look-up on the CPU: mipmaps and bilinear interpolation as OpenGL defines them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class MipmappedTexture:
    """A picture and its halvings.

    Args:
        picture: (H, W, 3) uint8, first row on top.
    """

    def __init__(self, picture: npt.NDArray[np.uint8]) -> None:
        self.levels = [picture]
        while max(self.levels[-1].shape[:2]) > 1:
            height, width = self.levels[-1].shape[:2]
            size = (max(1, width // 2), max(1, height // 2))
            self.levels.append(np.asarray(cv2.resize(self.levels[-1], size, interpolation=cv2.INTER_AREA), np.uint8))

    def sample(self, uv: Array, level: Array) -> npt.NDArray[np.float32]:
        """Trilinear look-up.

        Args:
            uv: (N, 2) OpenGL texture coordinates; the picture repeats.
            level: (N,) log2 of the texels that a pixel covers.

        Returns:
            (N, 3) colours, 0 to 255.
        """
        level = np.clip(level, 0.0, len(self.levels) - 1)
        low = np.floor(level).astype(int)
        out = np.zeros((len(uv), 3), np.float32)
        for index in np.unique(low):
            chosen = low == index
            color = _bilinear(self.levels[index], uv[chosen])
            share = (level[chosen] - index)[:, None].astype(np.float32)
            if index + 1 < len(self.levels) and share.any():
                color = color * (1 - share) + _bilinear(self.levels[index + 1], uv[chosen]) * share
            out[chosen] = color
        return out


def _bilinear(picture: npt.NDArray[np.uint8], uv: Array) -> npt.NDArray[np.float32]:
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1.0 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (x - x0).astype(np.float32)[:, None], (y - y0).astype(np.float32)[:, None]
    left, right = x0.astype(int) % width, (x0.astype(int) + 1) % width
    top, bottom = y0.astype(int) % height, (y0.astype(int) + 1) % height
    upper = picture[top, left] * (1 - fx) + picture[top, right] * fx
    lower = picture[bottom, left] * (1 - fx) + picture[bottom, right] * fx
    out: npt.NDArray[np.float32] = upper * (1 - fy) + lower * fy
    return out
