"""Geman-McClure's loss on the reprojection error: its weights, and how sharply matches agree on a pose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CONSIDERED = 3.0
"""Matches further than this many thresholds from a pose have no say in it."""


def loss_scale(threshold: float) -> float:
    """Scale of the loss, square pixels, for a residual ``threshold`` within which a match agrees, pixels."""
    return (threshold / 3.0) ** 2 * 4.0


def cost(residuals: Array, threshold: float) -> float:
    """Sum of the loss, 1 for a match that is far off; ``residuals`` (N, 2) pixels, NaN counts as far off."""
    square = np.nan_to_num((residuals**2).sum(axis=1), nan=np.inf)
    return float((1.0 - 1.0 / (1.0 + square / loss_scale(threshold))).sum())


def weights(residuals: Array, threshold: float) -> Array:
    """(N,) weight of each match in the normal equations, 1 at no residual."""
    out: Array = 1.0 / (1.0 + (residuals**2).sum(axis=1) / loss_scale(threshold)) ** 2
    return out


def scores(residuals: Array, threshold: float) -> Array:
    """(N, 2) derivative of the loss by the residual (Huber's psi), pixels."""
    out: Array = weights(residuals, threshold)[:, None] * residuals
    return out


def sharpness(residuals: Array, threshold: float) -> float:
    """Mean curvature of the loss over the matches: 1 where all agree exactly, 0 where they are spread evenly.

    Matches that scatter over more than the threshold agree on a pose hardly more than on its neighbours; which one
    wins is then chance, however many there are.

    Args:
        residuals: (N, 2) pixels, of matches within ``CONSIDERED`` thresholds.
        threshold: residual within which a match agrees, pixels.
    """
    if not len(residuals):
        return 0.0
    scale = loss_scale(threshold)
    square = (residuals**2).sum(axis=1)
    curvature = weights(residuals, threshold) * (scale - square) / (scale + square)
    return float(curvature.mean())
