"""What has become of the measurements of each kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock

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
    """Counts by kind. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, KindCount] = {}

    def add(self, outcomes: Iterable[FixOutcome]) -> None:
        """Count what an update decided."""
        for outcome in outcomes:
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
