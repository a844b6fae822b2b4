"""What is to happen at which time of the bag."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Agenda:
    """Actions in the order of their times; of equal times the one that was put down first comes first.

    Attributes:
        now: time of the bag, ns.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, time: int, action: Callable[[], None]) -> None:
        """Puts an action down for a time, ns; for now where that is past."""
        self._count += 1
        heapq.heappush(self._waiting, (max(time, self.now), self._count, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Puts an action down for so many seconds from now."""
        self.at(self.now + round(seconds * 1e9), action)

    def run_until(self, time: int) -> None:
        """Does everything that is due until a time, ns, and makes it now."""
        while self._waiting and self._waiting[0][0] <= time:
            self.now, _, action = heapq.heappop(self._waiting)
            action()
        self.now = max(self.now, time)
