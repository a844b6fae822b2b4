"""The camera node in the time of the bag: its two threads, each of which takes as long as the settings say.

The real work is done beside, in a process and on a thread, and is waited for only when the time of the bag has come to
its result. So two cores are used, and no result depends on how fast they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav import GeoNavError
from geo_nav.geodesy import Pose, TransformTree
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.conversion import seconds
from geo_nav.nodes.frame_registration import (
    PRIOR_PATIENCE,
    TRACKING_PATIENCE,
    camera_prior,
    frame_as_seen,
    mounting_of,
    registration_messages,
    tracking_message,
)
from geo_nav.nodes.frame_tracking import FrameQueue, FrameTracker, Registered, Tracked
from geo_nav.nodes.odometry_history import OdometryHistory
from geo_nav.nodes.settings import CameraNodeConfig
from geo_nav.registration.masks import vehicle_mask
from geo_nav.registration.tracking_follower import CameraFrame
from geo_nav.replay.agenda import Agenda
from geo_nav.replay.config import ReplayConfig
from geo_nav.replay.pictures import PictureChoice
from geo_nav.replay.profile import Profile
from geo_nav.replay.registration_process import Answer, RegistrationProcess, Task
from geo_nav.replay.warning_log import WarningLog

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
        descriptor: the site's `site.yaml`, or its folder.
        stopped: True ends the wait for a registration.
        pictures: which frames get a debug picture.
        registered: takes every registration, accepted or not.

    Raises:
        GeoNavError: the site cannot be read, or the renderer, the matcher or a mask cannot be made.
    """

    def __init__(
        self,
        context: CameraContext,
        descriptor: Path,
        stopped: Callable[[], bool],
        pictures: PictureChoice,
        registered: Callable[[Registered], None],
    ) -> None:
        self._context = context
        self._registered = registered
        self._newest: Frame | None = None
        self._busy = False
        self._wait = PriorWait(context)
        with context.profile("loading of site, renderer and matcher"):
            self._process = RegistrationProcess(context.config, descriptor, pictures, stopped)

    def close(self) -> None:
        """Ends the process, and the registration under way with it."""
        self._process.close()

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
        task = Task(self._context.agenda.now, frame, prior, mounting)
        self._process.begin(task)
        self._context.agenda.after(self._context.times.registration_seconds, lambda: self._done(task))

    def _done(self, task: Task) -> None:
        with self._context.profile("waiting for a registration"):
            answer = self._process.answer()
        if answer is None:  # the replay is being ended, and the process is still busy
            return
        if isinstance(answer, GeoNavError):
            self._context.log.failed("registration", answer)
        else:
            self._publish(task, answer)
        self._busy = False
        self._next()

    def _publish(self, task: Task, answer: Answer) -> None:
        context, frame, result = self._context, task.frame, answer.result
        for stage, milliseconds in result.milliseconds.items():
            context.profile.add("registration" if stage == "total" else f"registration: {stage}", 1e-3 * milliseconds)
        pose, points = registration_messages(result, frame, context.config.map_frame)
        context.publish("absolute_pose", pose)
        if points is not None:
            context.publish("tie_points", points)
        predicted = camera_prior(task.prior, task.T_base_camera)
        self._registered(Registered(frame, result, *predicted, answer.view, answer.usable))
        if answer.picture is not None:
            context.profile.add("debug pictures", answer.picture_seconds)
            context.publish("picture", answer.picture)


class TrackingFrames:
    """The thread that tracks the tie points of the last registration through every frame.

    Args:
        context: what it shares.

    Raises:
        GeoNavError: the vehicle's mask cannot be read.
    """

    def __init__(self, context: CameraContext) -> None:
        self._context = context
        # In the node the matcher does it, for the whole process.
        cv2.setNumThreads(context.config.matching.threads)
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
        """A registration, accepted or not."""
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
