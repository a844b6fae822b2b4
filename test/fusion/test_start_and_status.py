import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fusion_helpers import FRAME, T_BASE_CAMERA, Flight, Straight, Trace, World, give_fix, new_fusion, run
from geo_nav.fusion import Fusion, FusionConfig, FusionError, NavigationState
from geo_nav.geodesy import LocalFrame
from geo_nav.geodesy.pose import error_vector

LEVER_ARM = np.array([0.5, 0.2, 0.3])


def fly_with_gps(fusion, world, gps_until, poses_from, with_velocity=True):
    """Attitude with 3° of heading error until 2.5 s, GPS 5 Hz late by 0.11 s, then nothing, then absolute poses."""
    rng = np.random.default_rng(world.seed)
    turn = Rotation.from_rotvec([0.0, 0.0, np.radians(3.0)])
    waiting = [f for f in world.fixes if f.stamp >= poses_from]
    states, next_gps, next_update = [], 1.0, 0.0
    for sample in world.imu:
        t, flight = sample.stamp, world.flight
        state = fusion.add_imu(sample)
        if state is not None:
            states.append(state)
        if t < 2.5:
            fusion.add_attitude(t, (turn * flight.rotation(t)).as_matrix())
        if next_gps <= t < gps_until:
            s = t - 0.11
            R = flight.rotation(s).as_matrix()
            position = flight.position(s) + R @ LEVER_ARM + rng.normal(0.0, 1.0, 3)
            swing = R @ np.cross(flight.angular_velocity(s), LEVER_ARM)
            velocity = flight.velocity(s) + swing + rng.normal(0.0, 0.2, 3) if with_velocity else None
            fusion.add_gps(s, position, np.eye(3), velocity, 0.04 * np.eye(3), LEVER_ARM)
            next_gps += 0.2
        while waiting and waiting[0].arrival <= t:
            give_fix(fusion, waiting.pop(0))
        if t >= next_update:
            fusion.update()
            next_update += 0.1
    return Trace(states, world.flight)


@pytest.mark.parametrize("with_velocity", [True, False])
def test_start_in_flight_from_gps_with_a_wrong_heading_then_poses(with_velocity):
    world = World(seed=4, duration=22.0, rate=100.0)
    fusion = new_fusion()
    trace = fly_with_gps(fusion, world, 8.0, 10.0, with_velocity=with_velocity)
    assert trace.states[0].stamp < 2.4
    # Already at 15 m/s: the velocity comes from the fixes, not from an assumed rest.
    assert np.linalg.norm(trace.states[0].velocity - world.flight.velocity(trace.states[0].stamp)) < 4.0
    assert trace.after(3.0, 8.0).rms < 2.5
    assert trace.after(1.0, 8.0).nees(20).mean() / 6.0 < 1.8
    settled = trace.after(14.0)
    assert settled.rms < 0.4
    assert np.degrees(np.abs(settled.heading_errors).max()) < 0.8
    assert fusion.status().fixes_refused <= 2


def start_from_gps_alone(world, with_velocity, sigma=1.0):
    """GPS at 2 Hz, no attitude; the first state and the stamp of the update that gave it."""
    fusion = new_fusion()
    rng = np.random.default_rng([world.seed, 7])
    for i, sample in enumerate(world.imu):
        fusion.add_imu(sample)
        if i % 50 == 10:
            t = sample.stamp
            velocity = world.flight.velocity(t) + rng.normal(0.0, 0.2, 3) if with_velocity else None
            position = world.flight.position(t) + rng.normal(0.0, sigma, 3)
            fusion.add_gps(t, position, sigma**2 * np.eye(3), velocity, 0.04 * np.eye(3))
            fusion.update()
        if fusion.state() is not None:
            break
    return fusion


class Agile(Flight):
    """The figure of eight at twice the speed."""

    def position(self, t):
        return super().position(2.0 * np.asarray(t))

    def velocity(self, t):
        return 2.0 * super().velocity(2.0 * np.asarray(t))

    def acceleration(self, t):
        return 4.0 * super().acceleration(2.0 * np.asarray(t))


@pytest.mark.parametrize(("with_velocity", "sigma"), [(True, 1.0), (False, 0.5)])
def test_start_in_motion_without_an_attitude(with_velocity, sigma):
    nees, begun = [], []
    for seed in range(4):
        world = World(seed=seed, duration=40.0, rate=100.0, flight=Agile())
        fusion = start_from_gps_alone(world, with_velocity, sigma)
        state = fusion.state()
        assert state is not None, fusion.status().reason
        error = error_vector(state.T_map_base, world.flight.pose(state.stamp))
        assert np.abs(error[3:5]).max() < np.radians(12.0)
        assert abs(error[5]) < np.radians(40.0)
        nees.append(error @ np.linalg.solve(state.pose_covariance, error) / 6.0)
        begun.append(state.stamp)
    assert 0.1 < np.mean(nees) < 1.8
    assert max(begun) < 35.0


def test_straight_flight_does_not_start_without_an_attitude():
    fusion = start_from_gps_alone(World(seed=1, duration=40.0, rate=100.0, flight=Straight()), True)
    assert fusion.state() is None
    assert "the motion does not show the heading" in fusion.status().reason


def test_gps_without_attitude_waits_and_says_so():
    world = World(seed=4, duration=3.0, rate=100.0)
    fusion = new_fusion()
    for sample in world.imu:
        fusion.add_imu(sample)
    for t in (1.0, 1.5, 2.0):
        fusion.add_gps(t, world.flight.position(t), np.eye(3))
    fusion.update()
    status = fusion.status()
    assert status.state is NavigationState.INITIALIZING
    assert "no attitude" in status.reason
    assert fusion.state() is None
    assert fusion.checkpoint() is None


def test_a_start_that_the_solver_cannot_find_is_told(monkeypatch):
    def failing(*arguments):
        raise RuntimeError("the system is underdetermined")

    monkeypatch.setattr("geo_nav.fusion.bootstrap.Bootstrap.solve", failing)
    fusion = new_fusion()
    run(fusion, World(seed=4, duration=3.0, rate=100.0))
    reason = fusion.status().reason
    assert fusion.state() is None
    assert "fixes failed: RuntimeError" in reason


def test_start_from_two_cameras_and_an_attitude_microseconds_apart():
    """No IMU factor may span 10 µs: its covariance would be next to nothing."""
    world = World(seed=4, duration=3.0, rate=100.0)
    for kind in ("poses", "gps"):
        fusion = new_fusion()
        for sample in world.imu:
            fusion.add_imu(sample)
        fusion.add_attitude(2.00001, world.flight.rotation(2.00001).as_matrix())
        for t in (1.0, 1.5, 2.0, 2.5):
            for stamp in (t, t + 1e-5):
                if kind == "poses":
                    give_fix(fusion, world.fix(stamp))
                else:
                    fusion.add_gps(stamp, world.flight.position(stamp), np.eye(3), world.flight.velocity(stamp))
        assert fusion.update().started == "started from 4 fixes"
        state = fusion.state()
        assert state.T_map_base.distance_to(world.flight.pose(state.stamp)) < 3.0
        assert np.linalg.norm(state.velocity - world.flight.velocity(state.stamp)) < 2.0


def test_gps_sigma_has_a_floor():
    """A receiver that claims 1 cm must not pull the state to its metre-level errors."""
    world = World(seed=4, duration=6.0, rate=100.0)
    sigmas = []
    for floor in (0.5, 3.0):
        fusion = new_fusion(gps_sigma_floor=floor)
        for sample in world.imu:
            fusion.add_imu(sample)
            fusion.add_attitude(sample.stamp, world.flight.rotation(sample.stamp).as_matrix())
        for t in np.arange(2.0, 3.1, 0.2):
            fusion.add_gps(t, world.flight.position(t), 1e-4 * np.eye(3))
        fusion.update()
        pose, covariance = fusion.pose_at(3.1)
        sigmas.append(np.sqrt(covariance[0, 0]))
        assert pose.distance_to(world.flight.pose(3.1)) < 1.5
    assert 0.2 < sigmas[0] < 0.8
    assert sigmas[1] / sigmas[0] > 2.0


def test_correlated_gps_does_not_make_the_state_overconfident():
    """The same 2 m offset in every fix: averaging many must not make the state surer than its error."""
    world = World(seed=6, duration=11.0, rate=100.0)
    sigmas = []
    for tau in (0.0, 30.0):
        fusion, next_fix, next_update = new_fusion(gps_correlation_time=tau), 1.0, 0.0
        for sample in world.imu:
            fusion.add_imu(sample)
            if sample.stamp < 3.0:
                fusion.add_attitude(sample.stamp, world.flight.rotation(sample.stamp).as_matrix())
            if sample.stamp >= next_fix:
                position = world.flight.position(sample.stamp) + np.array([1.5, -1.2, 0.5])
                fusion.add_gps(sample.stamp, position, 4.0 * np.eye(3))
                next_fix += 0.2
            if sample.stamp >= next_update:
                fusion.update()
                next_update += 0.1
        sigmas.append(fusion.status().horizontal_sigma)
        assert fusion.status().fixes_refused == 0
    # The offset is 1.9 m: taken as independent, the fixes promise more than they hold.
    assert sigmas[0] < 1.3
    assert 1.4 < sigmas[1] < 3.0


def test_states_follow_the_fixes_with_reasons():
    world = World(seed=5, duration=20.0, rate=100.0)
    fusion = new_fusion(coasting_after=2.0, lost_after=6.0)
    assert fusion.status().state is NavigationState.INITIALIZING
    assert "IMU" in fusion.status().reason
    seen, next_update = [], 0.0
    waiting = [f for f in world.fixes if f.stamp < 6.0 or f.stamp > 16.0]
    for sample in world.imu:
        fusion.add_imu(sample)
        while waiting and waiting[0].arrival <= sample.stamp:
            give_fix(fusion, waiting.pop(0))
        if sample.stamp >= next_update:
            fusion.update()
            next_update += 0.1
            status = fusion.status()
            if not seen or seen[-1][1] is not status.state:
                seen.append((sample.stamp, status.state, status.reason))
    assert [s for _, s, _ in seen] == [
        NavigationState.INITIALIZING,
        NavigationState.TRACKING,
        NavigationState.COASTING,
        NavigationState.LOST,
        NavigationState.TRACKING,
    ]
    times = [t for t, _, _ in seen]
    assert times[2] == pytest.approx(5.9 + 2.0, abs=0.25)
    assert times[3] == pytest.approx(5.9 + 6.0, abs=0.25)
    assert times[4] == pytest.approx(16.4, abs=0.3)
    assert "limit 6 s" in seen[3][2]
    status = fusion.status()
    assert 0.05 < status.horizontal_sigma < 0.5
    assert 0.001 < status.heading_sigma < 0.02
    assert fusion.status(now=30.0).state is NavigationState.COASTING or fusion.status(now=30.0).state.value == 3
    assert "no IMU for 10.0 s" in fusion.status(now=30.0).reason


def test_relocalizing_while_fixes_contradict_a_lost_state():
    world = World(seed=5, duration=4.0, rate=100.0)
    fusion = new_fusion(lost_sigma=0.5)
    fusion.set_pose(0.2, world.flight.pose(0.2), np.eye(6) * 1e-2, world.flight.velocity(0.2), np.eye(3))
    run(fusion, world, [])
    assert fusion.status().state is NavigationState.LOST
    assert "limit 0.5 m" in fusion.status().reason
    fusion.add_absolute_pose(3.5, world.fix(3.5, [300.0, 0.0, 0.0]).T_map_camera, np.eye(6) * 1e-2)
    fusion.update()
    assert fusion.status().state is NavigationState.RELOCALIZING


def kill_and_restore(silence, **changes):
    world = World(seed=5, duration=26.0, rate=100.0)
    first = World(seed=5, duration=12.0, rate=100.0)
    killed = new_fusion()
    run(killed, first)
    checkpoint = json.loads(json.dumps(killed.checkpoint()))
    fusion = new_fusion(**changes)
    fusion.restore(checkpoint)
    begin = 12.0 + silence
    return fusion, run(fusion, world, [f for f in world.fixes if f.stamp > begin + 1.0], start=begin), begin


def test_checkpoint_carries_over_a_kill():
    fusion, trace, begin = kill_and_restore(3.0)
    first = trace.states[0]
    assert first.stamp < begin + 0.1
    # 3 s without IMU at 15 m/s: the vehicle is not where it was, and the covariance knows how little is known.
    error = np.linalg.norm(trace.position_errors[0])
    assert error < 3.0 * np.sqrt(np.trace(first.pose_covariance[:3, :3]))
    assert 5.0 < np.sqrt(first.pose_covariance[0, 0]) < 40.0
    used_at = next(f for f in World(seed=5, duration=26.0, rate=100.0).fixes if f.stamp > begin + 1.0).arrival
    assert np.linalg.norm(trace.after(used_at + 0.3).position_errors[0]) < 1.5
    assert trace.after(begin + 5.0).rms < 0.4
    assert fusion.status().state is NavigationState.TRACKING
    assert fusion.status().fixes_refused <= 1


def test_checkpoint_too_old_is_refused_and_fixes_start_anew():
    fusion, trace, begin = kill_and_restore(4.0, checkpoint_max_age=3.0)
    assert trace.states[0].stamp > begin + 1.0
    assert trace.after(begin + 5.0).rms < 0.4
    fusion = new_fusion(checkpoint_max_age=3.0)
    old = new_fusion()
    run(old, World(seed=5, duration=3.0, rate=100.0))
    fusion.restore(old.checkpoint())
    fusion.add_imu(World(seed=5, duration=8.0, rate=100.0).imu[-1])
    fusion.update()
    assert fusion.status().state is NavigationState.INITIALIZING
    assert "the checkpoint is refused" in fusion.status().reason


def test_damaged_or_foreign_checkpoint_is_refused():
    fusion = new_fusion()
    run(fusion, World(seed=5, duration=3.0, rate=100.0))
    good = fusion.checkpoint()
    for damage in ({"covariance": [[1.0]]}, {"position": [0.0, float("nan"), 0.0]}, {"quaternion_xyzw": None}):
        with pytest.raises(FusionError):
            new_fusion().restore({**good, **damage})
    with pytest.raises(FusionError, match="damaged"):
        new_fusion().restore({"version": good["version"]})
    with pytest.raises(FusionError, match="datum"):
        Fusion(FusionConfig(), LocalFrame(48.0, 8.5, 450.0), T_BASE_CAMERA).restore(good)
    assert good["datum"] == [FRAME.latitude, FRAME.longitude, FRAME.height]


def test_attitude_after_a_kill_narrows_what_the_gap_left_open():
    world = World(seed=5, duration=12.0, rate=100.0)
    before = new_fusion()
    run(before, World(seed=5, duration=6.0, rate=100.0))
    sigmas = []
    for with_attitude in (False, True):
        fusion = new_fusion()
        fusion.restore(before.checkpoint())
        for sample in (s for s in world.imu if 9.0 < s.stamp < 9.5):
            fusion.add_imu(sample)
            if with_attitude:
                rotation = world.flight.rotation(sample.stamp).as_matrix()
                fusion.add_attitude(sample.stamp, rotation, np.diag([0.01, 0.01, 0.04]) ** 2)
        fusion.update()
        state = fusion.state()
        sigmas.append(np.sqrt(np.diag(state.pose_covariance)[3:]))
        error = state.T_map_base.angle_to(world.flight.pose(state.stamp))
    assert (sigmas[0] > 0.2).all()
    assert (sigmas[1] < 0.05).all()
    assert error < 0.1
