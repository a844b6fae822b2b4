"""Messages ↔ the types of the rooms; only this and :mod:`geo_nav.nodes.status_messages` know both."""

from __future__ import annotations

import importlib
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Transform, TransformStamped
from geometry_msgs.msg import Pose as PoseMessage
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, FluidPressure, Image, Imu, NavSatFix, NavSatStatus
from tf2_msgs.msg import TFMessage

from geo_nav.camera_messages import MessageError
from geo_nav.fusion import ImuSample, MotionOrigin, NavState
from geo_nav.geodesy import LocalFrame, Pose, TransformTree
from geo_nav.registration import AbsolutePose, TiePoints
from geo_nav.registration.tracking import TrackedFrame
from geo_nav.rendering import Camera
from geo_nav_msgs.msg import AbsolutePose as AbsolutePoseMessage
from geo_nav_msgs.msg import TiePoints as TiePointsMessage

Array = npt.NDArray[np.float64]


def message_type(name: str) -> Any:
    """The message class of a type name such as ``sensor_msgs/msg/Imu``.

    Raises:
        MessageError: no installed package has it.
    """
    package, _, kind = name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise MessageError(f"the message type {name} is not installed") from error


def seconds(stamp: Time) -> float:
    """ROS time → seconds."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def ros_time(stamp: float) -> Time:
    """Seconds → ROS time, to the nearest nanosecond that a float64 holds."""
    whole = int(np.floor(stamp))
    nanoseconds = round((stamp - whole) * 1e9)
    return Time(sec=whole + nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def serialized_stamp(data: bytes) -> float:
    """Header stamp of a serialized message whose first member is the header, without deserializing it."""
    order = "<" if data[1] & 1 else ">"
    sec, nanosec = struct.unpack_from(f"{order}iI", data, 4)
    return float(sec) + float(nanosec) * 1e-9


def pose_from_message(message: PoseMessage) -> Pose:
    """Raises:
    GeodesyError: the quaternion is not a rotation, or a number is not finite.
    """
    p, q = message.position, message.orientation
    return Pose.from_quaternion([q.x, q.y, q.z, q.w], [p.x, p.y, p.z])


def pose_message(pose: Pose) -> PoseMessage:
    """Pose → message."""
    message = PoseMessage()
    p, q = message.position, message.orientation
    p.x, p.y, p.z = pose.translation.tolist()
    q.x, q.y, q.z, q.w = pose.quaternion.tolist()
    return message


def transform_message(parent: str, child: str, stamp: Time, T_parent_child: Pose) -> TransformStamped:
    """Pose of ``child`` in ``parent`` → message."""
    message = TransformStamped(child_frame_id=child, transform=Transform())
    message.header.frame_id = parent
    message.header.stamp = stamp
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = T_parent_child.translation.tolist()
    q.x, q.y, q.z, q.w = T_parent_child.quaternion.tolist()
    return message


def add_transforms(tree: TransformTree, message: TFMessage) -> None:
    """Puts the transforms of a message into a tree.

    Raises:
        GeodesyError: one of them is not a pose.
    """
    for item in message.transforms:
        t, q = item.transform.translation, item.transform.rotation
        pose = Pose.from_quaternion([q.x, q.y, q.z, q.w], [t.x, t.y, t.z])
        tree.add(item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/"), pose)


def camera_info_message(camera: Camera, frame_id: str, stamp: Time) -> CameraInfo:
    """Camera → message."""
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model=camera.distortion_model)
    message.header.frame_id = frame_id
    message.header.stamp = stamp
    message.d = list(camera.distortion)
    message.k = camera.matrix.ravel().tolist()
    message.r = np.eye(3).ravel().tolist()
    message.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel().tolist()
    return message


def jpeg_message(image: npt.NDArray[np.uint8], frame_id: str, stamp: Time) -> CompressedImage:
    """(H, W, 3) RGB → message.

    Raises:
        MessageError: OpenCV cannot encode it.
    """
    ok, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not ok:
        raise MessageError(f"a picture of {image.shape} cannot be encoded as JPEG")
    message = CompressedImage(format="jpeg")
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.data.frombytes(jpeg.tobytes())
    return message


def image_message(image: npt.NDArray[Any], encoding: str, frame_id: str, stamp: Time) -> Image:
    """(H, W[, C]) array → message; a NumPy array given as `data` would be copied element by element."""
    message = Image(height=image.shape[0], width=image.shape[1], encoding=encoding)
    message.header.frame_id = frame_id
    message.header.stamp = stamp
    message.step = image.strides[0] if image.flags.c_contiguous else image.shape[1] * image.itemsize
    message.data.frombytes(np.ascontiguousarray(image).tobytes())
    return message


def imu_from_message(message: Imu) -> ImuSample:
    """IMU message → sample; finiteness is the graph's to judge."""
    a, w = message.linear_acceleration, message.angular_velocity
    return ImuSample(seconds(message.header.stamp), np.array([a.x, a.y, a.z]), np.array([w.x, w.y, w.z]))


def attitude_from_message(message: Imu) -> tuple[Array, Array] | None:
    """(rotation (3, 3) of base_link in east-north-up, covariance (3, 3) rad²) of an IMU message; None if it has none.

    ``orientation_covariance[0] = -1`` says that there is no estimate (sensor_msgs/Imu); all zero says that its quality
    is unknown, and 2° of tilt and 10° of heading are assumed.
    """
    covariance = np.array(message.orientation_covariance, dtype=np.float64).reshape(3, 3)
    q = message.orientation
    quaternion = np.array([q.x, q.y, q.z, q.w])
    if covariance[0, 0] < 0 or not np.isfinite(quaternion).all() or np.linalg.norm(quaternion) < 0.5:
        return None
    if not covariance.any():
        covariance = np.diag(np.radians([2.0, 2.0, 10.0]) ** 2)
    return Pose.from_quaternion(quaternion, np.zeros(3)).rotation, covariance


def yaw_and_sigma(message: Imu) -> tuple[float, float | None]:
    """Yaw (REP-103, rad) of a message whose orientation is a heading, and its sigma; None where that is not given.

    Raises:
        MessageError: ``orientation_covariance[0] = -1``: there is none.
        GeodesyError: the quaternion is not a rotation.
    """
    variance = float(message.orientation_covariance[8])
    if message.orientation_covariance[0] < 0:
        raise MessageError("a heading message without orientation")
    R = pose_from_message(PoseMessage(orientation=message.orientation)).rotation
    return float(np.arctan2(R[1, 0], R[0, 0])), float(np.sqrt(variance)) if variance > 0.0 else None


def altitude_sigma(message: FluidPressure) -> float | None:
    """1 sigma (m) of the altitude by a pressure message's variance; None where that is 0, unknown."""
    density_gravity = 12.0  # Pa/m near the ground; a sigma needs no better
    return float(np.sqrt(message.variance)) / density_gravity if message.variance > 0.0 else None


def gps_from_message(message: NavSatFix, frame: LocalFrame) -> tuple[Array, Array] | None:
    """(position (3,) in `map`, covariance (3, 3)) of a GPS message, None where it has no fix.

    Raises:
        MessageError: the numbers are not finite.
    """
    if message.status.status < 0:
        return None
    if not np.isfinite([message.latitude, message.longitude, message.altitude]).all():
        raise MessageError("a GPS fix whose position is not finite")
    covariance = np.array(message.position_covariance, dtype=np.float64).reshape(3, 3)
    if message.position_covariance_type == NavSatFix.COVARIANCE_TYPE_UNKNOWN or not covariance.any():
        covariance = np.diag([2.0, 2.0, 4.0]) ** 2
    return frame.from_geodetic(message.latitude, message.longitude, message.altitude), covariance


def nav_sat_fix_message(state: NavState, frame: LocalFrame, frame_id: str) -> NavSatFix:
    """Fused state → NavSatFix; altitude above the ellipsoid, covariance in east-north-up at the vehicle."""
    message = NavSatFix()
    message.header.stamp = ros_time(state.stamp)
    message.header.frame_id = frame_id
    message.status.status = NavSatStatus.STATUS_FIX
    latitude, longitude, height = frame.to_geodetic(state.T_map_base.translation)
    message.latitude, message.longitude, message.altitude = float(latitude), float(longitude), float(height)
    message.position_covariance = state.pose_covariance[:3, :3].ravel().tolist()
    message.position_covariance_type = NavSatFix.COVARIANCE_TYPE_KNOWN
    return message


def fill_odometry(message: Odometry, state: NavState) -> Odometry:
    """Writes the state into an odometry message: pose in its header's frame, twist in base_link (REP-105)."""
    message.header.stamp = ros_time(state.stamp)
    message.pose.pose = pose_message(state.T_map_base)
    message.pose.covariance = state.pose_covariance.ravel()
    R = state.T_map_base.rotation
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    linear.x, linear.y, linear.z = (R.T @ state.velocity).tolist()
    angular.x, angular.y, angular.z = state.angular_velocity.tolist()
    twist = np.zeros((6, 6))
    twist[:3, :3] = R.T @ state.velocity_covariance @ R
    message.twist.covariance = twist.ravel()
    return message


def pose_and_covariance(message: Odometry | AbsolutePoseMessage | TiePointsMessage) -> tuple[Pose, Array]:
    """Pose and (6, 6) covariance, ROS order, of a message with a PoseWithCovariance.

    Raises:
        MessageError: the covariance is not finite or has no variance on its diagonal.
    """
    covariance = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
    if not np.isfinite(covariance).all() or (np.diag(covariance) <= 0).any():
        raise MessageError("a pose whose covariance is not finite or not positive")
    return pose_from_message(message.pose.pose), covariance


def absolute_pose_message(result: AbsolutePose, stamp: Time, map_frame: str, camera_frame: str) -> AbsolutePoseMessage:
    """Registration result → message, with the frame's own stamp."""
    message = AbsolutePoseMessage(child_frame_id=camera_frame)
    message.header.stamp = stamp
    message.header.frame_id = map_frame
    message.gate, message.reason = result.status.value, result.reason
    message.status = AbsolutePoseMessage.ACCEPTED if result.accepted else AbsolutePoseMessage.REJECTED
    if result.T_map_camera is None or result.covariance is None:
        message.status = AbsolutePoseMessage.FAILED
    else:
        message.pose.pose = pose_message(result.T_map_camera)
        message.pose.covariance = result.covariance.ravel()
    if result.T_map_camera_levelled is not None and result.levelled_covariance is not None:
        message.levelled_pose.pose = pose_message(result.T_map_camera_levelled)
        message.levelled_pose.covariance = result.levelled_covariance.ravel()
    message.matches, message.inliers = int(result.matches), int(result.inliers)
    message.reprojection_rms = float(result.reprojection_rms)
    message.matcher = result.matcher
    message.stages = [k for k in result.milliseconds if k != "total"]
    message.stage_milliseconds = [float(result.milliseconds[k]) for k in message.stages]
    message.milliseconds = float(result.milliseconds.get("total", 0.0))
    return message


def registered_points_message(
    result: AbsolutePose, stamp: Time, map_frame: str, camera_frame: str
) -> TiePointsMessage | None:
    """The inliers of a registered frame → message, with the frame's own stamp; None where it has none."""
    if result.tie_points is None or result.T_map_camera is None or result.covariance is None:
        return None
    message = _tie_points_message(result.tie_points, stamp, stamp, map_frame, camera_frame)
    message.ids = list(range(len(result.tie_points.pixels)))
    message.pose.pose = pose_message(result.T_map_camera)
    message.pose.covariance = result.covariance.ravel()
    return message


def tracked_points_message(
    tracked: TrackedFrame, stamp: Time, reference_stamp: Time, map_frame: str, camera_frame: str
) -> TiePointsMessage | None:
    """A tracked frame → message, with the stamps of the frame and of the registered one; None where it was lost."""
    if tracked.tie_points is None or tracked.T_map_camera is None:
        return None
    if tracked.T_map_reference is None or tracked.T_reference_camera is None or tracked.error is None:
        return None
    message = _tie_points_message(tracked.tie_points, stamp, reference_stamp, map_frame, camera_frame)
    message.ids = tracked.ids.tolist()
    message.pose.pose = pose_message(tracked.T_map_camera)
    message.motion.pose = pose_message(tracked.T_reference_camera)
    message.motion.covariance = tracked.error.covariance.ravel()
    message.reference_pose.pose = pose_message(tracked.T_map_reference)
    message.reference_pose.covariance = tracked.error.reference_covariance.ravel()
    message.motion_by_reference = tracked.error.by_reference.ravel()
    message.motion_noise = tracked.error.noise.ravel()
    return message


def _tie_points_message(
    tie_points: TiePoints, stamp: Time, reference_stamp: Time, map_frame: str, camera_frame: str
) -> TiePointsMessage:
    message = TiePointsMessage(point_frame_id=map_frame, reference_stamp=reference_stamp)
    message.header.stamp = stamp
    message.header.frame_id = camera_frame
    c = tie_points.camera
    message.intrinsics = [c.fx, c.fy, c.cx, c.cy]
    message.u = tie_points.pixels[:, 0].tolist()
    message.v = tie_points.pixels[:, 1].tolist()
    message.points = [Point(x=x, y=y, z=z) for x, y, z in tie_points.points.tolist()]
    message.pixel_sigma = tie_points.pixel_sigma.tolist()
    message.point_sigma = tie_points.point_sigma.tolist()
    return message


def tie_points_from_message(message: TiePointsMessage) -> tuple[float, Array, Array, Array, Array, Array, Pose, Array]:
    """A registered frame as :meth:`~geo_nav.fusion.Fusion.add_tie_points` takes it.

    Raises:
        MessageError: u and v are not pairs, or the covariance is none.
    """
    if len(message.u) != len(message.v):
        raise MessageError(f"tie points with {len(message.u)} u and {len(message.v)} v")
    pixels = np.column_stack([message.u, message.v])
    points = np.array([[p.x, p.y, p.z] for p in message.points]).reshape(-1, 3)
    pixel_sigma, point_sigma = np.array(message.pixel_sigma, np.float64), np.array(message.point_sigma, np.float64)
    intrinsics, (pose, covariance) = np.array(message.intrinsics), pose_and_covariance(message)
    return seconds(message.header.stamp), pixels, points, intrinsics, pixel_sigma, point_sigma, pose, covariance


def motion_from_message(message: TiePointsMessage) -> tuple[float, float, Pose, Array, MotionOrigin | None] | None:
    """A tracked frame as :meth:`~geo_nav.fusion.Fusion.add_relative_pose` takes it; None of a registered one.

    Where `motion_noise` is all zero, nothing is known of what the motion owes to its reference.

    Raises:
        GeodesyError: the motion or the reference's pose is not a pose.
    """
    reference, stamp = seconds(message.reference_stamp), seconds(message.header.stamp)
    if reference == stamp:
        return None
    covariance, of_reference, by_pose, noise = (
        np.array(m, dtype=np.float64).reshape(6, 6)
        for m in (
            message.motion.covariance,
            message.reference_pose.covariance,
            message.motion_by_reference,
            message.motion_noise,
        )
    )
    origin = None
    if noise.any():
        origin = MotionOrigin(pose_from_message(message.reference_pose.pose), of_reference, by_pose, noise)
    return reference, stamp, pose_from_message(message.motion.pose), covariance, origin
