"""Where the time of a replay goes."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class Profile:
    """Wall time by stage. Stages of other threads and processes are added by name, and overlap those of this one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def add(self, stage: str, seconds: float) -> None:
        """So much more of a stage; for other threads and processes."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Counts what happens inside to a stage, but for the stages inside it; for one thread."""
        begin = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.add(stage, spent - self._inside.pop())
            if self._inside:
                self._inside[-1] += spent

    def resources(self) -> dict[str, Any]:
        """What this process and its children that have ended have used since this was made, for `run.json`.

        The memory is the most that this process has had since it began, and that any of those had, together.
        """
        own, others = (resource.getrusage(who).ru_maxrss for who in _PROCESSES)
        return {
            "cpu_seconds": _cpu_seconds() - self._cpu,
            "wall_seconds": time.perf_counter() - self._wall,
            "peak_rss_mb": (own + others) / 1024.0,
            "by_stage": dict(sorted(self.seconds.items(), key=lambda item: -item[1])),
        }


def _cpu_seconds() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, _PROCESSES))
