"""What has become of the measurements of each kind, and how well they agree with the predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.consistency import Consistency, NisMonitor
from geo_nav.fusion.intake import FixOutcome


@dataclass(frozen=True)
class KindCount:
    """Measurements of one kind since the construction.

    Attributes:
        used: in the graph.
        refused: not finite, duplicate, too old, ahead of the IMU, or against the chi-square gate.
        last_refusal: why, in words; empty where none was refused.
    """

    used: int = 0
    refused: int = 0
    last_refusal: str = ""


class Tally:
    """Counts and innovations by kind. Thread-safe.

    Args:
        config: settings.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._lock = Lock()
        self._counts: dict[str, KindCount] = {}
        self._monitors: dict[str, NisMonitor] = {}

    def add(self, outcomes: Iterable[FixOutcome]) -> None:
        """Count what an update decided."""
        c = self._config
        for outcome in outcomes:
            with self._lock:
                if outcome.kind not in self._monitors:
                    monitor = NisMonitor(c.gate_probability, c.consistency_window, c.min_state_spacing)
                    self._monitors[outcome.kind] = monitor
                self._monitors[outcome.kind].add(outcome)
            if outcome.used:
                with self._lock:
                    count = self._counts.get(outcome.kind, KindCount())
                    self._counts[outcome.kind] = replace(count, used=count.used + 1)
            else:
                self.refuse(outcome.kind, outcome.reason)

    def refuse(self, kind: str, reason: str) -> None:
        """Count one that could not be used."""
        with self._lock:
            count = self._counts.get(kind, KindCount())
            self._counts[kind] = replace(count, refused=count.refused + 1, last_refusal=reason)

    def counts(self) -> dict[str, KindCount]:
        """By kind."""
        with self._lock:
            return dict(self._counts)

    def forget_innovations(self) -> None:
        """Another state begins: the innovations so far say nothing of it."""
        with self._lock:
            self._monitors.clear()

    def consistency(self) -> dict[str, Consistency]:
        """How well the measurements agree with the predictions, by kind."""
        with self._lock:
            remembered = {kind: (monitor, monitor.outcomes()) for kind, monitor in self._monitors.items()}
        return {kind: monitor.consistency(outcomes) for kind, (monitor, outcomes) in remembered.items()}
