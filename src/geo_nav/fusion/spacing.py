"""Which measurements of a sensor are due."""

from __future__ import annotations

from geo_nav.fusion.measurements import Measurement

_EARLY = 1e-3
"""A measurement may come this much before it is due, s: sensors are not exactly even."""


class Spacing:
    """Remembers the stamps of what is in the graph, by kind.

    Args:
        lag: nothing older matters, s.
    """

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._stamps: dict[str, list[float]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._stamps.clear()

    def is_duplicate(self, measurement: Measurement) -> bool:
        """Whether one of the same kind and stamp is in the graph."""
        return measurement.stamp in self._stamps.get(measurement.kind, [])

    def is_due(self, measurement: Measurement) -> bool:
        """Whether none of its kind in the graph is closer in time than the kind's spacing."""
        least = measurement.spacing - _EARLY
        return all(abs(stamp - measurement.stamp) >= least for stamp in self._stamps.get(measurement.kind, []))

    def take(self, measurement: Measurement) -> None:
        """It goes into the graph."""
        stamps = self._stamps.setdefault(measurement.kind, [])
        stamps.append(measurement.stamp)
        newest = max(stamps)
        self._stamps[measurement.kind] = [stamp for stamp in stamps if stamp >= newest - self._lag]
