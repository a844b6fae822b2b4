"""A progress bar over a running node graph."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import rclpy
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from geo_nav.nodes.base import make_executor, reliable
from geo_nav.nodes.conversion import seconds
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus

_STATES = ("INITIALIZING", "TRACKING", "COASTING", "LOST", "RELOCALIZING")


class _Listener:
    def __init__(self, node: Node, clock_topic: str) -> None:
        self.first: float | None = None
        self.now = 0.0
        self.text = "waiting for the nodes"
        self.accepted = self.refused = 0
        node.create_subscription(Odometry, clock_topic, self._on_clock, reliable(10))
        node.create_subscription(NavigationStatus, "/geo_nav/status", self._on_status, reliable(10))
        node.create_subscription(AbsolutePose, "/geo_nav/absolute_pose", self._on_pose, reliable(10))

    def _on_clock(self, message: Odometry) -> None:
        self.now = seconds(message.header.stamp)
        self.first = self.now if self.first is None else self.first

    def _on_status(self, message: NavigationStatus) -> None:
        state = _STATES[message.state] if message.state < len(_STATES) else str(message.state)
        self.text = (
            f"{state:<12} σ {message.horizontal_sigma:5.2f} m   fixes {self.accepted} accepted, {self.refused} refused"
        )

    def _on_pose(self, message: AbsolutePose) -> None:
        if message.status == AbsolutePose.ACCEPTED:
            self.accepted += 1
        else:
            self.refused += 1

    @property
    def elapsed(self) -> float:
        return 0.0 if self.first is None else self.now - self.first


def watch(
    total: float, running: Callable[[], bool], clock_topic: str = "/simulation/truth", quiet: bool = False
) -> None:
    """Shows how far a flight has come, until ``running`` says that it has ended.

    Args:
        total: length of the flight, seconds.
        running: asked a few times a second.
        clock_topic: odometry whose stamps are the flight's time.
        quiet: waits without showing anything.
    """
    if quiet:
        while running():
            time.sleep(0.2)
        return
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("geo_nav_monitor", context=context)
    listener = _Listener(node, clock_topic)
    executor = make_executor(context)
    executor.add_node(node)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    columns = (
        TextColumn("flight"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    try:
        with Progress(*columns) as progress:
            task = progress.add_task(listener.text, total=total)
            while running():
                progress.update(task, completed=min(listener.elapsed, total), description=listener.text)
                time.sleep(0.25)
            progress.update(task, completed=min(listener.elapsed, total), description=listener.text)
    finally:
        stop.set()
        thread.join()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
