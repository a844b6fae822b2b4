"""ROS messages from arrays, for bags that are written without ROS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast, get_args

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.ros_types import typestore
from geo_nav.geodesy import Pose
from geo_nav.rendering import Camera

Array = npt.NDArray[np.float64]

ImageFormat = Literal["raw", "jpeg", "png"]
"""How frames are written: sensor_msgs/Image, or sensor_msgs/CompressedImage of that format."""

_JPEG_QUALITY = 92
_NO_TIME = QosTime(0, 0)
LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_NO_TIME,
    lifespan=_NO_TIME,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_NO_TIME,
    avoid_ros_namespace_conventions=False,
)
"""Reliable and transient local, as `/tf_static` must be offered."""

LATCHED_TOPICS = {"/tf_static", "/geo_nav/site", "/geo_nav/site_markers", "/simulation/gps_cut"}
"""Topics that geo_nav and its simulator offer so."""


def image_format(name: str) -> ImageFormat:
    """The format of that name.

    Raises:
        EvaluationError: there is none.
    """
    for known in get_args(ImageFormat):
        if name == known:
            return cast(ImageFormat, known)
    raise EvaluationError(f"images are written as {', '.join(get_args(ImageFormat))}, not as '{name}'")


class BagWriter:
    """Writes a rosbag2 folder with MCAP storage; a context manager.

    Args:
        path: folder of the bag; it may not exist yet.

    Raises:
        EvaluationError: the folder exists.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        except WriterError as error:
            raise EvaluationError(f"{path} exists: a bag is written into a new folder") from error
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, topic: str, message: Any, received: float) -> None:
        """Writes one message.

        Args:
            topic: its topic; all messages of a topic have one type. Those of ``LATCHED_TOPICS`` are offered as latched.
            message: of :func:`~geo_nav.evaluation.ros_types.typestore`.
            received: the bag's time of the message, seconds.
        """
        kind = message.__msgtype__
        self.write_serialized(topic, kind, typestore().serialize_cdr(message, kind), round(received * 1e9))

    def write_serialized(self, topic: str, kind: str, data: bytes | memoryview, received: int) -> None:
        """Writes one message of a type, for example ``sensor_msgs/msg/Imu``, from its bytes (CDR), received at ns."""
        if topic not in self._connections:
            latched = [LATCHED] if topic in LATCHED_TOPICS else []
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=typestore(), offered_qos_profiles=latched
            )
        self._writer.write(self._connections[topic], received, data)


def message(kind: str, **fields: Any) -> Any:
    """A message of a type, for example ``geometry_msgs/msg/Point``, of all its fields."""
    return typestore().types[kind](**fields)


def time(stamp: float) -> Any:
    """Seconds → builtin_interfaces/Time."""
    whole = int(np.floor(stamp))
    nanoseconds = round((stamp - whole) * 1e9)
    return message("builtin_interfaces/msg/Time", sec=whole + nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def header(stamp: float, frame_id: str) -> Any:
    """std_msgs/Header."""
    return message("std_msgs/msg/Header", stamp=time(stamp), frame_id=frame_id)


def vector(values: npt.ArrayLike) -> Any:
    """(3,) → geometry_msgs/Vector3."""
    x, y, z = (float(v) for v in np.asarray(values))
    return message("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def quaternion(pose: Pose) -> Any:
    """Rotation of a pose → geometry_msgs/Quaternion."""
    x, y, z, w = (float(v) for v in pose.quaternion)
    return message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def pose_with_covariance(pose: Pose, covariance: Array) -> Any:
    """Pose and (6, 6) covariance, ROS order → geometry_msgs/PoseWithCovariance."""
    x, y, z = (float(v) for v in pose.translation)
    position = message("geometry_msgs/msg/Point", x=x, y=y, z=z)
    inner = message("geometry_msgs/msg/Pose", position=position, orientation=quaternion(pose))
    return message(
        "geometry_msgs/msg/PoseWithCovariance", pose=inner, covariance=np.asarray(covariance, np.float64).ravel()
    )


def odometry(
    stamp: float, T_map_base: Pose, velocity: Array, angular_velocity: Array, covariance: Array | None = None
) -> Any:
    """nav_msgs/Odometry of `base_link` in `map`.

    Args:
        stamp: seconds.
        T_map_base: the pose.
        velocity: (3,) m/s in `map`; the message holds it in `base_link`, as its definition says.
        angular_velocity: (3,) rad/s in `base_link`.
        covariance: (6, 6) of the pose, ROS order; zero when None.
    """
    twist = message(
        "geometry_msgs/msg/Twist",
        linear=vector(T_map_base.rotation.T @ velocity),
        angular=vector(angular_velocity),
    )
    return message(
        "nav_msgs/msg/Odometry",
        header=header(stamp, "map"),
        child_frame_id="base_link",
        pose=pose_with_covariance(T_map_base, np.zeros((6, 6)) if covariance is None else covariance),
        twist=message("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
    )


def imu(stamp: float, acceleration: Array, angular_velocity: Array, attitude: Pose, attitude_covariance: Array) -> Any:
    """sensor_msgs/Imu of `base_link`: specific force (m/s²), rate (rad/s), attitude in east-north-up ((3, 3) rad²)."""
    return message(
        "sensor_msgs/msg/Imu",
        header=header(stamp, "base_link"),
        orientation=quaternion(attitude),
        orientation_covariance=np.asarray(attitude_covariance, np.float64).ravel(),
        angular_velocity=vector(angular_velocity),
        angular_velocity_covariance=np.zeros(9),
        linear_acceleration=vector(acceleration),
        linear_acceleration_covariance=np.zeros(9),
    )


def nav_sat_fix(stamp: float, latitude: float, longitude: float, height: float, covariance: Array) -> Any:
    """sensor_msgs/NavSatFix: degrees, m above the ellipsoid, (3, 3) covariance east north up in m²."""
    kind = "sensor_msgs/msg/NavSatFix"
    return message(
        kind,
        header=header(stamp, "base_link"),
        status=message("sensor_msgs/msg/NavSatStatus", status=0, service=1),
        latitude=float(latitude),
        longitude=float(longitude),
        altitude=float(height),
        position_covariance=np.asarray(covariance, np.float64).ravel(),
        position_covariance_type=3,  # COVARIANCE_TYPE_KNOWN
    )


def camera_info(stamp: float, frame_id: str, camera: Camera) -> Any:
    """sensor_msgs/CameraInfo."""
    region = message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return message(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model=camera.distortion_model,
        d=np.array(camera.distortion, dtype=np.float64),
        k=camera.matrix.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([camera.matrix, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def image(stamp: float, frame_id: str, rgb: npt.NDArray[np.uint8]) -> Any:
    """sensor_msgs/Image, rgb8, of (H, W, 3)."""
    height, width = rgb.shape[:2]
    return message(
        "sensor_msgs/msg/Image",
        header=header(stamp, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(rgb).ravel(),
    )


def compressed_image(stamp: float, frame_id: str, rgb: npt.NDArray[np.uint8], kind: Literal["jpeg", "png"]) -> Any:
    """sensor_msgs/CompressedImage of (H, W, 3), its `format` as image_transport writes it."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if kind == "jpeg" else []
    _, data = cv2.imencode(".jpg" if kind == "jpeg" else ".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    return message(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp, frame_id),
        format=f"rgb8; {kind} compressed bgr8",
        data=np.asarray(data, np.uint8).ravel(),
    )


def frame(topic: str, stamp: float, frame_id: str, rgb: npt.NDArray[np.uint8], images: ImageFormat) -> tuple[str, Any]:
    """A camera frame and its topic, which for a compressed one ends in `/compressed`, as image_transport's does."""
    if images == "raw":
        return topic, image(stamp, frame_id, rgb)
    return f"{topic}/compressed", compressed_image(stamp, frame_id, rgb, images)


def transforms(stamp: float, poses: Mapping[tuple[str, str], Pose]) -> Any:
    """tf2_msgs/TFMessage of (parent, child) → ``T_parent_child``."""
    items = [
        message(
            "geometry_msgs/msg/TransformStamped",
            header=header(stamp, parent),
            child_frame_id=child,
            transform=message(
                "geometry_msgs/msg/Transform", translation=vector(pose.translation), rotation=quaternion(pose)
            ),
        )
        for (parent, child), pose in poses.items()
    ]
    return message("tf2_msgs/msg/TFMessage", transforms=items)
