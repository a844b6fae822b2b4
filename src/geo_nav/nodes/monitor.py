"""Listeners beside a running node graph: a flight's progress bar, and what `geo-nav monitor` shows."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from sensor_msgs.msg import NavSatFix

from geo_nav.nodes.base import make_executor, reliable, sensor
from geo_nav.nodes.conversion import seconds, serialized_stamp
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus

STATES = ("INITIALIZING", "TRACKING", "COASTING", "LOST", "RELOCALIZING")
"""Names of the states, by the numbers of `NavigationStatus.msg`."""

_WINDOW = 5.0
"""Seconds over which rates are taken."""

_OTHER_CLOCK = 10.0
"""A stamp further than this from this machine's time is of another clock (a replay, another machine), s."""

_REFUSALS = 5
"""Refused frames that are remembered."""

Heard = TypeVar("Heard", bound="Listener")


class Arrivals:
    """When the messages of a topic came.

    Attributes:
        last: when the newest came, s, monotonic; None before the first.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._latency: float | None = None
        self.last: float | None = None

    def add(self, stamp: float | None = None) -> None:
        """One came now.

        Args:
            stamp: of its header, s.
        """
        self.last = time.monotonic()
        self._times.append(self.last)
        if stamp is not None:
            late = time.time() - stamp
            self._latency = late if abs(late) < _OTHER_CLOCK else None

    def rate(self) -> float:
        """Messages a second over the last five, by the first and the last of them; 0 with fewer than two."""
        while self._times and self._times[0] < time.monotonic() - _WINDOW:
            self._times.popleft()
        times = list(self._times)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    @property
    def age(self) -> float | None:
        """Seconds since the newest; None before the first."""
        return None if self.last is None else time.monotonic() - self.last

    @property
    def latency(self) -> float | None:
        """Seconds from the newest message's stamp to its arrival; None where the clocks are not the same."""
        return self._latency


class Listener:
    """The state of the navigation and the verdicts on its frames.

    Args:
        node: whose subscriptions they are.
        namespace: of the navigation, without slashes around it.

    Attributes:
        status: the newest.
        pose: the newest verdict on a frame.
        accepted: frames since the listener began.
        refused: frames since then.
        refusals: (monotonic time, gate, reason) of the last refused ones.
        arrivals: of the topics, by their name below the namespace.
    """

    def __init__(self, node: Node, namespace: str) -> None:
        self.node, self.namespace = node, namespace
        self.status: NavigationStatus | None = None
        self.pose: AbsolutePose | None = None
        self.accepted = self.refused = 0
        self.refusals: deque[tuple[float, str, str]] = deque(maxlen=_REFUSALS)
        self.arrivals = {"status": Arrivals(), "absolute_pose": Arrivals()}
        node.create_subscription(NavigationStatus, f"/{namespace}/status", self._on_status, reliable(10))
        node.create_subscription(AbsolutePose, f"/{namespace}/absolute_pose", self._on_pose, reliable(10))

    def _on_status(self, message: NavigationStatus) -> None:
        self.arrivals["status"].add(seconds(message.header.stamp))
        self.status = message

    def _on_pose(self, message: AbsolutePose) -> None:
        self.arrivals["absolute_pose"].add(seconds(message.header.stamp))
        self.pose = message
        if message.status == AbsolutePose.ACCEPTED:
            self.accepted += 1
        else:
            self.refused += 1
            self.refusals.append((time.monotonic(), message.gate, message.reason))

    @property
    def state(self) -> str:
        """Name of the state; empty before there is one."""
        if self.status is None:
            return ""
        return STATES[self.status.state] if self.status.state < len(STATES) else str(self.status.state)


class SystemListener(Listener):
    """The same, and where the vehicle is, what the diagnostics say and how fast the IMU comes.

    Neither images nor IMU cross the network for it: their rates are told by the status and the diagnostics.

    Attributes:
        odometry: the newest, serialized.
        fix: the newest.
        diagnostics: the entries of this navigation, by name.
    """

    def __init__(self, node: Node, namespace: str) -> None:
        super().__init__(node, namespace)
        self._odometry: bytes | None = None
        self.fix: NavSatFix | None = None
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self._samples: deque[tuple[float, int]] = deque()
        self.arrivals |= {"odometry": Arrivals(), "fix": Arrivals(), "/diagnostics": Arrivals()}
        node.create_subscription(Odometry, f"/{namespace}/odometry", self._on_odometry, sensor(50), raw=True)
        node.create_subscription(NavSatFix, f"/{namespace}/fix", self._on_fix, sensor(5))
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable(20))

    def _on_status(self, message: NavigationStatus) -> None:
        super()._on_status(message)
        now = time.monotonic()
        if self._samples and message.imu_samples < self._samples[-1][1]:
            self._samples.clear()  # the node was started again
        self._samples.append((now, int(message.imu_samples)))
        while self._samples[0][0] < now - _WINDOW:
            self._samples.popleft()

    def _on_odometry(self, data: bytes) -> None:
        self.arrivals["odometry"].add(serialized_stamp(data))
        self._odometry = bytes(data)

    def _on_fix(self, message: NavSatFix) -> None:
        self.arrivals["fix"].add(seconds(message.header.stamp))
        self.fix = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        ours = [entry for entry in message.status if entry.name.startswith(f"{self.namespace}: ")]
        if ours:
            self.arrivals["/diagnostics"].add()
            self.diagnostics |= {entry.name: entry for entry in ours}

    @property
    def odometry(self) -> Odometry | None:
        """The newest; None before the first."""
        return None if self._odometry is None else deserialize_message(self._odometry, Odometry)

    @property
    def imu_rate(self) -> float | None:
        """Samples a second that reach fusion, by its status; None before two of them."""
        samples = list(self._samples)
        if len(samples) < 2 or samples[-1][0] <= samples[0][0]:
            return None
        return (samples[-1][1] - samples[0][1]) / (samples[-1][0] - samples[0][0])

    def elsewhere(self) -> list[str]:
        """Other namespaces in which somebody publishes a status of navigation."""
        kind = "geo_nav_msgs/msg/NavigationStatus"
        topics = [name for name, kinds in self.node.get_topic_names_and_types() if kind in kinds]
        found = {
            name.removesuffix("/status").strip("/") for name in topics if self.node.get_publishers_info_by_topic(name)
        }
        return sorted(found - {self.namespace})


@contextmanager
def listening(kind: Callable[[Node, str], Heard], namespace: str = "geo_nav") -> Iterator[Heard]:
    """A listener that is served on a thread of its own, in a context of its own.

    Args:
        kind: :class:`Listener` or :class:`SystemListener`.
        namespace: of the navigation.
    """
    context = rclpy.Context()
    # Ctrl-C ends the caller, who takes this down in order; rclpy's own handler would pull the context away before.
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node: Any = Node("geo_nav_monitor", context=context)
    executor = make_executor(context)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=serve, daemon=True)
    try:
        listener = kind(node, namespace.strip("/"))
        executor.add_node(node)
        thread.start()
        yield listener
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


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
    columns = (
        TextColumn("flight"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    stamps: list[float] = []
    with listening(Listener) as listener, Progress(*columns) as progress:
        clock = _keeper(stamps)
        listener.node.create_subscription(Odometry, clock_topic, clock, reliable(10))
        task = progress.add_task(_progress(listener), total=total)
        going = True
        while going:
            going = running()
            elapsed = stamps[-1] - stamps[0] if stamps else 0.0
            progress.update(task, completed=min(elapsed, total), description=_progress(listener))
            time.sleep(0.25 if going else 0.0)


def _keeper(stamps: list[float]) -> Callable[[Odometry], None]:
    """A callback that keeps the first and the newest stamp."""

    def keep(message: Odometry) -> None:
        stamps[1:] = [seconds(message.header.stamp)] if stamps else []
        if not stamps:
            stamps.append(seconds(message.header.stamp))

    return keep


def _progress(listener: Listener) -> str:
    if listener.status is None:
        return "waiting for the nodes"
    sigma = listener.status.horizontal_sigma
    return f"{listener.state:<12} σ {sigma:5.2f} m   fixes {listener.accepted} accepted, {listener.refused} refused"
