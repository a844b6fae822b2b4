"""What successive registrations are off by alike: the process, its factors, and what it does for the state."""

from __future__ import annotations

import json

import gtsam
import numpy as np
import pytest
from gtsam.symbol_shorthand import A, X

from fusion_helpers import CONFIG, FIX_SIGMAS, World, new_fusion, run
from geo_nav.fusion import FusionConfig
from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.error_process import ErrorProcess, square_root
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.measurements import PoseFix
from geo_nav.fusion.rival import seated

PROCESS = ErrorProcess(correlation_time=5.0, white_share=0.2)
POSE = gtsam.Pose3.Expmap(np.array([0.4, -0.2, 0.9, 30.0, -20.0, 120.0]))


def some_covariance(seed: int = 0) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(6, 6)) * np.repeat([0.01, 1.0], 3)[:, None]
    return root @ root.T + np.diag(np.repeat([1e-6, 1e-2], 3))


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


def test_a_single_fix_weighs_as_it_says() -> None:
    """The shared and the new part make up the covariance, whatever the axes."""
    fix = PoseFix(1.0, POSE, some_covariance(), process=PROCESS)
    keys = StateKeys.of(0, (A(0),))
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for factor in fix.factors(keys, new_config(robust_loss="none")):
        graph.add(factor)
    graph.add(PROCESS.walk.prior(A(0)))
    values.insert(X(0), POSE)
    values.insert(A(0), np.zeros(6))
    found = gtsam.Marginals(graph, values).marginalCovariance(X(0))
    np.testing.assert_allclose(found, fix.covariance, rtol=1e-6, atol=1e-9)


def test_the_root_turns_with_the_axes() -> None:
    covariance, turn = some_covariance(), np.kron(np.eye(2), gtsam.Rot3.RzRyRx(0.4, 1.0, -2.0).matrix())
    np.testing.assert_allclose(square_root(turn @ covariance @ turn.T), turn @ square_root(covariance) @ turn.T)


def test_state_is_honest_where_fixes_err_together() -> None:
    """And without the process it is not: then a hundred fixes count as a hundred."""
    nees = {}
    for told in (5.0, 0.0):
        seen = []
        for seed in range(60, 72):
            world = World(seed=seed, duration=30.0, rate=50.0)
            world.correlate_fixes(5.0, 0.2, seed)
            seen.append(run(new_fusion(fix_correlation_time=told), world).after(8.0).nees(25).mean() / 6.0)
        nees[told] = np.mean(seen)
    # Twelve flights of 22 s: some fifty independent instants.
    assert 0.7 < nees[5.0] < 1.4
    assert nees[0.0] > 3.0


def test_order_of_arrival_does_not_matter_where_errors_are_alike() -> None:
    """With the default process."""
    world = World(seed=3, duration=25.0, rate=100.0)
    world.correlate_fixes(5.0, 0.2, 3)
    rng, ends = np.random.default_rng(5), []
    for late in (0.0, 1.0):
        for fix in world.fixes:
            fix.arrival = fix.stamp + 0.05 + late * rng.uniform()
        fixes = [fix for fix in world.fixes if 2.0 < fix.stamp < 23.0]
        fusion = new_fusion(fix_correlation_time=FusionConfig().fix_correlation_time)
        fusion.set_pose(1.0, world.flight.pose(1.0), np.eye(6) * 0.01, world.flight.velocity(1.0), np.eye(3))
        ends.append(run(fusion, world, fixes).states[-1])
    assert ends[0].T_map_base.distance_to(ends[1].T_map_base) < 0.01
    np.testing.assert_allclose(ends[0].pose_covariance, ends[1].pose_covariance, rtol=0.02, atol=1e-6)


def test_errors_survive_a_checkpoint() -> None:
    """Fixes after it are not believed anew: they share the error of those before."""
    world = World(seed=4, duration=14.0, rate=100.0)
    fusion = new_fusion(fix_correlation_time=5.0)
    run(fusion, world)
    newest = fusion._propagator.belief()
    assert newest.walks == (new_config(fix_correlation_time=5.0).registration_errors.walk,)
    restored = new_fusion(fix_correlation_time=5.0)
    restored.restore(json.loads(json.dumps(fusion.checkpoint())))
    for sample in world.imu[-3:]:
        restored.add_imu(sample)
    restored.update()
    told = restored._estimator.anchor
    np.testing.assert_allclose(told.covariance, newest.covariance, rtol=1e-6, atol=1e-9)
    assert np.abs(told.covariance[3:6, 15:]).max() > 0.1
    assert restored.status().calibrations == {}
    independent = new_fusion(fix_correlation_time=0.0)
    independent.restore(fusion.checkpoint())
    for sample in world.imu[-3:]:
        independent.add_imu(sample)
    independent.update()
    assert independent._estimator.anchor.walks == ()


def test_a_rival_begins_with_errors_of_its_own() -> None:
    """It sits where its fix is, as sure as that says; the errors of the state that it contradicts are not its own."""
    fix = PoseFix(1.0, POSE, some_covariance(), process=PROCESS)
    root = np.random.default_rng(2).normal(size=(21, 21))
    nav = gtsam.NavState(gtsam.Pose3(), np.zeros(3))
    held = Belief(1.0, nav, gtsam.imuBias.ConstantBias(), root @ root.T, (PROCESS.walk,), np.arange(6.0))
    rival = seated(held, fix, new_config())
    assert rival.nav.pose().equals(POSE, 1e-9)
    np.testing.assert_allclose(rival.covariance[:6, :6], fix.covariance, rtol=1e-9)
    np.testing.assert_array_equal(rival.covariance[15:, 15:], np.eye(6))
    np.testing.assert_array_equal(rival.values, np.zeros(6))
    np.linalg.cholesky(rival.covariance)


def test_white_noise_does_not_break_it() -> None:
    """Where fixes do err independently, the state is too careful, and still good."""
    world = World(seed=6, duration=30.0, rate=50.0)
    trace = run(new_fusion(fix_correlation_time=5.0), world).after(8.0)
    assert trace.nees(25).mean() / 6.0 < 1.3
    assert trace.rms < np.linalg.norm(FIX_SIGMAS[:3])
