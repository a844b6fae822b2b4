import gtsam
import numpy as np
import pytest

from fusion_helpers import Fix, World, give_fix, new_fusion, run
from geo_nav.fusion import FusionError, ImuSample, NavigationState
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.rival import Rival
from geo_nav.geodesy import Pose


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=2, duration=20.0, rate=100.0)


def displaced(fix: Fix, offset: np.ndarray) -> Fix:
    pose = Pose(fix.T_map_camera.rotation, fix.T_map_camera.translation + offset)
    return Fix(fix.stamp, fix.arrival, pose, fix.covariance)


def test_outliers_and_bursts_of_outliers_are_refused(world):
    rng = np.random.default_rng(5)
    fixes, wrong = [], 0
    for i, fix in enumerate(world.fixes):
        direction = rng.normal(size=3)
        scattered = rng.uniform(50.0, 100.0) * direction / np.linalg.norm(direction)
        if 40 <= i < 45 or 80 <= i < 85:  # the same false place five times: as bad as a burst can be
            fixes.append(displaced(fix, np.array([60.0, -40.0, 5.0])))
        elif i > 15 and i % 6 == 0:
            fixes.append(displaced(fix, scattered))
        else:
            fixes.append(fix)
            continue
        wrong += fix.arrival < 19.8
    fusion = new_fusion()
    trace = run(fusion, world, fixes)
    assert np.linalg.norm(trace.after(4.0).position_errors, axis=1).max() < 1.5
    assert trace.after(10.0).rms < 0.4
    assert wrong <= fusion.status().fixes_refused <= wrong + 2


def test_first_fix_wrong_does_not_spoil_the_start(world):
    fixes = [displaced(world.fixes[0], np.array([0.0, 70.0, 0.0])), *world.fixes[1:]]
    trace = run(new_fusion(), world, fixes)
    assert trace.states[0].stamp < 1.7
    assert np.linalg.norm(trace.position_errors, axis=1).max() < 3.0


@pytest.mark.parametrize("rate", [5.0, 1.0])
def test_burst_of_false_fixes_does_not_take_the_state_away(rate):
    world = World(seed=4, duration=60.0, rate=100.0, fix_rate=rate)
    first = next(i for i, f in enumerate(world.fixes) if f.stamp > 25.0)
    false = [displaced(f, np.array([80.0, -60.0, 0.0])) for f in world.fixes[first : first + 20]]
    fusion = new_fusion()
    trace = run(fusion, world, [*world.fixes[:first], *false, *world.fixes[first + 20 :]])
    assert fusion.status().fixes_refused >= 20
    # As good as with no fix at all during the burst, and back afterwards.
    alone = run(new_fusion(), world, [*world.fixes[:first], *world.fixes[first + 20 :]])
    end = false[-1].arrival
    during = [np.linalg.norm(t.after(25.0, end).position_errors, axis=1).max() for t in (trace, alone)]
    assert during[0] < during[1] + 0.5
    assert trace.after(end + 3.0).rms < 0.5


def test_wrong_state_is_given_up_for_fixes_that_agree():
    world = World(seed=2, duration=45.0, rate=100.0)
    fusion = new_fusion()
    truth = world.flight.pose(0.5)
    wrong = Pose(truth.rotation, truth.translation + np.array([150.0, 0.0, 0.0]))
    known = np.diag([0.01, 0.01, 0.01, 1e-5, 1e-5, 1e-5])
    fusion.set_pose(0.5, wrong, known, world.flight.velocity(0.5), 1e-3 * np.eye(3))
    trace = run(fusion, world)
    recovered = next(s.stamp for s, e in zip(trace.states, trace.position_errors, strict=True) if np.linalg.norm(e) < 3)
    assert recovered < 25.0 + 2.0
    assert trace.after(30.0).rms < 0.4


@pytest.mark.parametrize("failing", ["", "__init__", "take", "claims", "keep_up"])
def test_rival_that_fails_is_told_and_harms_nobody(world, monkeypatch, failing):
    fusion, infos = new_fusion(), []
    update = fusion.update
    monkeypatch.setattr(fusion, "update", lambda: infos.append(update()) or infos[-1])
    if failing:
        monkeypatch.setattr(Rival, failing, lambda *_: 1 / 0)
    false = [displaced(f, np.array([60.0, -40.0, 5.0])) if 8.0 < f.stamp < 10.0 else f for f in world.fixes]
    trace = run(fusion, world, false)
    told = {info.rebuilt for info in infos} - {""}
    assert told == ({"the rival state has failed: ZeroDivisionError('division by zero')"} if failing else set())
    assert fusion.status().graph_rebuilds == 0
    assert trace.after(12.0).rms < 0.4


def test_state_is_given_up_for_sparse_fixes_without_an_attitude():
    # Ten seconds apart and positions only: a start from nothing would need an attitude, the state's rival does not.
    world = World(seed=3, duration=120.0, rate=100.0, fix_rate=0.1)
    fusion = new_fusion()
    truth = world.flight.pose(0.5)
    wrong = Pose(truth.rotation, truth.translation + np.array([0.0, 5e3, 0.0]))
    known = np.diag([0.01, 0.01, 0.01, 1e-5, 1e-5, 1e-5])
    fusion.set_pose(0.5, wrong, known, world.flight.velocity(0.5), 1e-3 * np.eye(3))
    errors, reasons = {}, []
    for i, sample in enumerate(world.imu):
        state = fusion.add_imu(sample)
        if state is not None:
            errors[sample.stamp] = np.linalg.norm(state.T_map_base.translation - world.flight.position(sample.stamp))
        if i % 1000 == 500:
            fusion.add_gps(sample.stamp, world.flight.position(sample.stamp), np.eye(3))
        if i % 10 == 0:
            reasons.append(fusion.update().started)
    assert any("given up for 3 fixes over" in reason for reason in reasons)
    after = np.array([error for stamp, error in errors.items() if stamp > 60.0])
    assert after.max() < 150.0
    assert np.sqrt((after**2).mean()) < 40.0


def test_imu_that_is_worse_than_told_does_not_lose_the_state():
    # Ten times the noise that the settings tell, a position every five seconds: within the gate at first only.
    world = World(seed=6, duration=120.0, rate=100.0, noise=10.0)
    told = new_fusion()
    truth = world.flight.pose(0.5)
    known = np.diag([0.01, 0.01, 0.01, 1e-4, 1e-4, 1e-4])
    told.set_pose(0.5, truth, known, world.flight.velocity(0.5), 1e-2 * np.eye(3))
    errors, nees = [], []
    for i, sample in enumerate(world.imu):
        state = told.add_imu(sample)
        if state is not None and sample.stamp > 30.0 and i % 50 == 0:
            e = state.T_map_base.translation - world.flight.position(sample.stamp)
            errors.append(np.linalg.norm(e))
            nees.append(e @ np.linalg.solve(state.pose_covariance[:3, :3], e) / 3.0)
        if i % 500 == 50:
            told.add_gps(
                sample.stamp, world.flight.position(sample.stamp) + world.rng.normal(0, 0.5, 3), 0.25 * np.eye(3)
            )
        if i % 10 == 0:
            told.update()
    assert told.status().fixes_refused <= 4
    assert np.sqrt(np.mean(np.square(errors))) < 40.0
    assert np.mean(nees) < 4.0


def test_the_same_fix_again_is_a_duplicate_and_counted(world):
    once, twice = new_fusion(), new_fusion()
    ends = [run(once, world).states[-1], run(twice, world, [f for f in world.fixes for _ in range(2)]).states[-1]]
    assert ends[0].T_map_base.distance_to(ends[1].T_map_base) < 1e-6
    counts = twice.status().measurements["pose"]
    assert counts.used == once.status().measurements["pose"].used
    assert "duplicate" in counts.last_refusal


def test_bad_imu_samples_are_refused_and_counted(world, monkeypatch):
    fusion = new_fusion()
    reference = run(new_fusion(), world).states[-1]
    good = world.imu[1000]
    nothing = np.zeros(3)
    bad = {
        "not finite": [
            ImuSample(good.stamp + 1e-3, np.array([np.nan, 0, 0]), nothing),
            ImuSample(good.stamp + 1e-3, nothing, np.array([0, np.inf, 0])),
            ImuSample(float("nan"), nothing, nothing),
        ],
        "saturated": [ImuSample(good.stamp + 1e-3, np.array([0, 0, 156.9064]), nothing)],
        "duplicate": [good],
        "out of order": [world.imu[995]],
        "time jump": [ImuSample(good.stamp + 500.0, good.acceleration, good.angular_velocity)],
    }
    add_imu = fusion.add_imu

    def add_with_bad_ones(sample):
        state = add_imu(sample)
        if sample is good:
            assert [add_imu(b) for samples in bad.values() for b in samples] == [None] * 7
        return state

    monkeypatch.setattr(fusion, "add_imu", add_with_bad_ones)
    trace = run(fusion, world)
    assert fusion.imu_verdicts == {"accepted": 2000, **{reason: len(samples) for reason, samples in bad.items()}}
    assert fusion.status().imu_samples == 2000
    assert fusion.status().imu_samples_refused == 7
    assert trace.states[-1].T_map_base.distance_to(reference.T_map_base) < 1e-6


def test_refused_sample_returns_no_state(world):
    fusion = new_fusion()
    run(fusion, World(seed=2, duration=5.0, rate=100.0))
    assert fusion.state() is not None
    assert fusion.add_imu(ImuSample(5.0, np.full(3, np.nan), np.zeros(3))) is None
    with pytest.raises(FusionError, match=r"needs \(3,\)"):
        fusion.add_imu(ImuSample(5.0, np.zeros(2), np.zeros(3)))


def test_imu_dropout_of_two_seconds_is_bridged(world):
    torn = World(seed=2, duration=20.0, rate=100.0)
    torn.imu = [s for s in torn.imu if not 12.0 < s.stamp < 14.0]
    fusion = new_fusion()
    trace = run(fusion, torn)
    before, after = trace.after(0, 12.0).states[-1], trace.after(14.0).states[0]
    assert np.linalg.norm(trace.after(14.0).position_errors[0]) < 15.0
    # The gap must show in the covariance: 3 m/s²/√Hz over 2 s is 4.9 m, and 0.3 rad/s/√Hz is 0.42 rad.
    assert np.sqrt(after.pose_covariance[0, 0]) > 4.0
    assert np.sqrt(after.pose_covariance[5, 5]) > 0.3
    assert np.sqrt(before.pose_covariance[0, 0]) < 0.4
    assert fusion.status().fixes_refused <= 2
    assert trace.after(17.0).rms < 0.4
    e = trace.after(14.0, 14.3).nees(5)
    assert e.mean() / 6.0 < 2.0


def test_imu_silence_beyond_the_limit_resumes_from_the_last_state(world):
    torn = World(seed=2, duration=20.0, rate=100.0)
    torn.imu = [s for s in torn.imu if not 12.0 < s.stamp < 17.0]
    fusion = new_fusion()
    trace = run(fusion, torn)
    assert fusion.imu_verdicts["restarted"] == 1
    assert trace.after(19.0).rms < 0.5
    gap = trace.after(17.0).states[0]
    assert gap.stamp < 17.5
    assert np.sqrt(gap.pose_covariance[0, 0]) > 10.0


def test_imu_time_that_goes_back_starts_anew(world):
    fusion = new_fusion()
    before = run(fusion, world).states[-1]
    trace = run(fusion, World(seed=2, duration=12.0, rate=100.0))
    # The odom frame is the same one still.
    ends = [s.T_map_odom.inverse() @ s.T_map_base for s in (before, trace.states[0])]
    assert ends[0].distance_to(ends[1]) < 0.5
    assert fusion.imu_verdicts["restarted"] == 1
    assert trace.states[-1].stamp == pytest.approx(11.99)
    assert trace.after(8.0).rms < 0.5
    assert fusion.status().state is NavigationState.TRACKING


@pytest.mark.parametrize("failures", [1, 2])
def test_solver_exception_rebuilds_the_window_within_one_update(world, monkeypatch, failures):
    """Once: the retry succeeds with the fixes. Twice in a row: the fixes are given up, the state is not."""
    fusion = new_fusion()
    solve, calls = GraphWindow.update, []

    def failing(self, *args, **kwargs):
        calls.append(0)
        if 50 <= len(calls) < 50 + failures:
            raise RuntimeError("IndeterminateLinearSystemException")
        return solve(self, *args, **kwargs)

    monkeypatch.setattr(GraphWindow, "update", failing)
    infos = []
    update = fusion.update
    monkeypatch.setattr(fusion, "update", lambda: infos.append(update()) or infos[-1])
    trace = run(fusion, world)
    rebuilt = [info for info in infos if info.rebuilt]
    assert len(rebuilt) == fusion.status().graph_rebuilds == 1
    assert "IndeterminateLinearSystem" in rebuilt[0].rebuilt
    assert rebuilt[0].solved
    assert [o.used for o in rebuilt[0].fixes] == [failures == 1]
    assert np.linalg.norm(trace.after(4.0).position_errors, axis=1).max() < 1.5
    stamps = np.array([s.stamp for s in trace.states])
    assert np.diff(stamps).max() == pytest.approx(0.01)
    assert trace.after(14.0).rms < 0.4


def test_gtsam_raises_what_the_rebuild_catches():
    """The exception of a truly indeterminate system is an Exception in Python, not an abort."""
    smoother = gtsam.IncrementalFixedLagSmoother(10.0, gtsam.ISAM2Params())
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    graph.add(gtsam.BetweenFactorPose3(0, 1, gtsam.Pose3(), gtsam.noiseModel.Unit.Create(6)))
    values.insert(0, gtsam.Pose3())
    values.insert(1, gtsam.Pose3())
    with pytest.raises(Exception, match="ndeterminate linear system"):
        smoother.update(graph, values, {0: 0.0, 1: 0.0})


def test_bad_measurements_are_refused_with_a_reason(world):
    fusion = new_fusion()
    fix = world.fixes[0]
    with pytest.raises(FusionError, match="not positive definite"):
        fusion.add_absolute_pose(1.0, fix.T_map_camera, np.zeros((6, 6)))
    with pytest.raises(FusionError, match="not finite"):
        fusion.add_absolute_pose(1.0, fix.T_map_camera, np.full((6, 6), np.nan))
    with pytest.raises(FusionError, match=r"must be \(6, 6\)"):
        fusion.add_absolute_pose(1.0, fix.T_map_camera, np.eye(3))
    with pytest.raises(FusionError, match="stamp"):
        fusion.add_absolute_pose(float("nan"), fix.T_map_camera, np.eye(6))
    with pytest.raises(FusionError, match="GPS position"):
        fusion.add_gps(1.0, [0.0, np.nan, 0.0], np.eye(3))


def test_fix_far_in_the_future_is_dropped(world):
    fusion = new_fusion()
    run(fusion, World(seed=2, duration=5.0, rate=100.0))
    fix = world.fix(6.0)
    give_fix(fusion, Fix(1000.0, 0.0, fix.T_map_camera, fix.covariance))
    outcomes = fusion.update().fixes
    assert [(o.used, "ahead of the IMU" in o.reason) for o in outcomes] == [(False, True)]
    assert fusion.update().fixes == []


@pytest.mark.parametrize("loss", ["huber", "cauchy", "tukey", "max_mixture", "gnc"])
def test_robust_loss_bounds_what_a_fix_inside_the_gate_can_do(world, loss):
    """One fix 3 m off with the gate wide open: the loss must take most of its pull away."""
    pulls = []
    for robust_loss in ("none", loss):
        ends = []
        for offset in (0.0, 3.0):
            fixes = [f for f in world.fixes if f.stamp < 6.0]
            fixes[-1] = displaced(fixes[-1], np.array([0.0, offset, 0.0]))
            fusion = new_fusion(robust_loss=robust_loss, gate_probability=1.0 - 1e-15)
            ends.append(run(fusion, World(seed=2, duration=6.5, rate=100.0), fixes).states[-1].T_map_base)
            assert fusion.status().fixes_refused == 0
        pulls.append(ends[1].distance_to(ends[0]))
    assert pulls[0] > 0.2
    assert pulls[1] < 0.8 * pulls[0]
