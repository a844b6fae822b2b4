"""How much less measurements weigh that err together."""

from __future__ import annotations

import math
from bisect import bisect_left


class Correlation:
    """Remembers the stamps of what was used, by kind.

    The mean of an AR(1) process with correlation ρ between samples has the variance of white noise times
    (1 + ρ) / (1 - ρ) = coth(Δt / 2τ): with a covariance inflated by that, N measurements with exponentially correlated
    errors weigh as they should. Δt is the interval to the measurement before it in time, in whatever order they come.

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

    def factor(self, kind: str, stamp: float, correlation_time: float) -> float:
        """What the covariance of a measurement grows by; it is remembered.

        Args:
            kind: of the measurement.
            stamp: s.
            correlation_time: τ of its errors, s; 0: independent.
        """
        stamps = self._stamps.setdefault(kind, [])
        k = bisect_left(stamps, stamp)
        before = stamps[k - 1] if k else -math.inf
        stamps.insert(k, stamp)
        while stamps[0] < stamps[-1] - self._memory:
            del stamps[0]
        return self._law(stamp - before, correlation_time)

    def follower(self, kind: str, stamp: float, correlation_time: float) -> tuple[float, float] | None:
        """The next one after a remembered stamp, which now weighs less: its stamp and its factor; None without any."""
        stamps = self._stamps.get(kind, [])
        k = bisect_left(stamps, stamp) + 1
        if correlation_time == 0.0 or k >= len(stamps):
            return None
        return stamps[k], self._law(stamps[k] - stamp, correlation_time)

    def _law(self, interval: float, correlation_time: float) -> float:
        if correlation_time == 0.0:
            return 1.0
        return 1.0 / math.tanh(max(interval, self._least) / (2.0 * correlation_time))
