"""Every frame tracked, beside the thread that registers some: what is done with each, and the thread that does it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import numpy.typing as npt

from geo_nav import GeoNavError
from geo_nav.geodesy import Pose
from geo_nav.nodes.camera_frame import Frame
from geo_nav.registration import AbsolutePose, Status
from geo_nav.registration.masks import VehicleMask
from geo_nav.registration.tracking import TrackedFrame, TrackStatus
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_follower import CameraFrame, Follower
from geo_nav.rendering import RenderedView

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_QUEUE = 3
"""Frames that may wait; a frame more and the oldest is passed over: late tracks are worth less than new ones."""

_REPORT_PERIOD = 30.0
"""Seconds from one line of statistics to the next."""


@dataclass(frozen=True, eq=False)
class Registered:
    """A frame that was given to registration, and what came of it.

    Attributes:
        frame: the frame.
        found: accepted, or refused.
        T_map_camera: as predicted.
        covariance: (6, 6) of that, ROS order, m and rad.
        view: that it was matched against; None where it did not come as far as that.
        usable: (h, w) of the undistorted frame, where the masks let it be matched; None as with the view.
    """

    frame: Frame
    found: AbsolutePose
    T_map_camera: Pose
    covariance: Array
    view: RenderedView | None
    usable: Mask | None = None


@dataclass(frozen=True, eq=False)
class Tracked:
    """A tracked frame, the message's frame that it is, and the one that its points come from."""

    frame: TrackedFrame
    newest: Frame
    reference: Frame


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
                f"(at most {max(self.ages):.1f} s) after the frame that they come from"
            )
        if self.passed_over:
            words += f"; {self.passed_over} frames came too fast"
        return words + (f"; lost {len(self.lost)} times, last because {self.lost[-1]}" if self.lost else "")


class FrameTracker:
    """Takes frames and registrations in turn, and gives tracked frames. For one thread.

    Args:
        config: parameters.
        vehicle: mask of the vehicle's own parts, if there is one.
        as_seen: makes a frame ready for tracking, with its predicted pose.

    Attributes:
        statistics: of what has happened.
    """

    def __init__(
        self, config: TrackingConfig, vehicle: VehicleMask | None, as_seen: Callable[[Frame], CameraFrame]
    ) -> None:
        self._as_seen = as_seen
        self._follower = Follower(config, vehicle)
        self._newest: Frame | None = None
        self._reference: Frame | None = None
        self.statistics = Statistics(time.monotonic())

    def step(self, frame: Frame | None, registered: Registered | None) -> Tracked | None:
        """One frame, or one registration.

        Returns:
            The newest frame, where that could be tracked now.
        """
        if frame is not None and self._follower.see(self._as_seen(frame)):
            self._newest = frame
        if registered is not None:
            try:
                self._begin(registered)
            except GeoNavError as error:
                if registered.found.accepted:  # refused frames are many, and the next one may do
                    self.statistics.lost.append(str(error))
        return self._follow()

    def _begin(self, registered: Registered) -> None:
        follower, seen = self._follower, self._as_seen(registered.frame)
        if registered.found.accepted:
            follower.registered(seen, registered.found, registered.view, registered.usable)
        elif registered.found.status is not Status.BAD_INPUT:  # a blank frame's specks do not move with the ground
            pose, covariance = registered.T_map_camera, registered.covariance
            follower.refused(seen, pose, covariance, registered.view, registered.usable)
        if follower.reference_stamp == seen.stamp:
            self._reference = registered.frame

    def _follow(self) -> Tracked | None:
        tracked = self._follower.follow()
        if tracked is None:
            return None
        self.statistics.add(tracked)
        if tracked.status is not TrackStatus.TRACKED or self._newest is None or self._reference is None:
            return None
        return Tracked(tracked, self._newest, self._reference)


class FrameQueue:
    """What waits for tracking: the newest frames, and the newest registration, which comes first. Not thread-safe.

    A frame that registration refused does not take the place of one that it accepted.
    """

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._registered: Registered | None = None

    def __len__(self) -> int:
        return len(self._frames) + (self._registered is not None)

    def offer(self, frame: Frame) -> bool:
        """A frame; whether another had to be passed over for it."""
        self._frames.append(frame)
        if len(self._frames) <= _QUEUE:
            return False
        self._frames.popleft()
        return True

    def registered(self, registered: Registered) -> None:
        """A registration, accepted or not."""
        waiting = self._registered
        if registered.found.accepted or waiting is None or not waiting.found.accepted:
            self._registered = registered

    def take(self) -> tuple[Frame | None, Registered | None]:
        """The registration, or else the oldest frame."""
        registered, self._registered = self._registered, None
        return (self._frames.popleft() if registered is None and self._frames else None), registered


class FrameTracking:
    """Takes frames and registrations from other threads and hands tracked frames on.

    Args:
        config: parameters.
        vehicle: mask of the vehicle's own parts, if there is one.
        as_seen: makes a frame ready for tracking, with its predicted pose; called on the tracking thread.
        publish: takes a tracked frame.
        report: takes a line of statistics now and then.
        guard: wraps what may fail (`GeoNavNode.guarded`).
    """

    def __init__(
        self,
        config: TrackingConfig,
        vehicle: VehicleMask | None,
        as_seen: Callable[[Frame], CameraFrame],
        publish: Callable[[Tracked], None],
        report: Callable[[str], None],
        guard: Callable[[Callable[[], None], str], Callable[[], None]],
    ) -> None:
        self._publish = publish
        self._report = report
        self._tracker = FrameTracker(config, vehicle, as_seen)
        self._wake = threading.Condition()
        self._queue = FrameQueue()
        self._stop = False
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
            self._tracker.statistics.passed_over += self._queue.offer(frame)
            self._wake.notify()

    def registered(self, registered: Registered) -> None:
        """A registration, accepted or not, whenever it is done; never waits."""
        with self._wake:
            self._queue.registered(registered)
            self._wake.notify()

    def _work(self, step: Callable[[], None]) -> None:
        while not self._stop:
            with self._wake:
                if not self._queue:
                    self._wake.wait(0.5)
            step()

    def _step(self) -> None:
        with self._wake:
            frame, registered = self._queue.take()
        if frame is None and registered is None:
            return
        tracked = self._tracker.step(frame, registered)
        if tracked is not None:
            self._publish(tracked)
        self._tell()

    def _tell(self) -> None:
        now, statistics = time.monotonic(), self._tracker.statistics
        if now - statistics.since > _REPORT_PERIOD:
            text = statistics.text(now)
            if text:
                self._report(text)
            self._tracker.statistics = Statistics(now)
