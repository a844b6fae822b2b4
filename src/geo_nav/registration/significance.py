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
_EXPONENTS = np.linspace(0.02, 1.0, 50)
"""Over which Chernoff's bound is minimised."""
_STRUCTURES = 20.0
"""Keypoints nearer than this part of the picture's width see the same structure: descriptors look at patches of about
30 pixels of 640, and one façade at a wrong place that resembles the right one brings all of its matches at once."""


def structure_size(width: int, support: float) -> float:
    """Distance within which matches see the same structure and err together, pixels.

    Args:
        width: of the picture, pixels.
        support: width of the windows that were matched, pixels; 0 for keypoints.
    """
    return max(width / _STRUCTURES, support)


def log10_false_alarms(agree: npt.NDArray[np.bool_], chance: Array) -> float:
    """log10 of the expected number of poses that matches like these would support as well by chance.

    An a-contrario test (Moisan and Stival, IJCV 2004): were matches random, each would agree with a given pose with
    its own probability p; all the poses that minimal samples can give are counted as tries. An agreement that chance
    brings easily says little, so what counts is the sum of log(1/p) over those that agree, whose distribution under
    chance Chernoff's inequality bounds. No threshold on a count or a ratio does this: 20 of 40 is proof where 30 of
    1000 within a small search radius is what chance brings.

    Args:
        agree: (N,) which matches agree, mutually independent.
        chance: (N,) probability that each would by chance.
    """
    matches = len(agree)
    if agree.sum() <= _SAMPLE:
        return float(np.log10(max(1, matches)))
    p = np.clip(chance, 1e-12, 1.0)
    # The pose passes through the matches of its sample: taken to be those that would be the strongest evidence.
    sample = np.flatnonzero(agree)[np.argsort(p[agree])[:_SAMPLE]]
    others = np.ones(matches, bool)
    others[sample] = False
    p = p[others]
    evidence = float(-np.log(p[agree[others]]).sum())
    exponents = _EXPONENTS[:, None]
    log_moments = np.log1p(p * np.expm1(-exponents * np.log(p))).sum(axis=1)
    log_tail = min(0.0, float((log_moments - _EXPONENTS * evidence).min()))
    log_tries = np.log(_SOLUTIONS) + _log_choose(matches, _SAMPLE)
    return float((log_tries + log_tail) / np.log(10.0))


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
