"""The thread that tracks every frame, beside the one that registers some."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time

from geo_nav import GeoNavError
from geo_nav.registration import AbsolutePose
from geo_nav.registration.masks import VehicleMask
from geo_nav.registration.tracking import TrackedFrame, TrackStatus
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_follower import CameraFrame, Follower
from geo_nav.rendering import Camera, RenderedView

_QUEUE = 3
"""Frames that may wait; a frame more and the oldest is passed over: late tracks are worth less than new ones."""

_REPORT_PERIOD = 30.0
"""Seconds from one line of statistics to the next."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A camera frame with its message's stamp and frame."""

    image: npt.NDArray[np.uint8]
    camera: Camera
    stamp: Time
    frame_id: str


@dataclass(frozen=True, eq=False)
class Registered:
    """A registered frame, its accepted result and the view that it was matched against."""

    frame: Frame
    found: AbsolutePose
    view: RenderedView | None


@dataclass
class Statistics:
    """What happened since the last report."""

    since: float
    passed_over: int = 0
    milliseconds: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def add(self, tracked: TrackedFrame) -> None:
        """Count a frame."""
        if tracked.status is TrackStatus.LOST:
            self.lost.append(tracked.reason)
            return
        self.milliseconds.append(tracked.milliseconds["total"])
        self.ages.append(tracked.stamp - tracked.reference_stamp)
        self.points.append(len(tracked.ids))

    def text(self, now: float) -> str:
        """One line; empty where nothing was tracked or lost."""
        if not self.milliseconds and not self.lost:
            return ""
        words = f"tracked {len(self.milliseconds) / (now - self.since):.1f} frames/s"
        if self.milliseconds:
            words += (
                f": {median(self.milliseconds):.1f} ms, {median(self.points):.0f} points, {median(self.ages):.1f} s "
                f"(at most {max(self.ages):.1f} s) after their registration"
            )
        if self.passed_over:
            words += f"; {self.passed_over} frames came too fast"
        return words + (f"; lost {len(self.lost)} times, last because {self.lost[-1]}" if self.lost else "")


class FrameTracking:
    """Takes frames and registrations from other threads and hands tracked frames on.

    Args:
        config: parameters.
        vehicle: mask of the vehicle's own parts, if there is one.
        as_seen: makes a frame ready for tracking, with its predicted pose; called on the tracking thread.
        publish: takes (tracked frame, its stamp, the registered frame's stamp, frame_id).
        report: takes a line of statistics now and then.
        guard: wraps what may fail (`GeoNavNode.guarded`).
    """

    def __init__(
        self,
        config: TrackingConfig,
        vehicle: VehicleMask | None,
        as_seen: Callable[[Frame], CameraFrame],
        publish: Callable[[TrackedFrame, Time, Time, str], None],
        report: Callable[[str], None],
        guard: Callable[[Callable[[], None], str], Callable[[], None]],
    ) -> None:
        self._as_seen = as_seen
        self._publish = publish
        self._report = report
        self._follower = Follower(config, vehicle)
        self._wake = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._registered: Registered | None = None
        self._newest: Frame | None = None
        self._reference: Frame | None = None
        self._stop = False
        self._statistics = Statistics(time.monotonic())
        self._thread = threading.Thread(target=self._work, args=(guard(self._step, "tracking"),), daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits for it; it cannot be started again."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        self._thread.join()

    def offer(self, frame: Frame) -> None:
        """A frame as it comes; never waits."""
        with self._wake:
            self._frames.append(frame)
            if len(self._frames) > _QUEUE:
                self._frames.popleft()
                self._statistics.passed_over += 1
            self._wake.notify()

    def registered(self, frame: Frame, found: AbsolutePose, view: RenderedView | None) -> None:
        """An accepted registration, whenever it is done; never waits."""
        with self._wake:
            self._registered = Registered(frame, found, view)
            self._wake.notify()

    def _work(self, step: Callable[[], None]) -> None:
        while not self._stop:
            with self._wake:
                if not self._frames and self._registered is None:
                    self._wake.wait(0.5)
            step()

    def _step(self) -> None:
        """One frame, or one registration."""
        with self._wake:
            registered, self._registered = self._registered, None
            frame = self._frames.popleft() if registered is None and self._frames else None
        if frame is not None and self._follower.see(self._as_seen(frame)):
            self._newest = frame
        if registered is not None:
            self._begin(registered)
        if frame is not None or registered is not None:
            self._follow()

    def _begin(self, registered: Registered) -> None:
        try:
            self._follower.registered(self._as_seen(registered.frame), registered.found, registered.view)
        except GeoNavError as error:
            self._statistics.lost.append(str(error))
            return
        self._reference = registered.frame

    def _follow(self) -> None:
        tracked = self._follower.follow()
        if tracked is not None:
            self._statistics.add(tracked)
            newest, reference = self._newest, self._reference
            if tracked.status is TrackStatus.TRACKED and newest is not None and reference is not None:
                # The messages' own stamps: seconds as float64 lose the last hundred nanoseconds.
                self._publish(tracked, newest.stamp, reference.stamp, newest.frame_id)
        now = time.monotonic()
        if now - self._statistics.since > _REPORT_PERIOD:
            text = self._statistics.text(now)
            if text:
                self._report(text)
            self._statistics = Statistics(now)
