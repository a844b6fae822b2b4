"""Where the time of a replay goes."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Profile:
    """Wall time by stage. The stages of other threads are added by name, and overlap those of this one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def add(self, stage: str, seconds: float) -> None:
        """So much more of a stage; for other threads."""
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
        """What the process has used since this was made, for `run.json`; its memory since it began."""
        return {
            "cpu_seconds": time.process_time() - self._cpu,
            "wall_seconds": time.perf_counter() - self._wall,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
            "by_stage": dict(sorted(self.seconds.items(), key=lambda item: -item[1])),
        }
