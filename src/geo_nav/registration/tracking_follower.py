"""Registrations come late: frames are kept, and the tracks catch up from the registered frame to the newest."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from time import perf_counter

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.frames import FrameReader
from geo_nav.registration.masks import VehicleMask
from geo_nav.registration.tracking import GreyFrame, TiePointTracker, TrackedFrame, TrackStatus
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_points import TrackReference
from geo_nav.registration.types import AbsolutePose
from geo_nav.rendering import Camera, RenderedView

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_FRAMES_KEPT = 200
"""Frames kept at most, whatever their rate: 60 MB at 640x480."""
_WHOLE = 0.999
"""Share of a pixel from which all of it counts as usable."""


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """A frame as the camera delivers it.

    Attributes:
        image: (H, W, 3) RGB or (H, W) grey, uint8.
        camera: its intrinsics and distortion.
        stamp: of the exposure, s.
        predicted: ``T_map_camera`` at the stamp, None where nobody knows; only its change between frames matters.
    """

    image: npt.NDArray[np.uint8]
    camera: Camera
    stamp: float
    predicted: Pose | None


class Follower:
    """Every frame in, the registrations in as they come, tracked frames out. For one thread.

    Args:
        config: parameters.
        vehicle: what of the frames is the vehicle itself; None for nothing. Nothing is followed there.
    """

    def __init__(self, config: TrackingConfig, vehicle: VehicleMask | None = None) -> None:
        self._config = config
        self._vehicle = vehicle
        self._reader = FrameReader()
        self._tracker = TiePointTracker(config)
        self._frames: deque[GreyFrame] = deque(maxlen=_FRAMES_KEPT)
        self._camera: Camera | None = None
        self._ground: float | None = None

    @property
    def reference_stamp(self) -> float | None:
        """Of the frame whose points are followed, s; None where nothing is."""
        return self._tracker.reference_stamp

    def see(self, frame: CameraFrame) -> bool:
        """Keep a frame for :meth:`follow`.

        After a stamp that lies further back than ``memory`` (a clock that was set back) and after a change of the
        camera nothing is followed any more.

        Returns:
            False for a frame that is not newer than the last; it is not kept.

        Raises:
            RenderingError: the image is not of the camera's size.
            RegistrationError: the vehicle's mask is not.
        """
        newest = self._frames[-1] if self._frames else None
        set_back = newest is not None and frame.stamp < newest.stamp - self._config.memory
        if not set_back and newest is not None and not frame.stamp > newest.stamp:
            return False
        grey = self._grey(frame)
        if set_back or self._camera not in (None, frame.camera):
            self._frames.clear()
            self._tracker = TiePointTracker(self._config)
            self._ground = None if set_back else self._ground
        self._camera = frame.camera
        self._frames.append(grey)
        while frame.stamp - self._frames[0].stamp > self._config.memory:
            self._frames.popleft()
        return True

    def _grey(self, frame: CameraFrame) -> GreyFrame:
        frame.camera.check_image(frame.image)
        image = frame.image
        grey = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        undistorter = self._reader.undistorter(frame.camera, min(frame.camera.width, self._config.width))
        valid = undistorter.valid if self._vehicle is None else undistorter.valid & self._vehicle(undistorter)
        return GreyFrame(undistorter(grey), valid, undistorter.pinhole, frame.stamp, frame.predicted)

    def registered(
        self, frame: CameraFrame, found: AbsolutePose, view: RenderedView | None, usable: Mask | None = None
    ) -> None:
        """Follow this registration from now on.

        Args:
            frame: the registered one; it need not be one of those that :meth:`see` has kept.
            found: its registration.
            view: the site rendered from near the pose found, for corners between the tie points.
            usable: (h, w) of the undistorted frame at any width, False where no track may begin; None: anywhere.

        Raises:
            RegistrationError: it was refused, or cannot be followed; what was followed before goes on.
        """
        if not found.accepted or found.T_map_camera is None or found.covariance is None or found.tie_points is None:
            raise RegistrationError(f"a frame that was refused ({found.status}) has no registration to follow")
        reference = TrackReference(found.stamp, found.T_map_camera, found.covariance, found.tie_points)
        self._begin(frame, reference, view, usable)

    def refused(
        self,
        frame: CameraFrame,
        T_map_camera: Pose,
        covariance: Array,
        view: RenderedView | None,
        usable: Mask | None = None,
    ) -> None:
        """Follow a frame that registration refused, from its predicted pose, where nothing is followed now.

        Where too little of the model is in view, the ground is taken to be level and as high as where it was seen last;
        how far off that is, and how it slopes, is in the covariance.

        Args:
            frame: as in :meth:`registered`.
            T_map_camera: as predicted.
            covariance: (6, 6) of that, ROS order, m and rad.
            view: the site rendered from near there; None where it does not show.
            usable: as in :meth:`registered`.

        Raises:
            RegistrationError: it cannot be followed.
        """
        if not self._config.refused_frames or self.reference_stamp is not None:
            return
        reference = TrackReference.predicted(frame.stamp, T_map_camera, covariance)
        try:
            self._begin(frame, reference, view, usable)
        except RegistrationError:
            if self._ground is None:
                raise
            self._begin(frame, reference.over(self._ground), None, usable)

    def _begin(
        self, frame: CameraFrame, reference: TrackReference, view: RenderedView | None, usable: Mask | None
    ) -> None:
        if self._camera not in (None, frame.camera):
            raise RegistrationError("the camera has changed since this frame was taken")
        # Frames to follow it into would not come before the clock is there again.
        if self._frames and frame.stamp > self._frames[-1].stamp + self._config.memory:
            raise RegistrationError("the clock was set back since this frame was taken")
        self._camera = frame.camera
        first = next((f for f in self._frames if f.stamp == frame.stamp), None) or self._grey(frame)
        if usable is not None:
            height, width = first.valid.shape
            # A pixel that an unusable one has gone into is not used.
            share = cv2.resize(usable.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
            first = replace(first, valid=first.valid & (share > _WHOLE))
        tracker = TiePointTracker(self._config)
        tracker.start(first, reference, view)
        self._tracker = tracker
        self._ground = self._ground if tracker.ground is None else tracker.ground

    def follow(self) -> TrackedFrame | None:
        """Follow the tracks towards the newest frame, over ``catch_up_frames`` frames at most.

        Returns:
            The newest frame, tracked; or where the tracks were lost; None while they have not caught up, nothing is
            followed, or the newest frame has been tracked already.
        """
        start = perf_counter()
        for _ in range(self._config.catch_up_frames):
            target = self._next()
            if target is None:
                return None
            tracked = self._tracker.track(target)
            if tracked.status is TrackStatus.LOST or target is self._frames[-1]:
                tracked.milliseconds["total"] = (perf_counter() - start) * 1e3
                return tracked
        return None

    def _next(self) -> GreyFrame | None:
        """The furthest frame ahead that is within a step; the next one where none is."""
        now = self._tracker.frame
        if now is None:
            return None
        ahead = [f for f in self._frames if f.stamp > now.stamp]
        within = [f for f in ahead if f.stamp <= now.stamp + self._config.catch_up_step + 1e-6]
        return within[-1] if within else (ahead[0] if ahead else None)
