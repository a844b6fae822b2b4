"""A launch file that runs beside the caller."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO

from geo_nav.launcher.errors import LaunchError


class BackgroundLaunch:
    """A launch file in a process of its own: under `ros2 launch` where that is installed, else under our runner.

    Use it as a context manager, so that no node outlives the caller.

    Args:
        path: of the launch file.
        arguments: launch arguments.
        log: file for the output of all nodes; the caller's own output when None.

    Raises:
        LaunchError: the file does not exist.
    """

    def __init__(self, path: str | Path, arguments: dict[str, str], log: Path | None = None) -> None:
        if not Path(path).is_file():
            raise LaunchError(f"no launch file '{path}'")
        runner = ["ros2", "launch"] if shutil.which("ros2") else [sys.executable, "-m", "geo_nav.launcher"]
        command = [*runner, str(path), *(f"{name}:={value}" for name, value in arguments.items())]
        self._log: IO[bytes] | None = None if log is None else log.open("wb")
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def poll(self) -> int | None:
        """The exit code once the launch has ended, else None."""
        return self._process.poll()

    def stop(self, timeout: float = 15.0) -> int:
        """Stops the launch and all its nodes; may be called again.

        Args:
            timeout: seconds for the nodes to end, before the launch itself is killed.

        Returns:
            The exit code.
        """
        if self._process.poll() is None:
            # The whole group: `ros2 launch` expects its nodes to get Ctrl-C from the terminal, not from it.
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._log is not None:
            self._log.close()
        return self._process.returncode

    def __enter__(self) -> BackgroundLaunch:
        """The launch itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the launch."""
        self.stop()
