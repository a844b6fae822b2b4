"""What successive GPS fixes are off by alike: the process, its factors, and what it does for the state."""

from __future__ import annotations

import json

import gtsam
import numpy as np
import pytest
from gtsam.symbol_shorthand import A, X

from fusion_helpers import CONFIG, Trace, World, new_fusion, run
from geo_nav.fusion import Fusion, FusionConfig, NavigationState
from geo_nav.fusion.auxiliary import Chain, GaussMarkov, stationary
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.consistency import NisMonitor, Verdict
from geo_nav.fusion.error_process import ErrorProcess
from geo_nav.fusion.intake import FixOutcome
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.measurements import GpsFix, PoseFix
from geo_nav.fusion.rival import seated

PROCESS = ErrorProcess("gps error", correlation_time=5.0, white_share=0.2)
POSE = gtsam.Pose3.Expmap(np.array([0.4, -0.2, 0.9, 30.0, -20.0, 120.0]))


def new_config(**changes: object) -> FusionConfig:
    return FusionConfig.model_validate({**CONFIG.model_dump(), **changes})


@pytest.mark.parametrize("walk", [PROCESS.walk, GaussMarkov("offset", 3.0, 2.0, 0.4, 1.0)])
def test_two_steps_are_one_of_their_length(walk: GaussMarkov) -> None:
    (kept_1, noise_1), (kept_2, noise_2), (kept, noise) = walk.step(0.7), walk.step(1.8), walk.step(2.5)
    assert kept == pytest.approx(kept_1 * kept_2)
    assert noise**2 == pytest.approx(noise_1**2 * kept_2**2 + noise_2**2)


def test_variance_of_a_stationary_process_stays() -> None:
    kept, noise = PROCESS.walk.step(0.9)
    assert kept**2 + noise**2 == pytest.approx(1.0)
    assert PROCESS.walk.step(100.0) == pytest.approx((0.0, 1.0), abs=1e-6)


@pytest.mark.parametrize("walk", [PROCESS.walk, GaussMarkov("offset", 3.0, 2.0, 0.4, 1.0, 4.0, 2)])
def test_link_expects_the_way_back_to_the_mean(walk: GaussMarkov) -> None:
    """Wherever it is linearised, as iSAM2 does."""
    kept, noise = walk.step(1.5)
    factor, value = walk.link(A(0), A(1), 1.5), walk.mean + 1.3
    values = gtsam.Values()
    values.insert(A(0), value)
    values.insert(A(1), walk.mean + kept * 1.3 + 2.0 * noise)
    assert factor.error(values) == pytest.approx(0.5 * 4.0 * walk.dimension)
    graph = gtsam.NonlinearFactorGraph()
    graph.add(factor)
    graph.add(gtsam.PriorFactorVector(A(0), value, gtsam.noiseModel.Isotropic.Sigma(walk.dimension, 1e-6)))
    solved = gtsam.GaussNewtonOptimizer(graph, values).optimize()
    np.testing.assert_allclose(solved.atVector(A(1)), walk.mean + kept * 1.3, atol=1e-6)


def test_keys_are_no_closer_than_a_tenth_of_a_second() -> None:
    """However soon a process forgets: a graph of thousands of keys a second would stand still."""
    chain = Chain(stationary("error", 1e-3, 3), 0.0, 0)
    assert len(chain.extend(10.0, 1)) == 100
    chain = Chain(PROCESS.walk, 0.0, 0)
    assert len(chain.extend(10.0, 1)) == 20


@pytest.mark.parametrize("interval", [0.2, 1.0, 5.0])
def test_mean_square_of_innovations_scatters_no_more_than_is_told(interval: float) -> None:
    """Beside registrations, where the state does not follow the errors; and not by far less."""
    process = ErrorProcess("gps error", 30.0, 0.5)
    rng, n = np.random.default_rng(3), round(600.0 / interval)
    kept, noise = process.walk.step(interval)
    common = np.empty((n, 500, 3))
    common[0] = rng.normal(size=(500, 3))
    for k in range(1, n):
        common[k] = kept * common[k - 1] + noise * rng.normal(size=(500, 3))
    squares = (np.sqrt(0.5) * (common + rng.normal(size=common.shape))) ** 2
    independent = 2.0 / squares.mean(axis=(0, 2)).var() / 3.0
    told = n * np.tanh(interval / (2.0 * process.innovation_time))
    assert 0.4 * independent < told < 1.1 * independent


def gps_fix(lever_arm: np.ndarray, process: ErrorProcess | None = PROCESS) -> GpsFix:
    covariance = np.array([[1.0, 0.3, 0.0], [0.3, 0.8, -0.2], [0.0, -0.2, 2.0]])
    still = np.zeros(3)
    return GpsFix(1.0, np.array([3.0, -4.0, 80.0]), covariance, None, np.eye(3), lever_arm, still, process)


def test_a_single_fix_weighs_as_it_says() -> None:
    """The shared and the new part make up the covariance."""
    fix, keys = gps_fix(np.zeros(3)), StateKeys.of(0, (A(0),))
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for factor in fix.factors(keys, new_config(robust_loss="none")):
        graph.add(factor)
    graph.add(PROCESS.walk.prior(A(0)))
    still = gtsam.Rot3.RzRyRx(0.3, -0.2, 2.0)
    graph.add(gtsam.PoseRotationPrior3D(X(0), still, gtsam.noiseModel.Isotropic.Sigma(3, 1e-3)))
    values.insert(X(0), gtsam.Pose3(still, fix.position))
    values.insert(A(0), np.zeros(3))
    found = gtsam.Marginals(graph, values).marginalCovariance(X(0))[3:, 3:]
    np.testing.assert_allclose(still.matrix() @ found @ still.matrix().T, fix.covariance, atol=1e-9)


def test_derivatives_are_those_of_differences() -> None:
    """With a lever arm."""
    (factor,) = gps_fix(np.array([0.4, -0.3, 1.2])).factors(StateKeys.of(0, (A(0),)), new_config(robust_loss="none"))
    values = gtsam.Values()
    values.insert(X(0), POSE)
    values.insert(A(0), np.array([0.5, -1.0, 0.2]))
    error, h = factor.unwhitenedError(values), 1e-6
    differences = []
    for key, size in ((X(0), 6), (A(0), 3)):
        for direction in h * np.eye(size):
            step = gtsam.VectorValues()
            step.insert(key, direction)
            differences.append((factor.unwhitenedError(values.retract(step)) - error) / h)
    whitening = factor.noiseModel().R()
    jacobian, _ = factor.linearize(values).jacobian()
    np.testing.assert_allclose(jacobian, whitening @ np.array(differences).T, atol=1e-5)


def test_errors_survive_a_checkpoint() -> None:
    """Fixes after it are not believed anew: they share the error of those before."""
    world = World(seed=4, duration=14.0, rate=50.0)
    fusion, _ = flown_with_gps(world, slow_errors(4, 75), False)
    newest = fusion._propagator.belief()
    assert newest.walks == (CONFIG.gps_errors.walk,)
    told = restarted(new_fusion(), fusion, world)
    np.testing.assert_allclose(told.covariance, newest.covariance, rtol=1e-6, atol=1e-9)
    assert np.abs(told.covariance[3:6, 15:]).max() > 0.1
    assert restarted(new_fusion(gps_correlation_time=0.0), fusion, world).walks == ()


def restarted(restored: Fusion, fusion: Fusion, world: World) -> Belief:
    restored.restore(json.loads(json.dumps(fusion.checkpoint())))
    for sample in world.imu[-3:]:
        restored.add_imu(sample)
    restored.update()
    assert restored.status().calibrations == {}
    return restored._estimator.anchor


def test_a_rival_begins_with_errors_of_its_own() -> None:
    """It sits where its fix is, as sure as that says; the errors of the state that it contradicts are not its own."""
    fix = gps_fix(np.zeros(3))
    root = np.random.default_rng(2).normal(size=(18, 18))
    nav = gtsam.NavState(POSE, np.zeros(3))
    held = Belief(1.0, nav, gtsam.imuBias.ConstantBias(), root @ root.T, (PROCESS.walk,), np.arange(3.0))
    rival = seated(held, fix, new_config())
    R = POSE.rotation().matrix()
    np.testing.assert_allclose(R @ rival.covariance[3:6, 3:6] @ R.T, fix.covariance, atol=1e-12)
    np.testing.assert_array_equal(rival.covariance[15:, 15:], np.eye(3))
    np.testing.assert_array_equal(rival.values, np.zeros(3))
    shared = R @ rival.covariance[3:6, 15:]
    np.testing.assert_allclose(shared @ shared.T, 0.8 * fix.covariance, atol=1e-12)
    np.linalg.cholesky(rival.covariance)


def test_a_rival_of_poses_does_not_know_how_gps_errs() -> None:
    """That was found from the state which the pose contradicts."""
    config = new_config()
    walk = config.gps_errors.walk
    root = np.random.default_rng(2).normal(size=(19, 19))
    offset = config.barometer.model_copy(update={"offset_sigma": 3.0}).walk
    nav, bias = gtsam.NavState(POSE, np.zeros(3)), gtsam.imuBias.ConstantBias()
    held = Belief(1.0, nav, bias, root @ root.T, (offset, walk), np.array([7.0, 2.0, -3.0, 1.0]))
    fix = PoseFix(1.0, POSE, np.eye(6))
    rival = seated(held, fix, config)
    np.testing.assert_array_equal(rival.values, [7.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(rival.covariance[16:, 16:], np.eye(3))
    np.testing.assert_array_equal(rival.covariance[:16, 16:], np.zeros((16, 3)))
    assert rival.covariance[15, 15] == held.covariance[15, 15]


def flown_with_gps(world: World, errors: np.ndarray, give_fixes: bool, **changes: object) -> tuple[Fusion, Trace]:
    """GPS at 5 Hz with errors (N, 3), m, of sigmas 1, 1, 1.5 m; from a known start."""
    fusion, trace = new_fusion(fix_correlation_time=2.0, **changes), Trace([], world.flight)
    fusion.set_pose(1.0, world.flight.pose(1.0), 0.1 * np.eye(6), world.flight.velocity(1.0), np.eye(3))
    waiting = [fix for fix in world.fixes if give_fixes and fix.stamp > 1.0]
    for i, sample in enumerate(world.imu):
        state = fusion.add_imu(sample)
        while waiting and waiting[0].arrival <= sample.stamp:
            waiting.pop(0).give(fusion)
        if i % 10 == 0 and sample.stamp > 1.0:
            position = world.flight.position(sample.stamp) + errors[i // 10]
            fusion.add_gps(sample.stamp, position, np.diag([1.0, 1.0, 2.25]))
        if i % 5 == 0:
            assert fusion.update().rebuilt == ""
        if state is not None:
            trace.states.append(state)
    return fusion, trace


def slow_errors(seed: int, n: int) -> np.ndarray:
    """Of a receiver: four fifths of the variance wander over a minute."""
    rng, rho = np.random.default_rng([seed, 5]), np.exp(-0.2 / 60.0)
    slow = [rng.normal(size=3)]
    for _ in range(n - 1):
        slow.append(rho * slow[-1] + np.sqrt(1.0 - rho**2) * rng.normal(size=3))
    out: np.ndarray = [1.0, 1.0, 1.5] * (np.sqrt(0.8) * np.array(slow) + np.sqrt(0.2) * rng.normal(size=(n, 3)))
    return out


def test_state_is_honest_by_gps_that_wanders() -> None:
    nees: dict[float, list[float]] = {0.0: [], 30.0: []}
    for seed in range(80, 90):
        world = World(seed=seed, duration=25.0, rate=50.0)
        for told, seen in nees.items():
            _, trace = flown_with_gps(world, slow_errors(seed, 130), False, gps_correlation_time=told)
            trace = trace.after(10.0)
            covariances = np.array([s.pose_covariance[:3, :3] for s in trace.states])
            errors = trace.position_errors[:, :, None]
            seen.append(float((errors * np.linalg.solve(covariances, errors)).sum(axis=1).mean() / 3.0))
    # Ten flights; within each the error hardly changes.
    assert np.mean(nees[30.0]) < 1.6
    assert np.mean(nees[0.0]) > 2.5


def test_gps_alone_is_followed_by_gnc_too() -> None:
    """Which has no process for its errors: inflated by their correlation over half a minute they would say nothing."""
    world = World(seed=1, duration=25.0, rate=50.0)
    errors = slow_errors(1, 130)
    rms = [flown_with_gps(world, errors, False, robust_loss=loss)[1].after(10.0).rms for loss in ("huber", "gnc")]
    assert rms[1] < 1.5 * rms[0]


def test_gps_alone_gets_a_verdict_within_minutes() -> None:
    monitor = NisMonitor(0.997, 40.0, 0.005)
    tau = gps_fix(np.zeros(3), new_config().gps_errors).correlation_time(new_config())
    rng = np.random.default_rng(0)
    for k in range(2000):  # at 10 Hz
        monitor.add(FixOutcome(0.1 * k, "gps", True, "", float(rng.chisquare(3)), 3, tau))
    assert monitor.consistency(monitor.outcomes()).verdict is Verdict.CONSISTENT


def test_gps_that_wanders_does_not_spoil_what_registrations_know() -> None:
    ratios = []
    for seed in range(40, 43):
        world = World(seed=seed, duration=30.0, rate=50.0)
        world.correlate_fixes(2.0, np.random.default_rng([seed, 99]))
        rms = [
            flown_with_gps(world, errors, True)[1].after(8.0).rms
            for errors in (slow_errors(seed, 155), np.zeros((155, 3)))
        ]
        alone = run(new_fusion(fix_correlation_time=2.0), world).after(8.0).rms
        ratios.append(rms[0] / alone)
        assert rms[1] < alone
    assert np.mean(ratios) < 1.15


def test_registrations_take_over_from_gps_that_was_false_before_them() -> None:
    """The state has followed GPS, and its errors are a variable of the graph, when poses come that contradict it."""
    world = World(seed=8, duration=24.0, rate=50.0)
    world.fixes = [fix for fix in world.fixes if fix.stamp > 8.0]
    errors = slow_errors(8, 125) + np.outer(np.minimum(np.arange(125), 40), [1.0, 0.0, 0.0])
    fusion, trace = flown_with_gps(world, errors, True, rival_seconds=6.0)
    assert np.linalg.norm(trace.after(8.0, 10.0).position_errors, axis=1).min() > 25.0
    assert np.linalg.norm(trace.after(18.0).position_errors, axis=1).max() < 2.0
    assert fusion.status().measurements["gps"].refused > 20


def test_gps_that_is_drawn_away_is_refused_beside_registrations() -> None:
    """By 0.5 m/s, 25 m in all: every fix agrees with the one before it."""
    world = World(seed=8, duration=60.0, rate=50.0)
    world.correlate_fixes(2.0, np.random.default_rng([8, 99]))
    errors = slow_errors(8, 305)
    errors[50:] += 0.1 * np.arange(255)[:, None] * [1.0, 0.0, 0.0]
    fusion, trace = flown_with_gps(world, errors, True)
    counts = fusion.status().measurements
    assert counts["pose"].refused == 0
    assert counts["gps"].refused > 150
    assert np.linalg.norm(trace.after(10.0).position_errors, axis=1).max() < 5.0
    assert fusion.status().state is NavigationState.TRACKING
