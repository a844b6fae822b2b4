from itertools import pairwise

import numpy as np
import pytest

from fusion_helpers import FIX_SIGMAS, T_BASE_CAMERA, Fix, World, give_fix, new_fusion, run
from geo_nav.fusion import NavigationState


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=1, duration=30.0)


@pytest.fixture(scope="module")
def ordered(world):
    fusion = new_fusion()
    return fusion, run(fusion, world)


def test_fixes_late_by_300_ms_give_better_than_a_fix(world, ordered):
    fusion, trace = ordered
    settled = trace.after(10.0)
    # One fix is off by 0.3·√3 = 0.52 m; the graph averages several, then 0.3–0.5 s are carried by the IMU alone.
    assert settled.rms < 0.35
    assert np.degrees(np.sqrt((settled.heading_errors**2).mean())) < 0.3
    status = fusion.status()
    assert status.state is NavigationState.TRACKING
    arrived = [f for f in world.fixes if f.arrival <= 29.89]
    # The gate may refuse one honest fix in a thousand.
    assert status.fixes_refused <= 2
    assert status.fixes_used + status.fixes_refused == len(arrived)
    assert status.fixes_too_old == status.graph_rebuilds == 0


def test_output_has_imu_rate_and_imu_stamps(world, ordered):
    _, trace = ordered
    stamps = [s.stamp for s in trace.states]
    assert stamps == [s.stamp for s in world.imu if s.stamp >= stamps[0]]
    assert stamps[0] < 1.2


def test_velocity_and_bias_are_estimated(world, ordered):
    _, trace = ordered
    last = trace.states[-1]
    assert np.linalg.norm(last.velocity - world.flight.velocity(last.stamp)) < 0.3
    assert np.linalg.norm(last.gyroscope_bias - world.gyroscope_bias[-1]) < 0.002
    assert np.linalg.norm(last.accelerometer_bias - world.accelerometer_bias[-1]) < 0.15
    np.testing.assert_allclose(last.angular_velocity, world.flight.angular_velocity(last.stamp), atol=0.1)


def test_pose_covariance_is_honest_over_seeds():
    nees = np.concatenate(
        [run(new_fusion(), World(seed=s, duration=14.0, rate=50.0)).after(4.0).nees(25) for s in range(10, 20)]
    )
    # 10 runs × 20 instants; successive instants correlate, so the band is that of about 100 independent ones.
    assert 0.75 < nees.mean() / 6.0 < 1.3


def test_covariance_grows_honestly_without_fixes():
    ratios, sigmas, errors = [], [], []
    for seed in range(30, 40):
        w = World(seed=seed, duration=20.0, rate=50.0)
        trace = run(new_fusion(), w, [f for f in w.fixes if f.stamp < 8.0]).after(16.0)
        ratios.append(trace.nees(50).mean() / 6.0)
        sigmas.append(np.sqrt(np.trace(trace.states[-1].pose_covariance[:3, :3])))
        errors.append(np.linalg.norm(trace.position_errors[-1]))
    assert 0.6 < np.mean(ratios) < 1.6
    assert 2.0 < np.mean(sigmas) < 60.0
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / np.mean(sigmas) < 1.6


@pytest.mark.parametrize("correlation_time", [0.0, 2.0])
def test_arrival_order_does_not_matter(world, correlation_time):
    """Every fix late by a different time up to 1 s, so most come out of order and cut existing IMU intervals."""
    rng = np.random.default_rng(3)
    fixes = [f for f in world.fixes if 2.0 < f.stamp < 28.0]
    shuffled = [Fix(f.stamp, f.stamp + rng.uniform(0.05, 1.0), f.T_map_camera, f.covariance) for f in fixes]
    assert [f.stamp for f in sorted(shuffled, key=lambda f: f.arrival)] != [f.stamp for f in fixes]
    ends = []
    for arrivals in (fixes, shuffled):
        fusion = new_fusion(fix_correlation_time=correlation_time)
        sigmas = np.diag(np.array([1.0, 1.0, 1.0, 0.05, 0.05, 0.05]) ** 2)
        fusion.set_pose(1.0, world.flight.pose(1.0), sigmas, world.flight.velocity(1.0), np.eye(3))
        ends.append(run(fusion, world, arrivals).states[-1])
        assert fusion.status().fixes_too_old == 0
    assert ends[0].T_map_base.distance_to(ends[1].T_map_base) < 0.01
    assert ends[0].T_map_base.angle_to(ends[1].T_map_base) < 5e-4
    np.testing.assert_allclose(ends[0].pose_covariance, ends[1].pose_covariance, rtol=0.02, atol=1e-6)


def test_fix_older_than_the_lag_is_counted_and_dropped(world):
    fusion = new_fusion(lag=4.0)
    fixes = [f for f in world.fixes if not 15.0 < f.stamp < 15.2]
    late = next(f for f in world.fixes if 15.0 < f.stamp < 15.2)
    trace = run(fusion, world, [*fixes, Fix(late.stamp, late.stamp + 5.0, late.T_map_camera, late.covariance)])
    assert fusion.status().fixes_too_old == 1
    assert trace.after(10.0).rms < 0.35


def test_fix_ahead_of_the_imu_waits(world):
    fusion = new_fusion()
    fixes = [f for f in world.fixes if f.arrival < 9.0]
    run(fusion, World(seed=1, duration=10.0), fixes)
    used = fusion.status().fixes_used
    give_fix(fusion, world.fix(10.05))
    assert fusion.update().fixes == []
    for sample in world.imu[2000:2030]:
        fusion.add_imu(sample)
    outcomes = fusion.update().fixes
    assert [o.used for o in outcomes] == [True]
    assert fusion.status().fixes_used == used + 1


def test_fixes_close_together_share_a_state(world):
    """Two cameras 4 ms apart at 15 m/s: 6 cm would be lost if the second were put on the first one's state."""
    fusion = new_fusion(robust_loss="none")
    exact = np.diag(np.array([0.01, 0.01, 0.01, 1e-3, 1e-3, 1e-3]) ** 2)
    truth = [
        Fix(t, t + 0.05, world.flight.pose(t) @ T_BASE_CAMERA, exact)
        for base in np.arange(0.5, 9.0, 0.2)
        for t in (base, base + 0.004)
    ]
    trace = run(fusion, World(seed=1, duration=10.0), truth)
    assert fusion.status().fixes_refused == 0
    assert trace.after(5.0, 9.0).rms < 0.02


def test_odom_is_continuous_and_the_correction_is_in_map_odom(ordered):
    _, trace = ordered
    poses = [s.T_map_odom.inverse() @ s.T_map_base for s in trace.states]
    steps = np.array([b.distance_to(a) for a, b in pairwise(poses)])
    speeds = np.array([np.linalg.norm(s.velocity) for s in trace.states[1:]])
    # Each step is the IMU's own motion over 5 ms, whatever the graph has corrected.
    np.testing.assert_allclose(steps, speeds * 0.005, atol=1e-3)
    assert max(a.angle_to(b) for a, b in pairwise(poses)) < 0.01
    in_map = np.array([b.T_map_base.distance_to(a.T_map_base) for a, b in pairwise(trace.states)])
    assert np.abs(in_map - speeds * 0.005).max() > 0.02


def test_pose_at_interpolates_the_history(world, ordered):
    fusion, trace = ordered
    stamp = 28.0137
    pose, covariance = fusion.pose_at(stamp)
    assert pose.distance_to(world.flight.pose(stamp)) < 0.6
    assert 0.05 < np.sqrt(covariance[0, 0]) < 0.4
    newest = trace.states[-1]
    pose, covariance = fusion.pose_at(newest.stamp)
    assert pose.distance_to(newest.T_map_base) < 0.2
    assert fusion.pose_at(newest.stamp - 20.0) is None
    assert fusion.pose_at(newest.stamp + 1.0) is None


def test_imu_alone_would_be_lost(world):
    """The same IMU without fixes after the start: what the fixes are worth."""
    trace = run(new_fusion(), world, [f for f in world.fixes if f.stamp < 4.0])
    assert trace.after(20.0).rms > 10.0 * FIX_SIGMAS[0]
