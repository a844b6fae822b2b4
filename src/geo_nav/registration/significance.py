"""Whether as many matches as these could agree by chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Array = npt.NDArray[np.float64]

_SAMPLE = 3
"""Matches that fix a pose (P3P)."""
_SOLUTIONS = 4
"""Poses that a minimal sample can give."""


def log10_false_alarms(matches: int, inliers: int, threshold: float, region: float) -> float:
    """log10 of the expected number of poses that ``inliers`` of ``matches`` would support by chance.

    The a-contrario test of Moisan and Stival (IJCV 2004): were matches random, each would agree with a given pose
    with probability p = π threshold² / region; all the poses that minimal samples can give are counted as tries.
    No threshold on a count or a ratio does this: 20 of 40 is proof where 30 of 1000 within a small search radius is
    what chance brings.

    Args:
        matches: N, mutually independent.
        inliers: k of them.
        threshold: residual within which a match agrees, pixels.
        region: area in which a false match falls evenly, square pixels.
    """
    if inliers <= _SAMPLE:
        return float(np.log10(max(1, matches)))
    p = min(1.0, np.pi * threshold**2 / region)
    log_tries = np.log(_SOLUTIONS * max(1, matches - _SAMPLE))
    log_subsets = _log_choose(matches, inliers) + _log_choose(inliers, _SAMPLE)
    return float((log_tries + log_subsets + (inliers - _SAMPLE) * np.log(p)) / np.log(10.0))


def independent_matches(pixels: Array, residuals: Array, cell: float) -> tuple[npt.NDArray[np.intp], Array]:
    """One match for each cell of the picture: neighbours see the same structure and err together.

    Args:
        pixels: (N, 2).
        residuals: (N,) pixels.
        cell: side of a cell, pixels.

    Returns:
        index of the match that stands for its cell (that of median residual), and its residual.
    """
    key = np.floor(pixels / cell).astype(np.int64)
    order = np.lexsort((residuals, key[:, 0], key[:, 1]))
    _, first, counts = np.unique(key[order], axis=0, return_index=True, return_counts=True)
    chosen = order[first + counts // 2]
    return chosen, residuals[chosen]


def _log_choose(n: int, k: int) -> float:
    return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
