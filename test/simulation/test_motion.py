"""Trajectories: derivatives that fit, coordinated turns, splines through known poses."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import Pose
from geo_nav.simulation import PoseSpline, SimulationConfig, SimulationError, make_flight
from geo_nav.simulation.plan import plan_world


@pytest.fixture(scope="module")
def plan():
    return plan_world(SimulationConfig())


@pytest.fixture(scope="module")
def flight(plan):
    return make_flight(plan, SimulationConfig())


def sparse_poses():
    t = np.arange(0.0, 41.0, 2.0)
    yaw = 0.03 * t
    poses = [
        Pose(
            Rotation.from_euler("ZYX", [y, 0.05 * np.sin(k), 0.1]).as_matrix(),
            [300 * np.sin(y), 300 * np.cos(y), 5 * k],
        )
        for k, y in enumerate(yaw)
    ]
    return t, poses


def assert_derivatives(trajectory, times):
    h = 1e-4
    before, now, after = (trajectory.motion(times + d) for d in (-h, 0.0, h))
    np.testing.assert_allclose((after.position - before.position) / (2 * h), now.velocity, atol=1e-6)
    np.testing.assert_allclose((after.velocity - before.velocity) / (2 * h), now.acceleration, atol=1e-5)
    turn = Rotation.from_matrix(np.swapaxes(before.rotation, 1, 2) @ after.rotation).as_rotvec() / (2 * h)
    np.testing.assert_allclose(turn, now.angular_velocity, atol=1e-5)


def test_derivatives_of_the_flight(flight):
    assert_derivatives(flight, np.linspace(0.5, 599.5, 3000))


def test_derivatives_of_a_pose_spline():
    assert_derivatives(PoseSpline(*sparse_poses()), np.linspace(0.1, 39.9, 700))


def test_pose_spline_meets_every_pose():
    t, poses = sparse_poses()
    spline = PoseSpline(t, poses)
    for time, pose in zip(t, poses, strict=True):
        got = spline.motion(float(time)).pose()
        assert got.distance_to(pose) < 1e-9
        assert got.angle_to(pose) < 1e-9


def test_pose_spline_refuses_bad_times():
    t, poses = sparse_poses()
    with pytest.raises(SimulationError, match="increase"):
        PoseSpline(t[::-1], poses)
    with pytest.raises(SimulationError, match="6 timed poses"):
        PoseSpline(t[:4], poses[:4])


def test_flight_stays_in_its_envelope(flight, plan):
    motion = flight.motion(np.arange(0.0, 600.0, 0.1))
    speed = np.linalg.norm(motion.velocity, axis=1)
    assert speed.min() > 9.0
    assert speed.max() < 19.0
    bank = np.degrees(np.arcsin(motion.rotation[:, 2, 1]))
    assert np.abs(bank).max() < 30.0
    assert np.abs(bank).max() > 12.0, "there must be real turns"
    ground = plan.from_map(motion.position)
    height = ground[:, 2] - plan.terrain.at(ground[:, 0], ground[:, 1])
    assert height.min() > 105.0
    assert height.max() < 265.0
    assert np.ptp(height) > 80.0, "there must be climbs"


def test_flight_is_coordinated_without_turbulence(plan):
    config = SimulationConfig(turbulence=0.0)
    flight = make_flight(plan, config)
    motion = flight.motion(np.arange(0.0, 600.0, 0.5))
    felt = np.einsum("nij,ni->nj", motion.rotation, motion.acceleration + np.array([0, 0, 9.81]))
    assert np.abs(felt[:, 1]).max() < 1e-6
    assert felt[:, 2].min() > 8.0


def test_flight_depends_on_the_seed_alone(plan, flight):
    again = make_flight(plan, SimulationConfig()).motion(100.0)
    np.testing.assert_array_equal(again.position, flight.motion(100.0).position)
    other = make_flight(plan, SimulationConfig(seed=8)).motion(100.0)
    assert np.linalg.norm(other.position - again.position) > 1.0


def test_flight_crosses_bare_fields_after_the_typical_part(flight, plan):
    def over_bare(times):
        places = plan.from_map(flight.motion(times).position)[:, :2]
        return np.hypot(*(places - plan.zones.bare).T) < plan.zones.bare_radius

    assert over_bare(np.arange(180.0, 600.0, 1.0)).sum() > 20
    assert over_bare(np.arange(0.0, 180.0, 1.0)).sum() == 0


def test_asking_outside_the_flight_is_an_error(flight):
    with pytest.raises(SimulationError, match=r"from 0\.000 s to 600\.000 s"):
        flight.motion(601.0)
    with pytest.raises(SimulationError):
        flight.motion(np.array([1.0, np.nan]))
