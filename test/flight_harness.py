"""Real nodes for the system tests: a launch in a process group and ROS domain of its own, and a listener."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node

from geo_nav.commands.launch import launch_command
from geo_nav.nodes.base import make_executor

ROOT = Path(__file__).resolve().parents[1]


def free_domain() -> tuple[int, socket.socket]:
    """A ROS domain that no other test on this machine uses; held for as long as the socket is open."""
    for domain in range(10, 100):
        lock = socket.socket()
        try:
            lock.bind(("127.0.0.1", 20_000 + domain))
        except OSError:
            lock.close()
            continue
        return domain, lock
    raise RuntimeError("no free ROS domain")


class Launch:
    """A launch file under way, as `geo-nav launch` starts it."""

    def __init__(self, file: str, arguments: dict[str, str], log: Path) -> None:
        self.domain, self._lock = free_domain()
        self.log = log
        environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(self.domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "ROS_PYTHON_CHECK_FIELDS": "1",
        }
        with log.open("wb") as file_out:
            self.process = subprocess.Popen(
                launch_command(file, arguments),
                stdout=file_out, stderr=subprocess.STDOUT, start_new_session=True, env=environment,
            )  # fmt: skip

    def pid_of(self, node: str) -> int | None:
        """Process of a node of this launch: by its executable, among those with this launch's domain."""
        mark = f"ROS_DOMAIN_ID={self.domain}\0".encode()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                mine = mark in (folder / "environ").read_bytes() + b"\0"
            except OSError:
                continue
            if mine and any(word.endswith(f"lib/geo_nav/{node}".encode()) for word in command):
                return int(folder.name)
        return None

    def text(self) -> str:
        """What the nodes have said so far."""
        return self.log.read_text(errors="replace")

    def close(self) -> int:
        """Ctrl-C, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=40)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self._lock.close()


class Listener:
    """A node in the launch's domain that keeps the newest message of each topic, and publishes."""

    def __init__(self, domain: int) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = Node("listener", context=self._context)
        self.messages: dict[str, list[Any]] = {}
        self._executor = make_executor(self._context)
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def listen(self, kind: type, topic: str, qos: Any) -> list[Any]:
        """All messages of a topic from now on."""
        store: list[Any] = []
        self.messages[topic] = store
        self.node.create_subscription(kind, topic, store.append, qos)
        return store

    def wait(self, condition: Callable[[], bool], seconds: float, launch: Launch | None = None) -> bool:
        """Whether a condition came true in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            if launch is not None and launch.process.poll() is not None:
                return condition()
            time.sleep(0.05)
        return condition()

    def close(self) -> None:
        """Takes the node down, in the order that rclpy needs."""
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)
