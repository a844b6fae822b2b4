"""How much less measurements weigh that err together."""

from __future__ import annotations

import math
from bisect import bisect_left


class Correlation:
    """Remembers the stamps of what was used, by kind, in whatever order it comes.

    Args:
        least: shortest interval between two measurements that is believed, s.
        memory: nothing older matters, s.
    """

    def __init__(self, least: float, memory: float) -> None:
        self._least = least
        self._memory = memory
        self._stamps: dict[str, list[float]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._stamps.clear()

    def take(self, kind: str, stamp: float) -> float:
        """Remember a measurement, and give the time since the one before it, s; infinite for the first."""
        stamps = self._stamps.setdefault(kind, [])
        k = bisect_left(stamps, stamp)
        before = stamps[k - 1] if k else -math.inf
        stamps.insert(k, stamp)
        while stamps[0] < stamps[-1] - self._memory:
            del stamps[0]
        return max(stamp - before, self._least)

    def follower(self, kind: str, stamp: float) -> tuple[float, float] | None:
        """The next one after a remembered stamp: its stamp, and the time between the two, s; None without any."""
        stamps = self._stamps.get(kind, [])
        k = bisect_left(stamps, stamp) + 1
        return None if k >= len(stamps) else (stamps[k], max(stamps[k] - stamp, self._least))


def inflation(interval: float, correlation_time: float) -> float:
    """What the covariance of a measurement grows by.

    The mean of an AR(1) process with correlation ρ between samples has the variance of white noise times
    (1 + ρ) / (1 - ρ) = coth(Δt / 2τ): with a covariance inflated by that, N measurements with exponentially correlated
    errors weigh as they should.

    Args:
        interval: Δt to the one before it in time, s.
        correlation_time: τ of its errors, s; 0: independent.
    """
    return 1.0 if correlation_time == 0.0 else 1.0 / math.tanh(interval / (2.0 * correlation_time))
