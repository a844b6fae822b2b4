"""Which measurements of a sensor are due, and which insist."""

from __future__ import annotations

from dataclasses import dataclass

from geo_nav.fusion.measurements import Measurement

_EARLY = 1e-3
"""A measurement may come this much before it is due, s: sensors are not exactly even."""


_INSISTENT = 8
_INSISTENT_SECONDS = 3.0
"""So many in a row over so long were refused before a kind insists."""


@dataclass
class _Streak:
    """Measurements of a kind that were refused: stamps of the first and the last, number, and agreeing ones since."""

    first: float
    last: float
    count: int = 0
    agreed: int = 0


class Spacing:
    """Remembers the stamps of what is in the graph, by kind.

    Args:
        lag: nothing older matters, s.
    """

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._stamps: dict[str, list[float]] = {}
        self._refused: dict[str, _Streak] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._stamps.clear()
        self._refused.clear()

    def is_duplicate(self, measurement: Measurement) -> bool:
        """Whether one of the same kind and stamp is in the graph."""
        return measurement.stamp in self._stamps.get(measurement.kind, [])

    def is_due(self, measurement: Measurement) -> bool:
        """Whether none of its kind in the graph is closer in time than the kind's spacing."""
        least = measurement.spacing - _EARLY
        return all(abs(stamp - measurement.stamp) >= least for stamp in self._stamps.get(measurement.kind, []))

    def agrees(self, measurement: Measurement) -> None:
        """It has passed the gate. A kind that insists does so until so many in a row agree; a state that swings through
        what the sensor says would else be let go at every passage.
        """
        streak = self._refused.get(measurement.kind)
        if streak is None:
            return
        streak.agreed += 1
        if streak.count < _INSISTENT or streak.agreed >= _INSISTENT:
            del self._refused[measurement.kind]

    def contradicts(self, measurement: Measurement) -> None:
        """The gate has refused it."""
        t = measurement.stamp
        streak = self._refused.setdefault(measurement.kind, _Streak(t, t))
        streak.first, streak.last = min(streak.first, t), max(streak.last, t)
        streak.count, streak.agreed = streak.count + 1, 0

    def insists(self, measurement: Measurement) -> bool:
        """Whether so many of its kind, over so long, were refused since one has agreed."""
        streak = self._refused.get(measurement.kind)
        if streak is None or not measurement.may_insist:
            return False
        return streak.count >= _INSISTENT and streak.last - streak.first >= _INSISTENT_SECONDS

    def take(self, measurement: Measurement) -> None:
        """It goes into the graph."""
        stamps = self._stamps.setdefault(measurement.kind, [])
        stamps.append(measurement.stamp)
        newest = max(stamps)
        self._stamps[measurement.kind] = [stamp for stamp in stamps if stamp >= newest - self._lag]
