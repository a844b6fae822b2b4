"""What waits for the graph: fixes in order of stamp, attitudes for the start."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Lock

from geo_nav.fusion.measurements import Attitude, Measurement
from geo_nav.fusion.relative import RelativePose

_QUEUE_LIMIT = 1000
"""Fixes that may wait, should nobody call update; beyond it the oldest are lost and counted."""


@dataclass(frozen=True)
class FixOutcome:
    """What became of a fix.

    Attributes:
        stamp: s.
        kind: ``pose``, ``gps``, ``track`` or a sensor's.
        used: whether it entered the graph.
        reason: why not; empty where used.
        mahalanobis: squared distance to the prediction; nan where it was not compared.
        dimension: of that distance.
        correlation_time: of the errors of successive measurements of this kind, s.
    """

    stamp: float
    kind: str
    used: bool
    reason: str = ""
    mahalanobis: float = float("nan")
    dimension: int = 0
    correlation_time: float = 0.0


class Intake:
    """Thread-safe; any thread puts, the worker takes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._fixes: deque[Measurement | RelativePose] = deque()
        self._attitudes: deque[Attitude] = deque(maxlen=1000)
        self._overflow: list[FixOutcome] = []

    def put(self, fix: Measurement | RelativePose) -> None:
        """Queue a fix, or a tracked frame's motion."""
        with self._lock:
            if len(self._fixes) >= _QUEUE_LIMIT:
                lost = self._fixes.popleft()
                self._overflow.append(FixOutcome(lost.stamp, lost.kind, False, "queue full: update() is not called"))
                del self._overflow[:-_QUEUE_LIMIT]
            self._fixes.append(fix)

    def put_attitude(self, attitude: Attitude) -> None:
        """Keep an attitude."""
        with self._lock:
            self._attitudes.append(attitude)

    def take(self, newest: float, ahead: float) -> tuple[list[Measurement | RelativePose], list[FixOutcome]]:
        """The fixes up to a stamp in order of time, and those that are lost.

        Args:
            newest: stamp of the newest IMU sample; a newer fix goes on waiting.
            ahead: a fix further ahead than this cannot be right and is lost, s.
        """
        with self._lock:
            ready = sorted((m for m in self._fixes if m.stamp <= newest), key=lambda m: m.stamp)
            lost = [
                FixOutcome(m.stamp, m.kind, False, f"stamp {m.stamp - newest:.1f} s ahead of the IMU")
                for m in self._fixes
                if m.stamp > newest + ahead
            ]
            self._fixes = deque(m for m in self._fixes if newest < m.stamp <= newest + ahead)
            lost += self._overflow
            self._overflow = []
        return ready, lost

    def drain(self) -> tuple[list[Measurement | RelativePose], list[Attitude], list[FixOutcome]]:
        """Everything that waits, whatever its stamp, and what was lost; it waits no more."""
        with self._lock:
            drained = list(self._fixes), list(self._attitudes), self._overflow
            self._fixes.clear()
            self._attitudes.clear()
            self._overflow = []
        return drained

    def attitude(self, oldest: float, newest: float) -> Attitude | None:
        """The newest attitude between two stamps."""
        with self._lock:
            return next((a for a in reversed(self._attitudes) if oldest <= a.stamp <= newest), None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._fixes.clear()
            self._attitudes.clear()
