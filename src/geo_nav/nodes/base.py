"""What every node of geo_nav is: a lifecycle node that brings itself up, and never dies of a message."""

from __future__ import annotations

import functools
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

import rclpy
from pydantic import BaseModel, ValidationError
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from geo_nav import GeoNavError

Config = TypeVar("Config", bound=BaseModel)

EXIT_CONFIGURATION = 2
"""Exit status of a node that could not be brought up."""

_REPEAT_SECONDS = 5.0


def reliable(depth: int) -> QoSProfile:
    """Reliable, volatile: the node's own outputs."""
    return QoSProfile(depth=depth, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.RELIABLE)


def sensor(depth: int) -> QoSProfile:
    """Best effort: takes a sensor's messages whatever reliability its driver offers."""
    return QoSProfile(depth=depth, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.BEST_EFFORT)


def latched(depth: int = 1) -> QoSProfile:
    """Reliable, transient local: whoever comes later still gets the last ones."""
    return QoSProfile(
        depth=depth,
        history=QoSHistoryPolicy.KEEP_LAST,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
    )


class GeoNavNode(LifecycleNode):
    """A managed node (unconfigured → inactive → active) that also works without a manager.

    With the parameter ``autostart`` (default true) it configures and activates itself, so a node that was killed and
    respawned is at work again without anybody's help. Subclasses fill in :meth:`configure`, :meth:`activate` and
    :meth:`deactivate`; each raises :class:`~geo_nav.GeoNavError` where it cannot go on.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.autostart = bool(self.declare_parameter("autostart", True).value)
        self.active = False
        self.finished = False
        self._last_said: dict[str, float] = {}

    def configure(self) -> None:
        """Reads parameters, loads what is needed, makes publishers and subscriptions."""

    def activate(self) -> None:
        """Starts the work."""

    def deactivate(self) -> None:
        """Stops the work; :meth:`activate` may follow. Also called, once more, at the end."""

    def read_config(self, kind: type[Config], group: str = "") -> Config:
        """The node's parameters, declared from and checked by a room's configuration.

        Args:
            kind: the configuration; each field becomes a parameter, those of a nested one below its name.
            group: prefix of the parameters' names (``matching`` → ``matching.ratio``).

        Raises:
            GeoNavError: a value is out of its range or of another type; all such are named.
        """
        values: dict[str, Any] = {}
        for name, field in kind.model_fields.items():
            descriptor = ParameterDescriptor(description=field.description or "", dynamic_typing=True)
            parameter = f"{group}.{name}" if group else name
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                values[name] = self.read_config(field.annotation, parameter)
                continue
            if not self.has_parameter(parameter):
                default = field.get_default(call_default_factory=True)
                default = list(default) if isinstance(default, tuple) else default
                self.declare_parameter(parameter, default, descriptor)
            value = self.get_parameter(parameter).value
            values[name] = list(value) if hasattr(value, "typecode") else value
        try:
            return kind(**values)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']})" for e in error.errors()
            )
            where = f"{self.get_name()}.{group}" if group else self.get_name()
            raise GeoNavError(f"parameters of {where} that cannot be used: {problems}") from error

    def string_parameter(self, name: str, default: str, description: str) -> str:
        """Declares (once) and reads one string parameter."""
        if not self.has_parameter(name):
            self.declare_parameter(name, default, ParameterDescriptor(description=description))
        return str(self.get_parameter(name).value)

    def subscribe(
        self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile, raw: bool = False
    ) -> None:
        """A subscription whose callback may fail without taking the node down."""
        self.create_subscription(kind, topic, self.guarded(callback, topic), qos, raw=raw)

    def guarded(self, callback: Callable[..., Any], what: str) -> Callable[..., Any]:
        """The callback, with everything that it raises logged instead."""

        @functools.wraps(callback)
        def call(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except GeoNavError as error:
                self.warn_sometimes(f"{what}: {error}")
            except Exception as error:  # the last line of defence: a message must not end the navigation
                if not rclpy.ok():
                    return None  # taken down meanwhile: nothing can be published any more
                self.warn_sometimes(f"{what}: {type(error).__name__}: {error}")
            return None

        return call

    def warn_sometimes(self, text: str, key: str | None = None) -> None:
        """Warns, but repeats the same warning at most every few seconds."""
        now = time.monotonic()
        key = key or text
        if now - self._last_said.get(key, -1e9) >= _REPEAT_SECONDS:
            self._last_said[key] = now
            if len(self._last_said) > 1000:
                self._last_said.clear()
            self.get_logger().warning(text)

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Lifecycle transition; see :meth:`configure`."""
        return self._transition("configure", self.configure)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Lifecycle transition; see :meth:`activate`."""
        result = self._transition("activate", self.activate)
        if result == TransitionCallbackReturn.SUCCESS:
            self.active = True
            return super().on_activate(state)
        return result

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Lifecycle transition; see :meth:`deactivate`."""
        self.active = False
        result = self._transition("deactivate", self.deactivate)
        return super().on_deactivate(state) if result == TransitionCallbackReturn.SUCCESS else result

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Lifecycle transition: gives back what :meth:`configure` made."""
        for entity, destroy in (
            *((s, self.destroy_subscription) for s in list(self.subscriptions)),
            *((t, self.destroy_timer) for t in list(self.timers)),
        ):
            destroy(entity)
        return TransitionCallbackReturn.SUCCESS

    def _transition(self, name: str, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except GeoNavError as error:
            self.get_logger().fatal(f"cannot {name}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS


def make_executor(context: Any = None) -> Any:
    """The events executor where this rclpy has it (half the latency at IMU rate), else the single-threaded one."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


class _Signals:
    """SIGINT and SIGTERM ask the node to end: between two messages, not in the midst of one.

    Python's own handler raises an exception wherever the program is. In the conversion of a message rclpy makes another
    error of it, and the node dies of being asked to end.

    Attributes:
        interrupts: a signal raises KeyboardInterrupt: while the node is brought up, which may take long.
    """

    def __init__(self) -> None:
        self.interrupts = False
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()
        if self.interrupts:
            self.interrupts = False
            raise KeyboardInterrupt

    @property
    def asked(self) -> bool:
        """Whether the node was asked to end."""
        return self._asked.is_set()


def run(node_type: Callable[[], GeoNavNode]) -> None:
    """``main`` of every node: brings it up, serves it until a signal or its own end, takes it down in order."""
    signals = _Signals()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = node_type()
    executor = make_executor()
    executor.add_node(node)
    status = 0
    try:
        if node.autostart:
            status = _bring_up(node, signals)
        while not (signals.asked or node.finished or status):
            # spin() and an untimed spin_once() of the events executor never dispatch in the kilted wheels.
            executor.spin_once(timeout_sec=0.1)
    finally:
        node.active = False
        node.deactivate()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    sys.exit(status)


def _bring_up(node: GeoNavNode, signals: _Signals) -> int:
    """Configures and activates; the exit status, 0 where the node can go on or was asked to end meanwhile."""
    try:
        signals.interrupts = not signals.asked
        for trigger in (node.trigger_configure, node.trigger_activate):
            if signals.asked:
                break
            if trigger() != TransitionCallbackReturn.SUCCESS:
                return 0 if signals.asked else EXIT_CONFIGURATION
    except KeyboardInterrupt:
        pass
    finally:
        signals.interrupts = False
    return 0
