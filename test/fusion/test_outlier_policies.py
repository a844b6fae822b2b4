"""What the policies do with single fixes; what they are worth over flights is benchmark/integrity.py."""

from __future__ import annotations

import gtsam
import numpy as np
import pytest
from gtsam.symbol_shorthand import X
from scipy.stats import multivariate_normal

from fusion_helpers import Fix, World, new_fusion, run
from geo_nav.fusion.graduation import Graduation
from geo_nav.fusion.loss import max_mixture
from geo_nav.geodesy import Pose


@pytest.mark.parametrize(("dimension", "share", "scale"), [(6, 0.1, 3.0), (3, 0.3, 5.0), (1, 0.02, 10.0)])
def test_max_mixture_is_the_better_of_two_gaussians(dimension, share, scale):
    loss = max_mixture(dimension, share, scale)
    mean, eye = np.zeros(dimension), np.eye(dimension)
    norms = np.linspace(0.01, 12.0, 60)
    densities = [
        max(
            np.log(1.0 - share) + multivariate_normal.logpdf(n * eye[0], mean, eye),
            np.log(share) + multivariate_normal.logpdf(n * eye[0], mean, scale**2 * eye),
        )
        for n in norms
    ]
    offsets = [loss.loss(n) + d for n, d in zip(norms, densities, strict=True)]
    np.testing.assert_allclose(offsets, offsets[0], atol=1e-9)
    weights = [loss.weight(n) for n in norms]
    assert (weights[0], weights[-1]) == (1.0, pytest.approx(1.0 / scale**2))
    slopes = [(loss.loss(n + 1e-6) - loss.loss(n - 1e-6)) / 2e-6 / n for n in norms]
    np.testing.assert_allclose(weights, slopes, rtol=1e-5)


@pytest.fixture(scope="module")
def flown():
    """A flight with the gate wide open, in which three fixes are off by 7 sigma, and what has become of them."""
    world = World(seed=31, duration=9.0, rate=50.0)
    wrong = [world.fixes[k].stamp for k in (15, 24, 36)]
    fixes = []
    for fix in world.fixes:
        offset = np.array([0.0, 2.2 * (fix.stamp in wrong), 0.0])
        pose = Pose(fix.T_map_camera.rotation, fix.T_map_camera.translation + offset)
        fixes.append(Fix(fix.stamp, fix.arrival, pose, fix.covariance))
    fusion = new_fusion(robust_loss="gnc", noise_adaptation=False, gate_probability=1.0 - 1e-15, robust_width=2.0)
    trace = run(fusion, world, fixes)
    assert fusion.status().fixes_refused == fusion.status().graph_rebuilds == 0
    return fusion, trace, wrong


def test_gnc_ends_with_zero_for_the_wrong_and_one_for_the_right(flown):
    fusion, _, wrong = flown
    window = fusion._estimator._window
    stamps = {state.index: state.stamp for state in window.states}
    weights = {round(stamps[gtsam.symbolIndex(e.factor.keys()[0])], 4): e.weight for e in window._graduation._entries}
    # Those that the start has swallowed are no factors.
    assert len(weights) > 30
    assert {stamp for stamp, weight in weights.items() if weight < 1.0} == {round(stamp, 4) for stamp in wrong}
    assert [weights[round(stamp, 4)] for stamp in wrong] == [0.0] * 3


def test_gnc_solution_is_that_without_the_wrong_fixes(flown):
    _, trace, wrong = flown
    world = World(seed=31, duration=9.0, rate=50.0)
    without = new_fusion(robust_loss="none", noise_adaptation=False)
    other = run(without, world, [f for f in world.fixes if f.stamp not in wrong])
    assert trace.states[-1].T_map_base.distance_to(other.states[-1].T_map_base) < 0.01
    np.testing.assert_allclose(trace.states[-1].pose_covariance, other.states[-1].pose_covariance, rtol=0.05, atol=1e-6)


def test_gnc_lets_a_fix_come_back_while_it_is_in_the_window():
    """The first one after a jump looks wrong; those that follow bear it out."""
    still = gtsam.noiseModel.Isotropic.Sigma(6, 0.2)
    smoother = gtsam.IncrementalFixedLagSmoother(100.0)
    graduation = Graduation(new_fusion()._config)

    def fix(index: int, x: float) -> None:
        graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
        pose = gtsam.Pose3(gtsam.Rot3(), np.array([x, 0.0, 0.0]))
        factor = gtsam.PriorFactorPose3(X(index), pose, gtsam.noiseModel.Isotropic.Sigma(6, 0.3))
        graph.add(factor)
        values.insert(X(index), pose)
        if index:
            graph.add(gtsam.BetweenFactorPose3(X(index - 1), X(index), gtsam.Pose3(), still))
        smoother.update(graph, values, {X(index): float(index)})
        graduation.take(factor, smoother.getISAM2Result().getNewFactorsIndices()[0])
        for _ in range(2):
            graduation.apply(smoother)

    for index in range(4):
        fix(index, 0.0 if index < 3 else 2.1)
    assert [e.weight for e in graduation._entries[:3]] == [1.0] * 3
    assert graduation._entries[3].weight < 0.5
    for index in range(4, 12):
        fix(index, 2.1)
    for _ in range(40):
        graduation.apply(smoother)
    assert [e.weight for e in graduation._entries] == [1.0] * 12
    assert smoother.getFactors().nrFactors() == 11 + 12


def test_gnc_forgets_what_leaves_the_window():
    world = World(seed=33, duration=8.0, rate=50.0)
    fusion = new_fusion(robust_loss="gnc", noise_adaptation=False, lag=2.0)
    run(fusion, world)
    assert fusion.status().graph_rebuilds == 0
    assert fusion.status().fixes_used > 30
    assert len(fusion._estimator._window._graduation._entries) <= len(fusion._estimator._window.states) <= 12
