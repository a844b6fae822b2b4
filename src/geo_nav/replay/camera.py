"""The camera node in the time of the bag: its two threads, each of which takes as long as the settings say.

The real work is done on threads of their own and is waited for only when the time of the bag has come to its result. So
two cores are used, and no result depends on how fast they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage

from geo_nav.geodesy import Pose, TransformTree
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.conversion import seconds
from geo_nav.nodes.frame_registration import (
    PRIOR_PATIENCE,
    TRACKING_PATIENCE,
    FrameRegistration,
    frame_as_seen,
    mounting_of,
    registration_messages,
    tracking_message,
)
from geo_nav.nodes.frame_tracking import FrameQueue, FrameTracker, Registered, Tracked
from geo_nav.nodes.odometry_history import OdometryHistory
from geo_nav.nodes.settings import CameraNodeConfig
from geo_nav.registration import AbsolutePose
from geo_nav.registration.masks import vehicle_mask
from geo_nav.registration.tracking_follower import CameraFrame
from geo_nav.replay.agenda import Agenda
from geo_nav.replay.config import ReplayConfig
from geo_nav.replay.pictures import PictureChoice
from geo_nav.replay.profile import Profile
from geo_nav.replay.warning_log import WarningLog
from geo_nav.site import SiteModel

Array = npt.NDArray[np.float64]
Publish = Callable[[str, Any], None]
_Prior = tuple[Pose, Array] | None


@dataclass(frozen=True, eq=False)
class CameraContext:
    """What both threads of the camera node share.

    Attributes:
        config: of the node.
        times: how long the work takes.
        agenda: of the bag.
        history: the odometry so far.
        mountings: what `/tf_static` says.
        publish: takes (output, message); the outputs are ``absolute_pose``, ``tie_points`` and ``picture``.
        log: of warnings.
        profile: of the time spent.
    """

    config: CameraNodeConfig
    times: ReplayConfig
    agenda: Agenda
    history: OdometryHistory
    mountings: TransformTree
    publish: Publish
    log: WarningLog
    profile: Profile

    def mounting(self, frame: Frame) -> Pose | None:
        """``T_base_camera`` of a frame's camera."""
        return self.mountings.lookup(self.config.base_frame, frame.frame_id)


class PriorWait:
    """Waits for the odometry of a frame's stamp, for so long and no longer."""

    def __init__(self, context: CameraContext) -> None:
        self._context = context
        self._frame: Frame | None = None
        self._then: Callable[[_Prior], None] = lambda prior: None

    def begin(self, frame: Frame, patience: float, then: Callable[[_Prior], None]) -> None:
        """Calls ``then`` with (T_map_base, covariance), or with None when patience (s) ends first."""
        self._frame, self._then = frame, then
        self._context.agenda.after(patience, lambda: self._end(frame))
        self.poke()

    def poke(self) -> None:
        """There is new odometry."""
        if self._frame is not None and self._context.history.reaches(seconds(self._frame.stamp)):
            self._end(self._frame)

    def _end(self, frame: Frame) -> None:
        if self._frame is frame:
            self._frame = None
            self._then(self._context.history.at(seconds(frame.stamp)))


class Registering:
    """The thread that registers the newest frame whenever its last registration is done.

    Args:
        context: what it shares.
        site: the model.
        cancelled: True makes do with what a registration has tried.
        pictures: which frames get a debug picture.
        registered: takes every accepted registration.

    Raises:
        GeoNavError: the renderer, the matcher or a mask cannot be made.
    """

    def __init__(
        self,
        context: CameraContext,
        site: SiteModel,
        cancelled: Callable[[], bool],
        pictures: PictureChoice,
        registered: Callable[[Registered], None],
    ) -> None:
        self._context = context
        self._pictures = pictures
        self._registered = registered
        self._pool = ThreadPoolExecutor(1, "registration")
        self._newest: Frame | None = None
        self._busy = False
        self._wait = PriorWait(context)
        with context.profile("loading of renderer and matcher"):
            # OpenGL contexts belong to a thread.
            self._registration = self._pool.submit(FrameRegistration, context.config, site, cancelled).result()

    def close(self) -> None:
        """Waits for the registration under way and ends the thread."""
        self._pool.submit(self._registration.close)
        self._pool.shutdown()

    def offer(self, frame: Frame) -> None:
        """A frame as it comes."""
        self._newest = frame
        self._next()

    def poke(self) -> None:
        """There is new odometry."""
        self._wait.poke()

    def _next(self) -> None:
        if self._busy or self._newest is None:
            return
        frame, self._newest = self._newest, None
        mounting = self._context.log.guarded(
            "registration", mounting_of, self._context.mounting(frame), self._context.config.base_frame, frame.frame_id
        )
        if mounting is not None:
            self._busy = True
            self._wait.begin(frame, PRIOR_PATIENCE, lambda prior: self._start(frame, prior, mounting))

    def _start(self, frame: Frame, prior: _Prior, mounting: Pose) -> None:
        if prior is None:
            self._context.log.add("frames waited for a first state of fusion", "no prior")
            self._busy = False
            self._next()
            return
        future = self._pool.submit(self._work, self._context.agenda.now, frame, prior, mounting)
        self._context.agenda.after(self._context.times.registration_seconds, lambda: self._done(frame, future))

    def _work(
        self, now: int, frame: Frame, prior: tuple[Pose, Array], mounting: Pose
    ) -> tuple[AbsolutePose, Registered, CompressedImage | None]:
        profile = self._context.profile
        result = self._registration.register(frame, prior, mounting)
        for stage, milliseconds in result.milliseconds.items():
            profile.add("registration" if stage == "total" else f"registration: {stage}", 1e-3 * milliseconds)
        picture = None
        if self._pictures.wanted(now, str(result.status)):
            begin = time.perf_counter()
            picture = self._registration.picture(result, frame)
            profile.add("debug pictures", time.perf_counter() - begin)
        return result, self._registration.registered(result, frame), picture

    def _done(self, frame: Frame, future: Future[tuple[AbsolutePose, Registered, CompressedImage | None]]) -> None:
        context = self._context
        with context.profile("waiting for a registration"):
            answer = context.log.guarded("registration", future.result)
        if answer is not None:
            result, registered, picture = answer
            pose, points = registration_messages(result, frame, context.config.map_frame)
            context.publish("absolute_pose", pose)
            if points is not None:
                context.publish("tie_points", points)
            if result.accepted:
                self._registered(registered)
            if picture is not None:
                context.publish("picture", picture)
        self._busy = False
        self._next()


class TrackingFrames:
    """The thread that tracks the tie points of the last registration through every frame.

    Args:
        context: what it shares.

    Raises:
        GeoNavError: the vehicle's mask cannot be read.
    """

    def __init__(self, context: CameraContext) -> None:
        self._context = context
        self._tracker = FrameTracker(context.config.tracking, vehicle_mask(context.config.masks), self._as_seen)
        self._seen: CameraFrame | None = None
        self._pool = ThreadPoolExecutor(1, "tracking")
        self._queue = FrameQueue()
        self._busy = False
        self._wait = PriorWait(context)

    def close(self) -> None:
        """Waits for the frame under way and ends the thread."""
        self._pool.shutdown()

    def offer(self, frame: Frame) -> None:
        """A frame as it comes."""
        self._queue.offer(frame)
        self._next()

    def registered(self, registered: Registered) -> None:
        """An accepted registration."""
        self._queue.registered(registered)
        self._next()

    def poke(self) -> None:
        """There is new odometry."""
        self._wait.poke()

    def _as_seen(self, frame: Frame) -> CameraFrame:
        assert self._seen is not None
        return self._seen

    def _next(self) -> None:
        if self._busy or not self._queue:
            return
        frame, registered = self._queue.take()
        seen = frame if registered is None else registered.frame
        assert seen is not None
        self._busy = True
        self._wait.begin(seen, TRACKING_PATIENCE, lambda prior: self._start(seen, frame, registered, prior))

    def _start(self, seen: Frame, frame: Frame | None, registered: Registered | None, prior: _Prior) -> None:
        context = self._context
        self._seen = frame_as_seen(seen, prior[0] if prior else None, context.mounting(seen))
        future = self._pool.submit(self._work, frame, registered)
        context.agenda.after(context.times.tracking_seconds, lambda: self._done(future))

    def _work(self, frame: Frame | None, registered: Registered | None) -> Tracked | None:
        begin = time.perf_counter()
        try:
            return self._tracker.step(frame, registered)
        finally:
            self._context.profile.add("tracking", time.perf_counter() - begin)

    def _done(self, future: Future[Tracked | None]) -> None:
        context = self._context
        with context.profile("waiting for a tracked frame"):
            tracked = context.log.guarded("tracking", future.result)
        message = None if tracked is None else tracking_message(tracked, context.config.map_frame)
        if message is not None:
            context.publish("tie_points", message)
        self._busy = False
        self._next()
