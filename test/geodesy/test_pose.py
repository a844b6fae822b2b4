import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import GeodesyError, Pose, camera_pose, covariance_gtsam_from_ros, covariance_ros_from_gtsam
from geo_nav.geodesy.pose import error_vector

T_a_b = Pose.from_rotation_vector([0.3, -0.2, 0.9], [1.0, 2.0, 3.0])
T_b_c = Pose.from_rotation_vector([-0.1, 0.5, 0.2], [-4.0, 0.5, 2.0])


def test_composition_and_inverse_agree_with_matrices():
    assert (T_a_b @ T_b_c).matrix == pytest.approx(T_a_b.matrix @ T_b_c.matrix)
    assert T_a_b.inverse().matrix == pytest.approx(np.linalg.inv(T_a_b.matrix))
    p = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    assert (T_a_b @ T_b_c).transform(p) == pytest.approx(T_a_b.transform(T_b_c.transform(p)))


def test_a_quarter_turn_about_up_takes_east_to_north():
    turn = Pose.from_quaternion([0.0, 0.0, np.sin(np.pi / 4), np.cos(np.pi / 4)], [0.0, 0.0, 0.0])
    assert turn.transform([1.0, 0.0, 0.0]) == pytest.approx([0.0, 1.0, 0.0])
    assert turn.angle_to(Pose.identity()) == pytest.approx(np.pi / 2)


def test_interpolation_is_halfway():
    half = Pose.identity().interpolate(T_a_b, 0.5)
    assert half.translation == pytest.approx(T_a_b.translation / 2)
    assert half.angle_to(Pose.identity()) == pytest.approx(half.angle_to(T_a_b))
    assert half.distance_to(T_a_b) == pytest.approx(np.sqrt(14.0) / 2)


def test_error_vector_is_about_the_fixed_axes():
    small = Rotation.from_rotvec([0.001, 0.002, -0.003])
    truth = Pose(small.as_matrix() @ T_a_b.rotation, T_a_b.translation + np.array([0.1, 0.2, 0.3]))
    assert error_vector(T_a_b, truth) == pytest.approx([0.1, 0.2, 0.3, 0.001, 0.002, -0.003])


def test_covariances_of_gtsam_and_ros_agree_by_sampling():
    """Poses are drawn as GTSAM means it (retraction in the body frame) and scattered as ROS means it."""
    gtsam = pytest.importorskip("gtsam")
    rng = np.random.default_rng(7)
    root = rng.normal(size=(6, 6)) * np.array([0.02, 0.01, 0.03, 0.5, 0.2, 0.8])[:, None]
    covariance = root @ root.T
    mean = gtsam.Pose3(T_a_b.matrix)
    errors = []
    for tangent in rng.multivariate_normal(np.zeros(6), covariance, size=20000):
        sample = mean.retract(tangent)
        rotation = Rotation.from_matrix(sample.rotation().matrix() @ T_a_b.rotation.T).as_rotvec()
        errors.append(np.concatenate([sample.translation() - T_a_b.translation, rotation]))
    measured = np.cov(np.array(errors).T)
    converted = covariance_ros_from_gtsam(covariance, T_a_b.rotation)
    scale = np.sqrt(np.outer(np.diag(converted), np.diag(converted)))
    assert np.abs((measured - converted) / scale).max() < 0.05
    # Without the conversion the same comparison fails: the test can tell them apart.
    assert np.abs((measured - covariance) / scale).max() > 0.3


def test_covariance_round_trip():
    root = np.random.default_rng(1).normal(size=(6, 6))
    covariance = root @ root.T
    there = covariance_ros_from_gtsam(covariance, T_a_b.rotation)
    assert covariance_gtsam_from_ros(there, T_a_b.rotation) == pytest.approx(covariance)


@pytest.mark.parametrize(
    ("rotation", "translation"),
    [
        (np.eye(3) * 1.1, np.zeros(3)),
        (np.diag([1.0, 1.0, -1.0]), np.zeros(3)),
        (np.eye(3), np.array([0.0, np.nan, 0.0])),
        (np.eye(2), np.zeros(3)),
    ],
)
def test_what_is_not_a_rigid_transform_is_refused(rotation, translation):
    with pytest.raises(GeodesyError):
        Pose(rotation, translation)


def test_a_zero_quaternion_is_refused():
    with pytest.raises(GeodesyError, match="not a rotation"):
        Pose.from_quaternion([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0])


def test_a_camera_that_looks_east_has_the_horizon_level():
    pose = camera_pose([1.0, 2.0, 3.0], np.pi / 2, 0.0)
    right, down, forward = pose.rotation.T
    assert forward == pytest.approx([1.0, 0.0, 0.0])
    assert right == pytest.approx([0.0, -1.0, 0.0])
    assert down == pytest.approx([0.0, 0.0, -1.0])


def test_a_camera_that_looks_down_has_its_heading_on_top():
    right, down, forward = camera_pose(np.zeros(3), np.radians(30.0), -np.pi / 2).rotation.T
    assert forward == pytest.approx([0.0, 0.0, -1.0])
    assert -down == pytest.approx([0.5, np.sqrt(0.75), 0.0])
    assert right == pytest.approx([np.sqrt(0.75), -0.5, 0.0])


def test_roll_lowers_the_right_side():
    right = camera_pose(np.zeros(3), 0.0, 0.0, np.radians(10.0)).rotation[:, 0]
    assert right[2] == pytest.approx(-np.sin(np.radians(10.0)))
