"""Node `camera_registration`: camera frames in, absolute poses and tie points out.

One thread registers the newest frame whenever its last registration is done; another tracks the tie points of the last
registration through every frame. Neither waits for the other.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from geo_nav import GeoNavError
from geo_nav.camera_messages import camera_from_message, compressed_image_from_message, image_from_message
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, reliable, run, sensor
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.diagnostics import CameraHealth
from geo_nav.nodes.diagnostics_publisher import DiagnosticsPublisher
from geo_nav.nodes.frame_registration import (
    PRIOR_PATIENCE,
    TRACKING_PATIENCE,
    FrameRegistration,
    camera_prior,
    frame_as_seen,
    mounting_of,
    registration_messages,
    tracking_message,
)
from geo_nav.nodes.frame_tracking import FrameTracking, Registered, Tracked
from geo_nav.nodes.priors import Priors
from geo_nav.nodes.settings import CameraNodeConfig
from geo_nav.nodes.transforms import StaticTransforms
from geo_nav.registration import AbsolutePose
from geo_nav.registration.masks import vehicle_mask
from geo_nav.registration.tracking_follower import CameraFrame
from geo_nav.rendering import Camera
from geo_nav.site import load_site
from geo_nav_msgs.msg import AbsolutePose as AbsolutePoseMessage
from geo_nav_msgs.msg import TiePoints as TiePointsMessage

_PICTURE_PERIOD = 2.0
"""Seconds from one debug picture to the next."""


class CameraRegistration(GeoNavNode):
    """Registers the newest frame whenever the last registration is done; frames that come meanwhile are tracked."""

    def __init__(self) -> None:
        super().__init__("camera_registration")
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._wake = threading.Condition()
        self._newest: Frame | None = None
        self._tracking: FrameTracking | None = None
        self._camera: Camera | None = None
        self._picture_due = 0.0

    def configure(self) -> None:
        """Reads parameters, loads the site, makes publishers and subscriptions."""
        self._config = self.read_config(CameraNodeConfig)
        if not self._config.site:
            raise GeoNavError("no site model: set the parameter 'site' (launch argument site:=PATH)")
        self._site = load_site(self._config.site)
        self.get_logger().info(
            f"site '{self._site.name}': {self._site.triangles} triangles; matcher {self._config.matcher}"
        )

        self._transforms = StaticTransforms(self)
        self._pose_publisher = self.create_lifecycle_publisher(AbsolutePoseMessage, "absolute_pose", reliable(10))
        self._tie_publisher = self.create_lifecycle_publisher(TiePointsMessage, "tie_points", reliable(10))
        self._picture_publisher = self.create_lifecycle_publisher(
            CompressedImage, "debug_image/compressed", reliable(2)
        )
        self._health = CameraHealth()
        DiagnosticsPublisher(self, self._health.status)
        self._priors = Priors(self, self._stop.is_set)
        self.subscribe(CameraInfo, "camera_info", self._on_camera_info, sensor(5))
        if self._config.image_transport == "raw":
            self.subscribe(Image, "image_raw", self._on_image, sensor(2))
        else:
            self.subscribe(CompressedImage, "image_raw/compressed", self._on_compressed, sensor(2))

    def activate(self) -> None:
        """Starts the two threads, and waits until the renderer and the matcher work."""
        self._stop.clear()
        started = threading.Event()
        problem: list[Exception] = []
        self._worker = threading.Thread(target=self._work, args=(started, problem), name="registration", daemon=True)
        self._worker.start()
        started.wait()
        if problem:
            raise GeoNavError(str(problem[0])) from problem[0]
        tracking = FrameTracking(
            self._config.tracking,
            vehicle_mask(self._config.masks),  # of its own: the threads keep masks of different sizes
            self._as_seen,
            self._publish_tracked,
            self.get_logger().info,
            self.guarded,
        )
        tracking.start()
        self._tracking = tracking

    def deactivate(self) -> None:
        """Ends the two threads."""
        self._stop.set()
        if self._tracking is not None:
            self._tracking.stop()
            self._tracking = None
        with self._wake:
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.join()
            self._worker = None

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera = camera_from_message(message)

    def _on_image(self, message: Image) -> None:
        if self.active:
            self._offer(image_from_message(message), message.header.stamp, message.header.frame_id)

    def _on_compressed(self, message: CompressedImage) -> None:
        if self.active:
            pixels = compressed_image_from_message(message)
            self._offer(pixels, message.header.stamp, message.header.frame_id)

    def _offer(self, image: npt.NDArray[np.uint8], stamp: Time, frame_id: str) -> None:
        self._health.offered()
        if self._camera is None:
            self.warn_sometimes("images come, but no camera_info: without the calibration no frame can be registered")
            return
        frame = Frame(image, self._camera, stamp, self._config.camera_frame or frame_id)
        with self._wake:
            self._newest = frame
            self._wake.notify()
        tracking = self._tracking
        if tracking is not None:
            tracking.offer(frame)

    def _work(self, started: threading.Event, problem: list[Exception]) -> None:
        try:
            # OpenGL contexts belong to a thread, so the renderer is made here.
            registration = FrameRegistration(self._config, self._site, self._stop.is_set)
        except Exception as error:  # handed to activate(), which reports it
            problem.append(error)
            return
        finally:
            started.set()
        step = self.guarded(self._register, "registration")
        while not self._stop.is_set():
            with self._wake:
                if self._newest is None:
                    self._wake.wait(0.2)
                frame, self._newest = self._newest, None
            if frame is not None:
                step(registration, frame)
        registration.close()

    def _register(self, registration: FrameRegistration, frame: Frame) -> None:
        base_frame = self._config.base_frame
        T_base_camera = mounting_of(self._transforms.lookup(base_frame, frame.frame_id), base_frame, frame.frame_id)
        prior = self._priors.at(conversion.seconds(frame.stamp), PRIOR_PATIENCE)
        if prior is None:
            self.warn_sometimes("frames wait for a first state of the fusion node", key="no prior")
            return
        result = registration.register(frame, prior, T_base_camera)
        self._publish(result, frame)
        tracking = self._tracking
        if tracking is not None:
            predicted = camera_prior(prior, T_base_camera)
            tracking.registered(Registered(frame, result, *predicted, registration.view, registration.usable))
        self._publish_picture(registration, result, frame)

    def _as_seen(self, frame: Frame) -> CameraFrame:
        """A frame for the tracking thread, with its predicted pose where there is one."""
        T_base_camera = self._transforms.lookup(self._config.base_frame, frame.frame_id)
        stamp = conversion.seconds(frame.stamp)
        prior = None if T_base_camera is None else self._priors.at(stamp, TRACKING_PATIENCE)
        return frame_as_seen(frame, prior[0] if prior else None, T_base_camera)

    def _publish(self, result: AbsolutePose, frame: Frame) -> None:
        if not self.active:
            return
        self._health.registered(result)
        pose, points = registration_messages(result, frame, self._config.map_frame)
        self._pose_publisher.publish(pose)
        if points is not None:
            self._tie_publisher.publish(points)
        if not result.accepted:
            self.warn_sometimes(f"frame refused ({result.status}): {result.reason}", key=f"refused {result.status}")

    def _publish_tracked(self, tracked: Tracked) -> None:
        message = tracking_message(tracked, self._config.map_frame)
        if self.active and message is not None:
            self._health.tracked()
            self._tie_publisher.publish(message)

    def _publish_picture(self, registration: FrameRegistration, result: AbsolutePose, frame: Frame) -> None:
        now = time.monotonic()
        if self.active and now >= self._picture_due and self._picture_publisher.get_subscription_count() > 0:
            self._picture_due = now + _PICTURE_PERIOD
            self._picture_publisher.publish(registration.picture(result, frame))


def main() -> None:
    """Console entry."""
    run(CameraRegistration)
