"""Steps that matchers share: checked input, and which keypoints are kept."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.matching.errors import MatchingError
from geo_nav.matching.protocol import Features

_CELL = 64
"""Side of the cells over which keypoints are spread, pixels."""
_CROWDING = 3.0
"""A cell may hold this many times its fair share of the keypoints before another cell's weaker ones go first."""


def check_image(image: npt.NDArray[np.uint8]) -> None:
    """Raises:
    MatchingError: the picture is not (H, W) or (H, W, 3) uint8, or smaller than 32 pixels.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise MatchingError(f"a picture is (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if min(image.shape[:2]) < 32:
        raise MatchingError(f"a picture of {image.shape[1]}x{image.shape[0]} is too small: 32 pixels at least")


def grey_image(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W) grey picture of (H, W) or (H, W, 3) RGB.

    Raises:
        MatchingError: as :func:`check_image`.
    """
    check_image(image)
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def rgb_image(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) picture of (H, W) or (H, W, 3) RGB.

    Raises:
        MatchingError: as :func:`check_image`.
    """
    check_image(image)
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def eroded_mask(
    mask: npt.NDArray[np.bool_] | None, shape: tuple[int, ...], margin: int
) -> npt.NDArray[np.bool_] | None:
    """A mask without its rim, because a descriptor there would describe the hole's edge.

    Args:
        mask: (H, W), True where features may lie; None allows all.
        shape: of the picture.
        margin: width of the rim, pixels.

    Raises:
        MatchingError: the mask does not have the picture's size.
    """
    if mask is None:
        return None
    if mask.shape != shape[:2]:
        raise MatchingError(f"the mask is {mask.shape}, the picture {shape[:2]}")
    if mask.all():
        return None
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    # Outside of the picture counts as allowed: only holes of the mask grow.
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0)


def keypoint_budget(shape: tuple[int, ...], density: float, maximum: int) -> int:
    """Number of keypoints to keep in a picture: ``density`` per megapixel, ``maximum`` at most."""
    return int(min(maximum, max(16, round(density * shape[0] * shape[1] * 1e-6))))


def spread_selection(
    keypoints: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], size: tuple[int, int], count: int
) -> npt.NDArray[np.intp]:
    """Indices of the best keypoints, spread over the picture, best first.

    The strongest of the whole picture would crowd on one house; so a cell that holds three times its fair share
    gives way to the others.

    Args:
        keypoints: (N, 2) pixels.
        scores: (N,), larger is better.
        size: (width, height) of the picture.
        count: how many to keep.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) <= count:
        return order
    columns, rows = -(-size[0] // _CELL), -(-size[1] // _CELL)
    cell = (keypoints[order, 1] // _CELL).astype(int) * columns + (keypoints[order, 0] // _CELL).astype(int)
    by_cell = np.argsort(cell, kind="stable")
    sorted_cells = cell[by_cell]
    rank = np.empty(len(order), dtype=int)
    rank[by_cell] = np.arange(len(order)) - np.searchsorted(sorted_cells, sorted_cells)
    crowded = rank >= max(1.0, _CROWDING * count / (columns * rows))
    return order[np.argsort(crowded, kind="stable")[:count]]


def no_features(size: tuple[int, int], dimension: int) -> Features:
    """The features of a picture that has none."""
    return Features(np.zeros((0, 2), np.float32), np.zeros((0, dimension), np.float32), np.zeros(0, np.float32), size)
