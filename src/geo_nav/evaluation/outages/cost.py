"""What fusion costs: in real time beside its worker, and over four hours."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from geo_nav.evaluation.metrics import rms
from geo_nav.evaluation.outages.items import Delivery, Imu
from geo_nav.evaluation.outages.journey import FRAME, Journey, JourneyOptions
from geo_nav.evaluation.outages.play import Player, Trace
from geo_nav.fusion import Fusion, NavState, UpdateInfo
from geo_nav.fusion.solver_process import SWITCH_INTERVAL

REAL_TIME = 120.0
"""Of the run in real time, s."""
ENDURANCE = 4 * 3600.0
"""Of the long journey, s."""
SEED = 21

_WORKER_PAUSE = 0.02
"""Of the node's worker between two updates, s."""
_WARM = 15.0
"""The window is full from here on, s."""
_ENDURANCE_RATE = 100.0
_MINUTE = 60.0


def run_cost(seconds: float) -> dict[str, Any]:
    """One flight in real time, IMU at 200 Hz, with the graph in a process of its own as in the node; JSON.

    Args:
        seconds: of it.
    """
    journey = Journey(JourneyOptions("aerial", "mems", SEED, seconds, gaps=False, origins=True))
    items = list(journey.items())
    fusion = Fusion(journey.config, FRAME, journey.T_base_camera, isolated=True)
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    solves: list[tuple[float, float]] = []
    arrived, stop = threading.Event(), threading.Event()
    newest = 0.0

    def work() -> None:
        while not stop.is_set():
            arrived.wait(0.5)
            arrived.clear()
            info = fusion.update()
            if info.solved:
                solves.append((newest, info.milliseconds))
            stop.wait(_WORKER_PAUSE)

    worker = threading.Thread(target=work)
    worker.start()
    callbacks: list[tuple[float, float]] = []
    begin, load = time.perf_counter(), os.getloadavg()[0]
    try:
        for item in items:
            time.sleep(max(0.0, begin + item.arrival - time.perf_counter()))
            start = time.perf_counter()
            item.give(fusion)
            if isinstance(item, Imu):
                newest = item.arrival
                callbacks.append((item.arrival, 1e3 * (time.perf_counter() - start)))
                arrived.set()
    finally:
        stop.set()
        arrived.set()
        worker.join()
        sys.setswitchinterval(switch_interval)
    behind = time.perf_counter() - begin - items[-1].arrival
    status = fusion.status()
    fusion.close()
    return {
        "seconds": seconds,
        "imu_rate": journey.options.imu_rate,
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "behind_at_end_s": behind,
        "update_ms": _quantiles([ms for t, ms in solves if t >= _WARM]),
        "callback_ms": _quantiles([ms for t, ms in callbacks if t >= _WARM]),
        "updates_per_s": len(solves) / seconds,
        "fixes_used": status.fixes_used,
        "tracks_used": status.tracks_used,
    }


def run_endurance(seconds: float) -> dict[str, Any]:
    """One long flight as fast as it goes, in one thread, IMU at 100 Hz, fixes and tracks as they come; JSON.

    Args:
        seconds: of it.
    """
    journey = Journey(JourneyOptions("aerial", "mems", SEED, seconds, _ENDURANCE_RATE, origins=True))
    player = _TimedPlayer(journey.config, journey.T_base_camera, status=False)
    minutes: list[dict[str, float]] = []
    due = _MINUTE

    def each(_: Player, now: float) -> None:
        nonlocal due
        if now >= due:
            due += _MINUTE
            minutes.append({"minute": now / 60.0, **player.minute()})

    begin = time.perf_counter()
    player.play(journey.items(), each)
    hour = min(60, len(minutes) // 2)
    status = player.fusion.status()
    return {
        "seconds": seconds,
        "imu_rate": _ENDURANCE_RATE,
        "wall_s": time.perf_counter() - begin,
        "compared_minutes": hour,
        "first": _median(minutes[:hour]),
        "last": _median(minutes[-hour:]),
        "minutes": minutes,
        "fixes_used": status.fixes_used,
        "fixes_refused": status.fixes_refused,
        "rebuilds": status.graph_rebuilds,
    }


class _TimedPlayer(Player):
    """Counts milliseconds, and keeps no more than a minute of anything."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._updates: list[float] = []
        self._callbacks: list[float] = []

    def give(self, item: Delivery) -> NavState | None:
        if not isinstance(item, Imu):
            return super().give(item)
        start = time.perf_counter()
        state = item.give(self.fusion)
        self._callbacks.append(1e3 * (time.perf_counter() - start))
        self._note(item, state)
        return state

    def update(self, now: float) -> UpdateInfo:
        info = super().update(now)
        if info.solved:
            self._updates.append(info.milliseconds)
        return info

    def minute(self) -> dict[str, float]:
        """Of the minute past, which is forgotten."""
        errors = self.trace.between(0.0, np.inf).distances
        update, callback = _quantiles(self._updates), _quantiles(self._callbacks)
        out = {
            "update_median_ms": update["median"],
            "update_p99_ms": update["p99"],
            "callback_median_ms": callback["median"],
            "callback_p99_ms": callback["p99"],
            "spent_ms": sum(self._updates) + sum(self._callbacks),
            "memory_mib": resident_memory(),
            "rms_m": rms(errors),
        }
        self.trace = Trace()
        self._updates.clear()
        self._callbacks.clear()
        return out


def resident_memory() -> float:
    """Of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _quantiles(milliseconds: list[float]) -> dict[str, float]:
    values = np.array(milliseconds) if milliseconds else np.array([np.nan])
    return {name: float(np.percentile(values, q)) for name, q in (("median", 50), ("p99", 99), ("largest", 100))}


def _median(minutes: list[dict[str, float]]) -> dict[str, float]:
    """The median over minutes of each number, so that a minute of other work beside does not count."""
    return {key: float(np.median([m[key] for m in minutes])) for key in (minutes[0] if minutes else {})}
