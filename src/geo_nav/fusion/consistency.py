"""Whether the innovations are as large as their covariances say: the NIS monitor.

The normalised innovation squared (NIS) of a measurement is its squared Mahalanobis distance to the prediction, which
the gate computes anyhow; with honest covariances it is chi-square distributed with the measurement's dimension
(Bar-Shalom, Li & Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, §5.4).

Only what is inside the gate's probability counts, against the expectation of the chi-square distribution cut off there:
one wild match of a hundred sigmas would outweigh all honest ones, and says nothing of the covariances. The mean of the
cut distribution still grows with the factor by which the covariances are too small, so that factor can be told. What
was refused is reported beside, as a share.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import chdtr, chdtri

if TYPE_CHECKING:
    from geo_nav.fusion.intake import FixOutcome

Array = npt.NDArray[np.float64]

_CONFIDENCE = 0.999
"""Of the band, two-sided: it is looked at twice a second for hours."""

_LEAST = 10.0
"""Fewer independent measurements than this allow no verdict."""

_RECENT = 20
"""The last so many decide whether the kind contradicts the state; half of them must be there."""

_KEPT = 5000
"""At most so many measurements of a kind are remembered."""

_LARGEST = 100.0
"""Variance ratios beyond this are not told apart: the mean of a cut distribution says no more."""


class Verdict(IntEnum):
    """What the innovations of a kind of measurement say; the numbers are those of `Consistency.msg`."""

    UNKNOWN = 0
    CONSISTENT = 1
    OVERCONFIDENT = 2
    CAUTIOUS = 3
    CONTRADICTED = 4


@dataclass(frozen=True)
class Consistency:
    """The NIS of a kind of measurement over its last ones.

    Attributes:
        verdict: in one word.
        reason: in words.
        nis: mean of those inside the gate's probability, over its expectation: 1 where the covariances are honest; nan
            without any.
        low: below this the covariances are too large.
        high: above this they are too small.
        variance_ratio: the factor on the covariance of the innovations, state and measurement together, that would
            explain ``nis``; nan without any.
        number: of those measurements.
        independent: how many independent ones they are worth.
        refused_share: by the gate, of all that were compared in that time.
    """

    verdict: Verdict = Verdict.UNKNOWN
    reason: str = "no measurement was compared yet"
    nis: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    variance_ratio: float = float("nan")
    number: int = 0
    independent: float = 0.0
    refused_share: float = 0.0


class NisMonitor:
    """Remembers the innovations of one kind of measurement. Not thread-safe: the owner locks.

    Args:
        gate_probability: share of honest measurements that count; the others are wild.
        window: as many of the newest are judged as are worth this many independent ones.
        least_interval: between measurements, s; those closer together count as that far apart.
    """

    def __init__(self, gate_probability: float, window: float, least_interval: float) -> None:
        self._gate_probability = gate_probability
        self._window = window
        self._least_interval = least_interval
        self._outcomes: deque[FixOutcome] = deque(maxlen=_KEPT)

    def add(self, outcome: FixOutcome) -> None:
        """Take what was decided on a measurement; one that was not compared with the prediction is passed over."""
        if np.isfinite(outcome.mahalanobis):
            self._outcomes.append(outcome)

    def outcomes(self) -> list[FixOutcome]:
        """What is remembered, in order of decision."""
        return list(self._outcomes)

    def consistency(self, outcomes: list[FixOutcome]) -> Consistency:
        """The judgement on what :meth:`outcomes` gave; needs no lock."""
        if not outcomes:
            return Consistency()
        recent = outcomes[-_RECENT:]
        dimensions = np.array([o.dimension for o in outcomes])
        limits = np.asarray(chdtri(dimensions, 1.0 - self._gate_probability), dtype=np.float64)
        order = np.argsort([o.stamp for o in outcomes], kind="stable")
        inside = np.array([o.mahalanobis for o in outcomes]) <= limits
        used = np.array([o.used for o in outcomes])
        refused = int((~used[-_RECENT:]).sum())
        kept = order[inside[order]]
        intervals = np.diff([outcomes[i].stamp for i in kept], prepend=-np.inf)
        intervals = np.maximum(intervals, self._least_interval)
        tau = np.maximum([outcomes[i].correlation_time for i in kept], 1e-9)
        weights = np.tanh(intervals / (2.0 * tau))
        # From the newest back, until they are worth the window.
        first = len(kept) - int(np.searchsorted(np.cumsum(weights[::-1]), self._window) + 1)
        kept, weights, intervals, tau = (a[max(0, first) :] for a in (kept, weights, intervals, tau))
        compared = order[int(np.flatnonzero(order == kept[0])[0]) :] if len(kept) else order
        share = 1.0 - float(used[compared].mean())
        found = Consistency(number=len(kept), independent=float(weights.sum()), refused_share=share)
        if len(kept):
            distances = np.array([outcomes[i].mahalanobis for i in kept])
            found = _judged(found, distances, dimensions[kept], limits[kept], np.exp(-intervals / tau))
        if len(recent) >= _RECENT // 2 and refused > len(recent) // 2:
            reason = f"{refused} of the last {len(recent)} were refused: the state or the measurements are wrong"
            return replace(found, verdict=Verdict.CONTRADICTED, reason=reason)
        return found


def _judged(found: Consistency, distances: Array, dimensions: Array, limits: Array, correlations: Array) -> Consistency:
    """With NIS, band and verdict.

    The band is that of as many independent measurements as the correlated ones are worth, by the law of the graph:
    (1 - ρ) / (1 + ρ) each. Squares correlate by ρ² only, so it is rather too wide. A state that has followed the
    error of the last measurement agrees better with the next than its covariance says: where it has taken over
    the share a, the expectation is 1 - 2aρ/(1 + a²), at the least 1 - ρ. The lower edge allows for that.
    """
    mean, variance = _cut_moments(dimensions, limits, 1.0)
    nis = float(np.mean(distances / dimensions) / np.mean(mean / dimensions))
    spread = float(np.mean(variance / dimensions**2) / np.mean(mean / dimensions) ** 2 / found.independent)
    freedom = 2.0 / spread
    tail = 0.5 * (1.0 - _CONFIDENCE)
    low = float(chdtri(freedom, 1.0 - tail) / freedom * np.mean(1.0 - correlations))
    high = float(chdtri(freedom, tail) / freedom)
    told = f"squared innovations are {nis:.2f} times what the covariances say (band {low:.2f} to {high:.2f})"
    if found.independent < _LEAST:
        verdict = Verdict.UNKNOWN
        told = f"worth {found.independent:.0f} independent measurements so far, fewer than {_LEAST:.0f}"
    elif nis > high:
        verdict, told = Verdict.OVERCONFIDENT, f"{told}: they are too small"
    elif nis < low:
        verdict, told = Verdict.CAUTIOUS, f"{told}: they are too large"
    else:
        verdict = Verdict.CONSISTENT
    ratio = _variance_ratio(distances, dimensions, limits)
    return replace(found, verdict=verdict, reason=told, nis=nis, low=low, high=high, variance_ratio=ratio)


def _variance_ratio(distances: Array, dimensions: Array, limits: Array) -> float:
    """The factor on the covariances with which the cut distribution has the mean that was seen (bisection)."""
    (kinds, cuts), counts = np.unique(np.stack([dimensions, limits]), axis=1, return_counts=True)
    wanted = float(np.mean(distances / dimensions))
    low, high = 1.0 / _LARGEST, _LARGEST
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        expected = float(np.average(_cut_moments(kinds, cuts, middle)[0] / kinds, weights=counts))
        low, high = (middle, high) if expected < wanted else (low, middle)
    return float(np.sqrt(low * high))


def _cut_moments(dimensions: Array, limits: Array, scale: float) -> tuple[Array, Array]:
    """Mean and variance (each like ``dimensions``) of scaled chi-squares given that they do not exceed the limits."""
    limits = limits / scale
    passing = chdtr(dimensions, limits)
    mean = dimensions * chdtr(dimensions + 2, limits) / passing
    square = dimensions * (dimensions + 2) * chdtr(dimensions + 4, limits) / passing
    return scale * mean, scale**2 * (square - mean**2)
