"""Node `camera_registration`: camera frames in, absolute poses and tie points out.

One thread registers the newest frame whenever its last registration is done; another tracks the tie points of the last
registration through every frame. Neither waits for the other.
"""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from geo_nav import GeoNavError
from geo_nav.evaluation.match_picture import match_picture
from geo_nav.geodesy import Pose
from geo_nav.matching import MatchingConfig, create_matcher
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, reliable, run, sensor
from geo_nav.nodes.diagnostics import CameraHealth, Diagnostics
from geo_nav.nodes.frame_tracking import Frame, FrameTracking
from geo_nav.nodes.priors import Priors
from geo_nav.nodes.transforms import StaticTransforms
from geo_nav.registration import AbsolutePose, FrameMasks, MaskConfig, Registrar, RegistrationConfig, Status
from geo_nav.registration.masks import vehicle_mask
from geo_nav.registration.sharpness import texel_size
from geo_nav.registration.tracking import TrackedFrame
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_follower import CameraFrame
from geo_nav.rendering import Camera, Renderer, RenderingConfig, create_renderer
from geo_nav.site import load_site
from geo_nav_msgs.msg import AbsolutePose as AbsolutePoseMessage
from geo_nav_msgs.msg import TiePoints as TiePointsMessage

Array = npt.NDArray[np.float64]

_PICTURE_PERIOD = 2.0
"""Seconds from one debug picture to the next."""

_PRIOR_PATIENCE = 0.25
"""Seconds that a frame waits for the odometry of its stamp before it is registered."""

_TRACKING_PATIENCE = 0.02
"""The same before it is tracked, which works without."""


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
        descriptor = self.string_parameter("site", "", "site.yaml, or a folder that holds one")
        if not descriptor:
            raise GeoNavError("no site model: set the parameter 'site' (launch argument site:=PATH)")
        self._map_frame = self.string_parameter("map_frame", "map", "name of the site's local frame")
        self._base_frame = self.string_parameter("base_frame", "base_link", "name of the vehicle's frame")
        self._camera_frame = self.string_parameter(
            "camera_frame", "", "optical frame of the camera; empty: the image header's"
        )
        self._matcher = self.string_parameter("matcher", "xfeat_orientation", "name of the matcher")
        transport = self.string_parameter("image_transport", "raw", "raw (sensor_msgs/Image) or compressed")
        self._config = self.read_config(RegistrationConfig, "registration")
        self._mask_config = self.read_config(MaskConfig, "masks")
        self._masks = FrameMasks(self._mask_config)
        self._matching = self.read_config(MatchingConfig, "matching")
        self._rendering = self.read_config(RenderingConfig, "rendering")
        self._tracking_config = self.read_config(TrackingConfig, "tracking")
        self._site = load_site(descriptor)
        self.get_logger().info(f"site '{self._site.name}': {self._site.triangles} triangles; matcher {self._matcher}")

        self._transforms = StaticTransforms(self)
        self._pose_publisher = self.create_lifecycle_publisher(AbsolutePoseMessage, "absolute_pose", reliable(10))
        self._tie_publisher = self.create_lifecycle_publisher(TiePointsMessage, "tie_points", reliable(10))
        self._picture_publisher = self.create_lifecycle_publisher(
            CompressedImage, "debug_image/compressed", reliable(2)
        )
        self._health = CameraHealth()
        Diagnostics(self, self._health.status)
        self._priors = Priors(self, self._stop.is_set)
        self.subscribe(CameraInfo, "camera_info", self._on_camera_info, sensor(5))
        if transport == "raw":
            self.subscribe(Image, "image_raw", self._on_image, sensor(2))
        elif transport == "compressed":
            self.subscribe(CompressedImage, "image_raw/compressed", self._on_compressed, sensor(2))
        else:
            raise GeoNavError(f"image_transport is 'raw' or 'compressed', not '{transport}'")

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
            self._tracking_config,
            vehicle_mask(self._mask_config),  # of its own: the threads keep masks of different sizes
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
        self._camera = conversion.camera_from_message(message)

    def _on_image(self, message: Image) -> None:
        if self.active:
            self._offer(conversion.image_from_message(message), message.header.stamp, message.header.frame_id)

    def _on_compressed(self, message: CompressedImage) -> None:
        if not self.active:
            return
        pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is None:
            raise conversion.MessageError(f"a compressed image of {len(message.data)} bytes that cannot be decoded")
        self._offer(np.asarray(pixels, np.uint8), message.header.stamp, message.header.frame_id)

    def _offer(self, image: npt.NDArray[np.uint8], stamp: Time, frame_id: str) -> None:
        self._health.offered()
        if self._camera is None:
            self.warn_sometimes("images come, but no camera_info: without the calibration no frame can be registered")
            return
        frame = Frame(image, self._camera, stamp, self._camera_frame or frame_id)
        with self._wake:
            self._newest = frame
            self._wake.notify()
        tracking = self._tracking
        if tracking is not None:
            tracking.offer(frame)

    def _work(self, started: threading.Event, problem: list[Exception]) -> None:
        try:
            # OpenGL contexts belong to a thread, so the renderer is made here.
            renderer = create_renderer(self._site, **self._rendering.model_dump())
            matcher = create_matcher(self._matcher, **self._matching.model_dump())
            registrar = Registrar(
                renderer,
                matcher,
                self._config,
                self._site.error,
                texel_size(self._site),
                self._stop.is_set,
                self._masks,
            )
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
                step(registrar, renderer, frame)
        renderer.close()

    def _register(self, registrar: Registrar, renderer: Renderer, frame: Frame) -> None:
        T_base_camera = self._transforms.lookup(self._base_frame, frame.frame_id)
        if T_base_camera is None:
            raise GeoNavError(
                f"no transform {self._base_frame} → {frame.frame_id} on /tf_static: publish the camera's mounting, or "
                "set T_base_camera of the fusion node"
            )
        stamp = conversion.seconds(frame.stamp)
        prior = self._priors.at(stamp, _PRIOR_PATIENCE)
        if prior is None:
            self.warn_sometimes("frames wait for a first state of the fusion node", key="no prior")
            return
        T_map_base, covariance = prior
        result = registrar.register(
            frame.image,
            frame.camera,
            T_map_base @ T_base_camera,
            camera_covariance(covariance, T_map_base, T_base_camera),
            stamp,
        )
        self._publish(result, frame)
        tracking = self._tracking
        if result.accepted and tracking is not None:
            tracking.registered(frame, result, registrar.last_view)
        if result.status is not Status.BAD_INPUT:
            self._publish_picture(result, registrar, renderer, frame)

    def _as_seen(self, frame: Frame) -> CameraFrame:
        """A frame for the tracking thread, with its predicted pose where there is one."""
        stamp = conversion.seconds(frame.stamp)
        T_base_camera = self._transforms.lookup(self._base_frame, frame.frame_id)
        prior = None if T_base_camera is None else self._priors.at(stamp, _TRACKING_PATIENCE)
        predicted = None if prior is None or T_base_camera is None else prior[0] @ T_base_camera
        return CameraFrame(frame.image, frame.camera, stamp, predicted)

    def _publish(self, result: AbsolutePose, frame: Frame) -> None:
        if not self.active:
            return
        self._health.registered(result)
        self._pose_publisher.publish(
            conversion.absolute_pose_message(result, frame.stamp, self._map_frame, frame.frame_id)
        )
        points = conversion.registered_points_message(result, frame.stamp, self._map_frame, frame.frame_id)
        if result.accepted and points is not None:
            self._tie_publisher.publish(points)
        if not result.accepted:
            self.warn_sometimes(f"frame refused ({result.status}): {result.reason}", key=f"refused {result.status}")

    def _publish_tracked(self, tracked: TrackedFrame, stamp: Time, reference_stamp: Time, frame_id: str) -> None:
        message = conversion.tracked_points_message(tracked, stamp, reference_stamp, self._map_frame, frame_id)
        if self.active and message is not None:
            self._health.tracked()
            self._tie_publisher.publish(message)

    def _publish_picture(self, result: AbsolutePose, registrar: Registrar, renderer: Renderer, frame: Frame) -> None:
        now = time.monotonic()
        wanted = self._picture_publisher.get_subscription_count() > 0 and now >= self._picture_due
        if not (wanted and self.active) or registrar.last_view is None:
            return
        self._picture_due = now + _PICTURE_PERIOD
        picture = match_picture(registrar, renderer, result)
        ok, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        if ok:
            message = CompressedImage(format="jpeg")
            message.header.stamp, message.header.frame_id = frame.stamp, frame.frame_id
            message.data.frombytes(jpeg.tobytes())
            self._picture_publisher.publish(message)


def camera_covariance(covariance: Array, T_map_base: Pose, T_base_camera: Pose) -> Array:
    """The (6, 6) pose covariance of base_link, moved to the camera (both ROS order, axes of `map`)."""
    x, y, z = T_map_base.rotation @ T_base_camera.translation
    jacobian = np.eye(6)
    jacobian[:3, 3:] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]
    out: Array = jacobian @ covariance @ jacobian.T
    return out


def main() -> None:
    """Console entry."""
    run(CameraRegistration)
