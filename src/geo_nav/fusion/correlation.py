"""How much less measurements weigh that err together."""

from __future__ import annotations

import math


class Correlation:
    """Remembers the stamps of what was used, by kind.

    Args:
        least: shortest interval between two measurements that is believed, s.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._newest: dict[str, float] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._newest.clear()

    def factor(self, kind: str, stamp: float, correlation_time: float) -> float:
        """What a covariance grows by so that N measurements with exponentially correlated errors weigh as they should.

        The mean of an AR(1) process with correlation ρ between samples has the variance of white noise times
        (1 + ρ) / (1 - ρ) = coth(Δt / 2τ).

        Args:
            kind: of the measurement.
            stamp: s.
            correlation_time: τ of its errors, s; 0: independent.
        """
        before = self._newest.get(kind, -math.inf)
        self._newest[kind] = max(before, stamp)
        if correlation_time == 0.0:
            return 1.0
        interval = max(abs(stamp - before), self._least)
        return 1.0 / math.tanh(interval / (2.0 * correlation_time))
