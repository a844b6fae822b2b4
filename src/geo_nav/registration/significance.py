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
_CERTAIN = 1e-12
"""No agreement is taken to be rarer by chance than this."""
_STEPS = 8192
"""Equal steps in which evidence is summed, from none to that which is judged."""
_LARGEST = 1e200
"""Far from what a float64 holds, by more than one match can bring."""
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
    brings easily says little, so what counts is the sum of log(1/p) over those that agree, and how often chance brings
    as large a sum (:func:`log_chance_of_evidence`). No threshold on a count or a ratio does this: 20 of 40 is proof
    where 30 of 1000 within a small search radius is what chance brings.

    Args:
        agree: (N,) which matches agree, mutually independent.
        chance: (N,) probability that each would by chance.
    """
    matches = len(agree)
    if agree.sum() <= _SAMPLE:
        return float(np.log10(max(1, matches)))
    # The pose passes through the matches of its sample, which is not known: taken to be the strongest evidence, for the
    # rarer the agreement that is left out, the likelier chance brings what is left: no other sample would say less.
    sample = np.flatnonzero(agree)[np.argsort(chance[agree])[:_SAMPLE]]
    others = np.ones(matches, bool)
    others[sample] = False
    log_tail = log_chance_of_evidence(agree[others], chance[others])
    log_tries = np.log(_SOLUTIONS) + _log_choose(matches, _SAMPLE)
    return float((log_tries + log_tail) / np.log(10.0))


def log_chance_of_evidence(agree: npt.NDArray[np.bool_], chance: Array) -> float:
    """Natural logarithm of how often chance would bring as much evidence as this.

    Evidence is S = sum of a log(1/p), where a is 1 with probability p: a sum of independent two-point variables, not of
    uniform p-values, for which it would be Fisher's chi-square (1932), nor truncated ones (Zaykin et al. 2002): a match
    that agrees counts p, however near it lies, and one that does not counts nothing. With equal p it is a binomial's
    tail, in general that of a weighted Poisson binomial, computed here as such: the matches are added one by one to the
    distribution of the sum (Barlow and Heidtmann, IEEE Trans. Reliability 1984), held in equal steps. Each term is
    rounded up to a whole step, so the tail is never below the true one. It is above by one or two per cent
    where ten unequal matches agree and by half where sixty do, which is far from what a verdict turns on.

    Args:
        agree: (N,) which matches agree, mutually independent.
        chance: (N,) probability that each would by chance.
    """
    p = np.clip(chance, _CERTAIN, 1.0)
    terms = -np.log(p)
    evidence = float(terms[agree].sum())
    if evidence <= 0.0:
        return 0.0
    step = evidence / _STEPS
    # Probability of each sum times its exponential, which no float64 underflows; made smaller where many hundred
    # matches would have it overflow. The last entry holds all that has come as far, times that of the evidence.
    reached, log_scale = np.zeros(_STEPS + 1), 0.0
    reached[0] = 1.0
    for probability, steps in zip(p, np.minimum(np.ceil(terms / step), _STEPS).astype(int), strict=True):
        moved = probability * reached[:-1]
        reached[:-1] *= 1.0 - probability
        reached[steps:-1] += np.exp(steps * step) * moved[: _STEPS - steps]
        reached[-1] += moved[_STEPS - steps :] @ np.exp(step * np.arange(steps, 0, -1))
        if reached.max() > _LARGEST:
            reached /= _LARGEST
            log_scale += float(np.log(_LARGEST))
    return min(0.0, float(np.log(reached[-1])) + log_scale - evidence)


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
