"""Node `camera_registration`: camera frames in, absolute poses and tie points out."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from geo_nav import GeoNavError
from geo_nav.evaluation.match_picture import match_picture
from geo_nav.geodesy import Pose
from geo_nav.matching import MatchingConfig, create_matcher
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, reliable, run, sensor
from geo_nav.nodes.transforms import StaticTransforms
from geo_nav.registration import AbsolutePose, Registrar, RegistrationConfig, Status
from geo_nav.registration.sharpness import texel_size
from geo_nav.rendering import Camera, Renderer, RenderingConfig, create_renderer
from geo_nav.site import load_site
from geo_nav_msgs.msg import AbsolutePose as AbsolutePoseMessage
from geo_nav_msgs.msg import TiePoints as TiePointsMessage

Array = npt.NDArray[np.float64]

_PRIOR_HISTORY = 2000
"""Odometry messages kept: 10 s at 200 Hz."""

_PICTURE_PERIOD = 2.0
"""Seconds from one debug picture to the next."""

_PRIOR_PATIENCE = 0.25
"""Seconds that a frame waits for the odometry of its stamp."""


@dataclass(frozen=True)
class _Frame:
    image: npt.NDArray[np.uint8]
    camera: Camera
    stamp: Time
    frame_id: str


class CameraRegistration(GeoNavNode):
    """Registers the newest frame whenever the last registration is done; frames that come meanwhile are passed over."""

    def __init__(self) -> None:
        super().__init__("camera_registration")
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._wake = threading.Condition()
        self._newest: _Frame | None = None
        self._camera: Camera | None = None
        self._priors: deque[tuple[float, bytes]] = deque(maxlen=_PRIOR_HISTORY)
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
        self._matching = self.read_config(MatchingConfig, "matching")
        self._rendering = self.read_config(RenderingConfig, "rendering")
        self._site = load_site(descriptor)
        self.get_logger().info(f"site '{self._site.name}': {self._site.triangles} triangles; matcher {self._matcher}")

        self._transforms = StaticTransforms(self)
        self._pose_publisher = self.create_lifecycle_publisher(AbsolutePoseMessage, "absolute_pose", reliable(10))
        self._tie_publisher = self.create_lifecycle_publisher(TiePointsMessage, "tie_points", reliable(10))
        self._picture_publisher = self.create_lifecycle_publisher(
            CompressedImage, "debug_image/compressed", reliable(2)
        )
        self.subscribe(Odometry, "odometry", self._on_odometry, reliable(200), raw=True)
        self.subscribe(CameraInfo, "camera_info", self._on_camera_info, sensor(5))
        if transport == "raw":
            self.subscribe(Image, "image_raw", self._on_image, sensor(2))
        elif transport == "compressed":
            self.subscribe(CompressedImage, "image_raw/compressed", self._on_compressed, sensor(2))
        else:
            raise GeoNavError(f"image_transport is 'raw' or 'compressed', not '{transport}'")

    def activate(self) -> None:
        """Starts the registering thread, and waits until its renderer and matcher work."""
        self._stop.clear()
        started = threading.Event()
        problem: list[Exception] = []
        self._worker = threading.Thread(target=self._work, args=(started, problem), name="registration", daemon=True)
        self._worker.start()
        started.wait()
        if problem:
            raise GeoNavError(str(problem[0])) from problem[0]

    def deactivate(self) -> None:
        """Ends the registering thread."""
        self._stop.set()
        with self._wake:
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.join()
            self._worker = None

    def _on_odometry(self, data: bytes) -> None:
        # 200 a second come and few are needed: they are kept as bytes, and only those of a frame are deserialized.
        stamp = conversion.serialized_stamp(data)
        if self._priors and stamp <= self._priors[-1][0] - 1.0:
            self._priors.clear()  # the clock was set back: a bag was started again
        if not self._priors or stamp > self._priors[-1][0]:
            self._priors.append((stamp, bytes(data)))

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
        if self._camera is None:
            self.warn_sometimes("images come, but no camera_info: without the calibration no frame can be registered")
            return
        with self._wake:
            self._newest = _Frame(image, self._camera, stamp, self._camera_frame or frame_id)
            self._wake.notify()

    def _work(self, started: threading.Event, problem: list[Exception]) -> None:
        try:
            # OpenGL contexts belong to a thread, so the renderer is made here.
            renderer = create_renderer(self._site, **self._rendering.model_dump())
            matcher = create_matcher(self._matcher, **self._matching.model_dump())
            registrar = Registrar(
                renderer, matcher, self._config, self._site.sigma, texel_size(self._site), self._stop.is_set
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

    def _register(self, registrar: Registrar, renderer: Renderer, frame: _Frame) -> None:
        T_base_camera = self._transforms.lookup(self._base_frame, frame.frame_id)
        if T_base_camera is None:
            raise GeoNavError(
                f"no transform {self._base_frame} → {frame.frame_id} on /tf_static: publish the camera's mounting, or "
                "set T_base_camera of the fusion node"
            )
        stamp = conversion.seconds(frame.stamp)
        prior = self._prior(stamp)
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
        if result.status is not Status.BAD_INPUT:
            self._publish_picture(result, registrar, renderer, frame)

    def _prior(self, stamp: float) -> tuple[Pose, Array] | None:
        """Odometry at a stamp, interpolated between the two messages around it."""
        deadline = time.monotonic() + _PRIOR_PATIENCE
        while True:
            history = list(self._priors)
            if history and history[-1][0] >= stamp:
                break
            if time.monotonic() > deadline or self._stop.is_set():
                return None
            time.sleep(0.01)
        index = next(i for i in range(len(history) - 1, -1, -1) if i == 0 or history[i - 1][0] <= stamp)
        after_stamp, after_data = history[index]
        if index == 0:
            return None if after_stamp - stamp > 0.05 else self._odometry(after_data)
        before_stamp, before_data = history[index - 1]
        if after_stamp - before_stamp > 0.5:
            return None
        (before, _), (after, covariance) = self._odometry(before_data), self._odometry(after_data)
        return before.interpolate(after, (stamp - before_stamp) / (after_stamp - before_stamp)), covariance

    @staticmethod
    def _odometry(data: bytes) -> tuple[Pose, Array]:
        return conversion.pose_and_covariance(deserialize_message(data, Odometry))

    def _publish(self, result: AbsolutePose, frame: _Frame) -> None:
        if not self.active:
            return
        self._pose_publisher.publish(
            conversion.absolute_pose_message(result, frame.stamp, self._map_frame, frame.frame_id)
        )
        if result.accepted and result.tie_points is not None:
            self._tie_publisher.publish(
                conversion.tie_points_message(result.tie_points, frame.stamp, self._map_frame, frame.frame_id)
            )
        if not result.accepted:
            self.warn_sometimes(f"frame refused ({result.status}): {result.reason}", key=f"refused {result.status}")

    def _publish_picture(self, result: AbsolutePose, registrar: Registrar, renderer: Renderer, frame: _Frame) -> None:
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
