"""The launch service: carries a launch file out, and looks after its processes until all have ended."""

from __future__ import annotations

import selectors
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from geo_nav.launcher import shim
from geo_nav.launcher.actions import visit_all
from geo_nav.launcher.arguments import check_arguments
from geo_nav.launcher.description import load
from geo_nav.launcher.errors import LaunchError
from geo_nav.launcher.processes import ProcessPlan
from geo_nav.launcher.substitutions import LaunchContext
from geo_nav.launcher.supervised import SupervisedProcess

_POLL_SECONDS = 0.05
# How a process may end that was asked to stop: by the signal itself, or by a handler that says so in the exit code.
_STOPPED_CODES = (0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM)


@dataclass(frozen=True)
class ProcessExited:
    """The event that an ``on_exit`` callable gets.

    Attributes:
        action: of the launch file.
        process_name: label of the process.
        pid: of the process.
        returncode: negative for a signal.
    """

    action: Any
    process_name: str
    pid: int
    returncode: int


@dataclass(frozen=True, eq=False)
class _Respawn:
    plan: ProcessPlan
    label: str
    due: float
    retries: int


class LaunchService:
    """Runs one launch file.

    Args:
        path: of the launch file.
        arguments: launch arguments.
    """

    def __init__(self, path: str | Path, arguments: dict[str, str]) -> None:
        self._path = Path(path).absolute()
        self._arguments = dict(arguments)
        self._selector = selectors.DefaultSelector()
        self._running: dict[SupervisedProcess, int] = {}
        self._respawns: list[_Respawn] = []
        self._planned: list[ProcessPlan] = []
        self._number = 0
        self._exit_code = 0
        self._shutting_down = False
        self._stop_requests = 0
        self._stop_requests_served = 0

    def shutdown(self) -> None:
        """Asks for the end, from a signal handler or another thread; asked again, it hurries (TERM, then KILL)."""
        self._stop_requests += 1

    def run(self) -> int:
        """Carries the launch file out, and returns when all its processes have ended.

        SIGINT and SIGTERM end it (when called in the main thread): each process group gets SIGINT, then SIGTERM, then
        SIGKILL.

        Returns:
            0, or the exit code of the first process that failed (128 + n where signal n ended it). A respawned process
            has not failed.

        Raises:
            LaunchError: the file or an argument cannot be used (nothing was started then), or a process cannot be
                started (those that run are stopped).
        """
        with tempfile.TemporaryDirectory(prefix="geo_nav_launch_") as folder, shim.installed(), self._signals():
            context = LaunchContext(self._arguments, Path(folder), self._planned.append, self._on_shutdown)
            context.launch_file = self._path
            description = load(self._path)
            description.visit(context)
            check_arguments(description, self._arguments, context)
            try:
                self._start_planned()
                while self._running or self._respawns:
                    self._step(context)
            finally:
                self._kill_all()
        return self._exit_code

    def _step(self, context: LaunchContext) -> None:
        for key, _ in self._selector.select(_POLL_SECONDS):
            if not key.data.pump():
                self._selector.unregister(key.fd)
        for process in [p for p in self._running if p.poll() is not None]:
            self._on_exit(process, context)
        if self._stop_requests > self._stop_requests_served:
            self._stop_requests_served = self._stop_requests
            print("[INFO] [launch]: shutting down: asked to stop", flush=True)
            self._stop()
        for process in self._running:
            process.escalate()
        now = time.monotonic()
        for respawn in [r for r in self._respawns if r.due <= now]:
            self._respawns.remove(respawn)
            self._start(respawn.plan, respawn.label, respawn.retries)

    def _start_planned(self) -> None:
        while self._planned:
            plan = self._planned.pop(0)
            self._number += 1
            if not self._shutting_down:
                self._start(plan, f"{plan.name}-{self._number}", 0)

    def _start(self, plan: ProcessPlan, label: str, retries: int) -> None:
        process = SupervisedProcess(plan, label)
        self._running[process] = retries
        self._selector.register(process.stream, selectors.EVENT_READ, process)

    def _on_exit(self, process: SupervisedProcess, context: LaunchContext) -> None:
        retries = self._running.pop(process)
        if process.stream in self._selector.get_map():
            self._selector.unregister(process.stream)
        process.finish()
        code, plan = process.poll() or 0, process.plan
        was_asked = self._shutting_down
        event = ProcessExited(plan.action, process.label, process.pid, code)
        handlers = [plan.on_exit] + [do for target, do in context.exit_handlers if target in (None, plan.action)]
        for handler in handlers:
            visit_all(context, handler(event, context) if callable(handler) else handler)
        again = plan.respawn and (plan.respawn_max_retries < 0 or retries < plan.respawn_max_retries)
        if again and not self._shutting_down:
            due = time.monotonic() + plan.respawn_delay
            self._respawns.append(_Respawn(plan, process.label, due, retries + 1))
        elif self._exit_code == 0 and code not in (_STOPPED_CODES if was_asked else (0,)):
            self._exit_code = code if code > 0 else 128 - code
        self._start_planned()

    def _on_shutdown(self, reason: str) -> None:
        print(f"[INFO] [launch]: shutting down: {reason}", flush=True)
        if not self._shutting_down:
            self._stop()

    def _stop(self) -> None:
        self._shutting_down = True
        self._respawns.clear()
        for process in self._running:
            process.stop()

    def _kill_all(self) -> None:
        """Only after an error in the launch file's own handlers: nothing is left behind."""
        for process in self._running:
            while process.poll() is None:
                process.stop()
                time.sleep(_POLL_SECONDS)
        self._selector.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            self.shutdown()

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(path: str | Path, arguments: dict[str, str]) -> int:
    """Runs a launch file to its end; see :meth:`LaunchService.run`.

    Args:
        path: of the launch file.
        arguments: launch arguments.

    Returns:
        The exit code.

    Raises:
        LaunchError: the file or an argument cannot be used.
    """
    return LaunchService(path, arguments).run()


__all__ = ["LaunchError", "LaunchService", "ProcessExited", "run"]
