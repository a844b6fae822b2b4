"""Removal of the needles that image matching leaves in a surface model."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# Stands for "no height" in the morphology; no place on Earth is near it.
_VOID = np.float32(1e6)


def remove_spikes(heights: npt.NDArray[np.float32], cell: float, width: float) -> npt.NDArray[np.float32]:
    """Lowers what is narrower than ``width`` and stands out by more than it; all else stays as it is.

    The surface under a spike is the grey opening (erosion, then dilation) with a disc of that width.

    Args:
        heights: (rows, columns) metres, NaN where there is none.
        cell: size of a cell, metres.
        width: metres; nothing is done when it spans less than three cells.

    Returns:
        (rows, columns) heights; the same holes.
    """
    size = int(np.ceil(width / cell)) | 1
    if size < 3:
        return heights
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    void = np.isnan(heights)
    lowest = cv2.erode(np.where(void, _VOID, heights), disc)
    opened = cv2.dilate(np.where(lowest >= _VOID, -_VOID, lowest), disc)
    with np.errstate(invalid="ignore"):
        return np.where(heights - opened > width, opened, heights).astype(np.float32)
