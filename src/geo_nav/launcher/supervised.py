"""One running process: its output with a prefix, and the way it is stopped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time

from geo_nav.launcher.errors import LaunchError
from geo_nav.launcher.processes import ProcessPlan

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _stop_with_launcher() -> None:
    """Runs in the child before its program: a launcher that was killed leaves no nodes behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))


class SupervisedProcess:
    """A process in a session of its own, so that its whole group can be stopped.

    Args:
        plan: what to start.
        label: prefix of its output lines.

    Attributes:
        pid: of the process.
        stream: file descriptor of its output, not blocking.

    Raises:
        LaunchError: it cannot be started.
    """

    def __init__(self, plan: ProcessPlan, label: str) -> None:
        self.plan = plan
        self.label = label
        self._line = b""
        self._level = -1
        self._level_time = 0.0
        try:
            self._process = subprocess.Popen(
                plan.command,
                cwd=plan.directory,
                env=plan.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_stop_with_launcher,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise LaunchError(f"{label}: '{plan.command[0]}' cannot be started: {error}") from error
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.stream = self._process.stdout.fileno()
        os.set_blocking(self.stream, False)
        self.log("INFO", f"process started with pid [{self.pid}]")

    def log(self, level: str, message: str) -> None:
        """Prints a line about the process."""
        print(f"[{level}] [{self.label}]: {message}", flush=True)

    def pump(self) -> bool:
        """Prints the lines that have arrived; False at the end of the output."""
        while True:
            try:
                chunk = os.read(self.stream, 65536)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            *lines, self._line = (self._line + chunk).split(b"\n")
            for line in lines:
                self._print(line)

    def _print(self, line: bytes) -> None:
        print(f"[{self.label}] {line.decode(errors='replace')}", flush=True)

    def poll(self) -> int | None:
        """The exit code once the process has ended (negative: the signal that ended it), else None."""
        return self._process.poll()

    def finish(self) -> None:
        """Prints what is left of the output, says how the process ended, and ends what is left of its group."""
        self.pump()
        if self._line:
            self._print(self._line)
        assert self._process.stdout is not None
        self._process.stdout.close()
        code = self._process.returncode
        if code == 0:
            self.log("INFO", f"process has finished cleanly [pid {self.pid}]")
        else:
            command = " ".join(self.plan.command)
            self.log("ERROR", f"process has died [pid {self.pid}, exit code {code}, cmd '{command}'].")
        self._signal_group(signal.SIGTERM)

    def stop(self) -> None:
        """Sends the next signal of SIGINT, SIGTERM, SIGKILL to the process group."""
        if self._level + 1 < len(_STOP_SIGNALS):
            self._level += 1
            self._level_time = time.monotonic()
            number = _STOP_SIGNALS[self._level]
            self.log("INFO", f"sending signal '{number.name}' to the process group")
            self._signal_group(number)

    def escalate(self) -> None:
        """Sends the next signal where the last one has had its time; does nothing before :meth:`stop`."""
        timeouts = (self.plan.sigterm_timeout, self.plan.sigkill_timeout)
        if 0 <= self._level < len(timeouts) and time.monotonic() - self._level_time > timeouts[self._level]:
            name = _STOP_SIGNALS[self._level].name
            self.log("ERROR", f"still running {timeouts[self._level]:g} s after {name}")
            self.stop()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
