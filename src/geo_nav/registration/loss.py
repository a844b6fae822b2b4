"""Geman-McClure's loss on the reprojection error: its weights, and how sharply matches agree on a pose.

Residuals are in units of each match's own tolerance, within which it agrees.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CONSIDERED = 3.0
"""Matches further than this many tolerances from a pose have no say in it."""
_SCALE = 4.0 / 9.0
"""Of the loss, square tolerances."""


def cost(residuals: Array) -> float:
    """Sum of the loss, 1 for a match that is far off; ``residuals`` (N, 2) in tolerances, NaN counts as far off."""
    square = np.nan_to_num((residuals**2).sum(axis=1), nan=np.inf)
    return float((1.0 - 1.0 / (1.0 + square / _SCALE)).sum())


def weights(residuals: Array) -> Array:
    """(N,) weight of each match in the normal equations, 1 at no residual."""
    out: Array = 1.0 / (1.0 + (residuals**2).sum(axis=1) / _SCALE) ** 2
    return out


def scores(residuals: Array) -> Array:
    """(N, 2) derivative of the loss by the residual (Huber's psi), tolerances."""
    out: Array = weights(residuals)[:, None] * residuals
    return out


def sharpness(residuals: Array) -> float:
    """Mean curvature of the loss over the matches: 1 where all agree exactly, 0 where they are spread evenly.

    Matches that scatter over more than the tolerance agree on a pose hardly more than on its neighbours; which one
    wins is then chance, however many there are.

    Args:
        residuals: (N, 2) in tolerances, of matches within ``CONSIDERED``.
    """
    if not len(residuals):
        return 0.0
    square = (residuals**2).sum(axis=1)
    curvature = weights(residuals) * (_SCALE - square) / (_SCALE + square)
    return float(curvature.mean())
