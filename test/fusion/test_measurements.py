import gtsam
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, World, new_fusion
from geo_nav.fusion.belief import Belief, pose3, pose_from_pose3
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.measurements import GpsFix, pose_fix
from geo_nav.geodesy import Pose, covariance_gtsam_from_ros, covariance_ros_from_gtsam
from geo_nav.geodesy.pose import error_vector

SIGMAS = np.repeat([0.05, 0.6, 0.8, 0.1, 0.01], 3) * np.tile([1.0, 2.0, 0.5], 5)


def belief_at(world: World, t: float) -> Belief:
    pose = world.flight.pose(t)
    nav = gtsam.NavState(gtsam.Rot3(pose.rotation), pose.translation, world.flight.velocity(t))
    mixing = np.random.default_rng(0).normal(size=(15, 15)) * SIGMAS[:, None] * 0.3
    bias = gtsam.imuBias.ConstantBias([0.05, -0.02, 0.1], [0.01, 0.0, -0.01])
    return Belief(t, nav, bias, np.diag(SIGMAS**2) + mixing @ mixing.T)


def test_covariance_of_a_camera_fix_is_carried_to_the_base():
    """Sampled: a tilted camera at the end of a 5 m boom turns its attitude error into position."""
    rng = np.random.default_rng(1)
    extrinsics = Pose(T_BASE_CAMERA.rotation, np.array([5.0, -1.0, 0.5]))
    T_map_camera = World(duration=2.0).flight.pose(1.0) @ extrinsics
    sigmas = np.array([0.3, 0.2, 0.5, 0.02, 0.01, 0.04])
    fix = pose_fix(
        1.0, T_map_camera, covariance_gtsam_from_ros(np.diag(sigmas**2), T_map_camera.rotation), pose3(extrinsics)
    )
    base = pose_from_pose3(fix.pose)
    covariance = covariance_ros_from_gtsam(fix.covariance, base.rotation)
    errors = []
    for _ in range(3000):
        e = rng.normal(0.0, sigmas)
        camera = Pose(Rotation.from_rotvec(e[3:]).as_matrix() @ T_map_camera.rotation, T_map_camera.translation + e[:3])
        errors.append(error_vector(base, camera @ extrinsics.inverse()))
    np.testing.assert_allclose(np.cov(np.array(errors).T), covariance, atol=0.08 * covariance.max())
    assert covariance[0, 0] + covariance[1, 1] + covariance[2, 2] > 1.05 * np.sum(sigmas[:3] ** 2)


def test_gps_innovation_covariance_matches_its_differences():
    world = World(duration=2.0)
    belief = belief_at(world, 1.0)
    fix = GpsFix(1.0, np.ones(3), np.eye(3) * 2.0, np.ones(3), np.eye(3) * 0.3, np.array([3.0, -2.0, 1.0]), np.zeros(3))
    error, covariance = fix.innovation(belief)
    jacobian, h = np.zeros((6, 15)), 1e-6
    for i in range(9):
        d = np.zeros(9)
        d[i] = h
        moved = Belief(1.0, belief.nav.retract(d), belief.bias, belief.covariance)
        jacobian[:, i] = (error - fix.innovation(moved)[0]) / h
    expected = jacobian @ belief.covariance @ jacobian.T
    expected += np.diag([2.0, 2.0, 2.0, 0.3, 0.3, 0.3])
    np.testing.assert_allclose(covariance, expected, rtol=1e-4, atol=1e-6)


def test_gps_lever_arm_swings_the_antenna():
    """10 m ahead of the centre at 0.5 rad/s of yaw: 5 m/s to the side that the vehicle does not fly."""
    fix = GpsFix(
        0.0,
        np.zeros(3),
        np.eye(3),
        np.array([15.0, 5.0, 0.0]),
        np.eye(3),
        np.array([10.0, 0, 0]),
        np.array([0, 0, 0.5]),
    )
    level = Belief(0.0, gtsam.NavState(), gtsam.imuBias.ConstantBias(), np.eye(15))
    np.testing.assert_allclose(fix.placed(level).velocity, [15.0, 0.0, 0.0], atol=1e-12)


def test_gps_angular_velocity_is_taken_from_the_imu_at_its_stamp():
    world = World(seed=3, duration=22.0, rate=100.0, noise=0.0)
    arm = np.array([60.0, 0.0, 0.0])
    fusion = new_fusion()
    for sample in world.imu:
        fusion.add_imu(sample)
    sigmas = np.array([1.0, 1.0, 1.0, 0.01, 0.01, 0.01])
    fusion.set_pose(20.0, world.flight.pose(20.0), np.diag(sigmas**2), world.flight.velocity(20.0), np.eye(3))
    R = world.flight.rotation(21.0).as_matrix()
    swing = R @ np.cross(world.flight.angular_velocity(21.0), arm)
    assert np.linalg.norm(swing) > 3.0
    antenna = world.flight.position(21.0) + R @ arm
    fusion.add_gps(21.0, antenna, np.eye(3), world.flight.velocity(21.0) + swing, np.eye(3) * 0.01, arm)
    (outcome,) = fusion.update().fixes
    assert outcome.used
    assert outcome.mahalanobis < 0.5


def test_attitude_covariance_is_about_the_axes_of_the_map():
    """Nose up by 90°: an uncertain heading is then an uncertain roll in the body."""
    fusion = new_fusion()
    nose_up = Rotation.from_euler("y", -np.pi / 2).as_matrix()
    fusion.add_attitude(1.0, nose_up, np.diag([0.01, 0.01, 0.3]) ** 2)
    attitude = fusion._intake.attitude(0.0, 2.0)
    np.testing.assert_allclose(np.sqrt(np.diag(attitude.covariance)), [0.3, 0.01, 0.01], atol=1e-9)


def test_graph_and_propagation_agree_on_mean_and_covariance():
    """One IMU second in the graph without a measurement must give what the propagation gives, 15 × 15."""
    world = World(seed=3, duration=4.0)
    buffer, model = ImuBuffer(CONFIG), ImuModel(CONFIG, FRAME)
    for sample in world.imu:
        buffer.add(sample)
    first = belief_at(world, 1.0)
    window = GraphWindow(CONFIG, buffer, model, first)
    np.testing.assert_allclose(window.newest().covariance, first.covariance, rtol=1e-6, atol=1e-9)
    window.update([], [2.0])
    solved, expected = window.newest(), first.propagated(buffer.segments(1.0, 2.0), model)
    np.testing.assert_allclose(solved.nav.position(), expected.nav.position(), atol=1e-6)
    scale = np.sqrt(np.outer(np.diag(expected.covariance), np.diag(expected.covariance)))
    np.testing.assert_allclose(solved.covariance / scale, expected.covariance / scale, atol=0.01)


def test_marginalised_states_leave_the_window():
    world = World(seed=3, duration=12.0, rate=50.0)
    config = CONFIG.model_copy(update={"lag": 3.0})
    buffer, model = ImuBuffer(config), ImuModel(config, FRAME)
    for sample in world.imu:
        buffer.add(sample)
    window = GraphWindow(config, buffer, model, belief_at(world, 1.0))
    for t in np.arange(1.5, 11.0, 0.5):
        window.update([], [float(t)])
    assert [s.stamp for s in window.states] == pytest.approx(np.arange(7.5, 11.0, 0.5))
    assert window.belief(window.states[0]).stamp == pytest.approx(7.5)
