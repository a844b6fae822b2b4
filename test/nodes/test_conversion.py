"""Messages to types and back: layouts, conventions, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rclpy.serialization import serialize_message
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, Imu, NavSatFix

from geo_nav import GeoNavError
from geo_nav.camera_messages import camera_from_message, image_from_message
from geo_nav.fusion import NavState
from geo_nav.geodesy import GeodesyError, LocalFrame, Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.frame_registration import camera_prior
from geo_nav.registration import AbsolutePose, Status
from geo_nav.rendering import Camera, RenderingError
from geo_nav_msgs.msg import AbsolutePose as AbsolutePoseMessage

FRAME = LocalFrame(47.0, 8.0, 500.0)


def some_pose() -> Pose:
    return Pose(Rotation.from_euler("zyx", [70, -20, 10], degrees=True).as_matrix(), np.array([12.5, -7.25, 130.0]))


def some_state(stamp: float) -> NavState:
    covariance = np.diag([1.0, 4.0, 9.0, 0.01, 0.02, 0.03])
    return NavState(
        stamp, some_pose(), np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3]), np.zeros(3), np.zeros(3),
        covariance, np.diag([0.1, 0.2, 0.3]), Pose.identity(),
    )  # fmt: skip


@pytest.mark.parametrize("stamp", [0.0, 1.999999999, 1_795_000_000.123456, 12345.5])
def test_time_survives_the_round_trip_to_within_float64(stamp: float) -> None:
    assert conversion.seconds(conversion.ros_time(stamp)) == pytest.approx(stamp, abs=3e-7)
    assert 0 <= conversion.ros_time(stamp).nanosec < 1_000_000_000


def test_serialized_stamp_is_the_header_s_stamp() -> None:
    message = Odometry()
    message.header.stamp = Time(sec=1_795_000_000, nanosec=250_000_000)
    assert conversion.serialized_stamp(serialize_message(message)) == 1_795_000_000.25


@pytest.mark.parametrize(
    ("encoding", "channels", "expected"),
    [("rgb8", 3, [10, 20, 30]), ("bgr8", 3, [30, 20, 10]), ("rgba8", 4, [10, 20, 30]), ("bgra8", 4, [30, 20, 10])],
)
def test_image_encodings_become_rgb_and_padding_is_dropped(encoding: str, channels: int, expected: list[int]) -> None:
    pixel = [10, 20, 30, 255][:channels]
    row = pixel * 4 + [99] * 5  # a driver's padding
    message = Image(height=3, width=4, encoding=encoding, step=len(row))
    message.data.frombytes(bytes(row * 3))
    image = image_from_message(message)
    assert image.shape == (3, 4, 3)
    assert (image == expected).all()


def test_image_round_trip() -> None:
    image = np.random.default_rng(1).integers(0, 255, (7, 9, 3), dtype=np.uint8)
    message = conversion.image_message(image, "rgb8", "camera_optical", Time())
    assert np.array_equal(image_from_message(message), image)


@pytest.mark.parametrize("change", [{"encoding": "yuv422"}, {"step": 3}, {"height": 100}, {"height": 0}])
def test_an_image_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    message = conversion.image_message(np.zeros((4, 4, 3), np.uint8), "rgb8", "c", Time())
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(conversion.MessageError):
        image_from_message(message)


def test_camera_info_round_trip() -> None:
    camera = Camera(640, 480, 500.0, 510.0, 320.5, 239.5, "plumb_bob", (0.1, -0.05, 0.001, 0.002, 0.01))
    assert camera_from_message(conversion.camera_info_message(camera, "c", Time())) == camera


def test_camera_info_that_is_not_calibrated_or_cropped_is_refused() -> None:
    with pytest.raises(RenderingError, match="not calibrated"):
        camera_from_message(CameraInfo(width=640, height=480))
    cropped = conversion.camera_info_message(Camera(640, 480, 500.0, 500.0, 320.0, 240.0), "c", Time())
    cropped.roi.x_offset = 8
    with pytest.raises(conversion.MessageError, match="region of interest"):
        camera_from_message(cropped)


def test_odometry_carries_pose_in_map_and_twist_in_base_link() -> None:
    state = some_state(100.25)
    message = conversion.fill_odometry(Odometry(), state)
    pose, covariance = conversion.pose_and_covariance(message)
    assert pose.distance_to(state.T_map_base) < 1e-12
    assert pose.angle_to(state.T_map_base) < 1e-7
    assert np.allclose(covariance, state.pose_covariance)
    v = message.twist.twist.linear
    assert np.allclose(state.T_map_base.rotation @ [v.x, v.y, v.z], state.velocity)
    variance = np.array(message.twist.covariance).reshape(6, 6)[:3, :3]
    R = state.T_map_base.rotation
    assert np.allclose(R @ variance @ R.T, state.velocity_covariance)


def test_a_pose_without_usable_covariance_or_rotation_is_refused() -> None:
    message = conversion.fill_odometry(Odometry(), some_state(1.0))
    message.pose.covariance[7] = float("nan")
    with pytest.raises(conversion.MessageError):
        conversion.pose_and_covariance(message)
    message = conversion.fill_odometry(Odometry(), some_state(1.0))
    message.pose.pose.orientation.w = float("nan")
    with pytest.raises(GeodesyError):
        conversion.pose_and_covariance(message)


def test_gps_goes_to_the_map_by_the_ellipsoid_and_no_fix_is_none() -> None:
    latitude, longitude, height = FRAME.to_geodetic(np.array([100.0, -50.0, 20.0]))
    message = NavSatFix(latitude=float(latitude), longitude=float(longitude), altitude=float(height))
    message.status.status = 0
    fix = conversion.gps_from_message(message, FRAME)
    assert fix is not None
    assert np.allclose(fix[0], [100.0, -50.0, 20.0], atol=1e-6)
    assert (np.diag(fix[1]) > 0).all()
    message.status.status = -1
    assert conversion.gps_from_message(message, FRAME) is None
    message.status.status = 0
    message.altitude = float("nan")
    with pytest.raises(GeoNavError):
        conversion.gps_from_message(message, FRAME)


def test_nav_sat_fix_of_a_state_is_where_the_state_is() -> None:
    message = conversion.nav_sat_fix_message(some_state(5.0), FRAME, "base_link")
    back = FRAME.from_geodetic(message.latitude, message.longitude, message.altitude)
    assert np.allclose(back, some_pose().translation, atol=1e-6)


def test_imu_orientation_is_taken_only_where_there_is_one() -> None:
    message = Imu()
    message.orientation_covariance[0] = -1.0
    assert conversion.attitude_from_message(message) is None
    message.orientation_covariance[0] = 0.0
    q = some_pose().quaternion
    o = message.orientation
    o.x, o.y, o.z, o.w = q.tolist()
    attitude = conversion.attitude_from_message(message)
    assert attitude is not None
    assert np.allclose(attitude[0], some_pose().rotation)
    assert np.allclose(np.sqrt(np.diag(attitude[1])), np.radians([2, 2, 10]))


def test_absolute_pose_message_tells_accepted_rejected_and_failed_apart() -> None:
    pose, covariance = some_pose(), np.eye(6) * 0.01
    accepted = AbsolutePose(
        1.0,
        Status.ACCEPTED,
        "fine",
        pose,
        covariance,
        matches=90,
        inliers=60,
        reprojection_rms=0.7,
        milliseconds={"match": 2.0, "total": 5.0},
        T_map_camera_levelled=Pose(pose.rotation, pose.translation + 1.0),
        levelled_covariance=covariance / 4.0,
    )
    message = conversion.absolute_pose_message(accepted, Time(sec=1), "map", "camera_optical")
    assert message.status == AbsolutePoseMessage.ACCEPTED
    assert (message.matches, message.inliers) == (90, 60)
    assert message.levelled_pose.pose.position.x == message.pose.pose.position.x + 1.0
    assert message.levelled_pose.covariance[0] == message.pose.covariance[0] / 4.0
    assert message.gate == "accepted"
    assert message.stages == ["match"]
    assert message.milliseconds == 5.0
    rejected = AbsolutePose(1.0, Status.FAR_FROM_PRIOR, "9 sigma", pose, covariance)
    assert conversion.absolute_pose_message(rejected, Time(), "map", "c").status == AbsolutePoseMessage.REJECTED
    failed = AbsolutePose(1.0, Status.FEW_MATCHES, "3 matches")
    assert conversion.absolute_pose_message(failed, Time(), "map", "c").status == AbsolutePoseMessage.FAILED


def test_camera_prior_agrees_with_sampling() -> None:
    rng = np.random.default_rng(3)
    T_map_base, T_base_camera = some_pose(), Pose(Rotation.from_euler("x", 2.0).as_matrix(), np.array([1.0, 0.5, -0.3]))
    half = rng.normal(size=(6, 6)) * 0.05
    covariance = half @ half.T
    nominal, expected = camera_prior((T_map_base, covariance), T_base_camera)
    assert nominal.distance_to(T_map_base @ T_base_camera) < 1e-12
    samples = []
    for error in rng.multivariate_normal(np.zeros(6), covariance, 20_000):
        moved = Pose(
            Rotation.from_rotvec(error[3:]).as_matrix() @ T_map_base.rotation, T_map_base.translation + error[:3]
        )
        camera = moved @ T_base_camera
        rotation = Rotation.from_matrix(camera.rotation @ nominal.rotation.T).as_rotvec()
        samples.append(np.concatenate([camera.translation - nominal.translation, rotation]))
    sampled = np.cov(np.array(samples).T)
    assert np.abs(sampled - expected).max() < 0.05 * np.abs(expected).max()
