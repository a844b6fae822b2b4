"""NIS monitor and protection levels: by themselves on drawn numbers, and on flights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

from fusion_helpers import Fix, World, give_fix, new_fusion, run
from geo_nav.fusion import Consistency, FixOutcome, Verdict
from geo_nav.fusion.consistency import NisMonitor
from geo_nav.fusion.protection import horizontal_radius, protection_levels

GATE = 0.999


def judged(distances: np.ndarray, interval: float = 1.0, tau: float = 0.0, dimension: int = 6) -> Consistency:
    monitor = NisMonitor(GATE, window=40.0, least_interval=0.02)
    limit = chi2.ppf(GATE, dimension)
    for i, distance in enumerate(distances):
        used = bool(distance <= limit)
        monitor.add(FixOutcome(i * interval, "pose", used, "", float(distance), dimension, tau))
    return monitor.consistency(monitor.outcomes())


@pytest.mark.parametrize("dimension", [1, 3, 6])
@pytest.mark.parametrize("ratio", [0.2, 0.5, 1.0, 2.5, 6.0])
def test_variance_ratio_is_found_behind_the_gate(dimension, ratio):
    """The gate cuts a large ratio's distribution off: the plain mean of 6 × chi-square(6) behind it is 2.1, not 6."""
    rng = np.random.default_rng(11)
    found = [judged(ratio * rng.chisquare(dimension, 200), dimension=dimension) for _ in range(60)]
    assert np.median([f.variance_ratio for f in found]) == pytest.approx(ratio, rel=0.15)
    expected = Verdict.CONSISTENT if ratio == 1.0 else Verdict.CAUTIOUS if ratio < 1.0 else Verdict.OVERCONFIDENT
    share = np.mean([f.verdict is expected for f in found])
    if ratio == 6.0:  # many are refused then, in some cases most
        share = np.mean([f.verdict in (expected, Verdict.CONTRADICTED) for f in found])
    # 40 scalars often cannot tell half from one.
    assert share > (0.2 if dimension == 1 else 0.9)


def test_wild_measurements_do_not_make_the_covariances_look_small():
    rng = np.random.default_rng(12)
    found = []
    for _ in range(50):
        distances = rng.chisquare(6, 300)
        distances[rng.random(300) < 0.2] = 1e6
        found.append(judged(distances))
    assert [f.verdict for f in found].count(Verdict.CONSISTENT) >= 49
    assert np.mean([f.refused_share for f in found]) == pytest.approx(0.2, abs=0.03)


def test_correlated_innovations_raise_no_false_alarm():
    """Honest errors that correlate over 2 s, at 5 Hz: judged as independent, they alarm in every fifth case."""
    rng = np.random.default_rng(13)
    rho = np.exp(-0.2 / 2.0)
    alarms = {0.0: 0, 2.0: 0}
    for _ in range(150):
        error = rng.normal(size=3)
        distances = np.zeros(1200)
        for i in range(len(distances)):
            error = rho * error + np.sqrt(1.0 - rho**2) * rng.normal(size=3)
            distances[i] = error @ error
        for tau in alarms:
            alarms[tau] += judged(distances, 0.2, tau, 3).verdict is not Verdict.CONSISTENT
    assert alarms[2.0] <= 2
    assert alarms[0.0] > 30


def test_state_that_follows_the_errors_of_the_fixes_is_not_called_too_cautious():
    """Slow errors that the state takes over leave innovations far smaller than the covariances say."""
    rng = np.random.default_rng(14)
    rho = np.exp(-0.2 / 2.0)
    distances, error = [], rng.normal(size=6)
    for _ in range(2000):
        old, error = error, rho * error + np.sqrt(1.0 - rho**2) * rng.normal(size=6)
        distances.append(float(((error - old) ** 2).sum()) / 2.0)  # the state claims what one fix claims
    found = judged(np.array(distances), 0.2, 2.0)
    assert found.nis < 0.2
    assert found.verdict is Verdict.CONSISTENT
    assert judged(np.array(distances), 0.2, 0.0).verdict is Verdict.CAUTIOUS
    assert judged(0.1 * np.array(distances), 0.2, 2.0).verdict is Verdict.CAUTIOUS


def test_window_few_measurements_and_contradiction():
    rng = np.random.default_rng(15)
    assert judged(np.zeros(0)) == Consistency()
    assert judged(rng.chisquare(6, 9)).verdict is Verdict.UNKNOWN
    assert "fewer than 10" in judged(rng.chisquare(6, 9)).reason
    recovered = judged(np.concatenate([4.0 * rng.chisquare(6, 100), rng.chisquare(6, 60)]))
    assert recovered.verdict is Verdict.CONSISTENT
    assert recovered.number == 40
    lost = judged(np.concatenate([rng.chisquare(6, 100), np.full(11, 500.0)]))
    assert lost.verdict is Verdict.CONTRADICTED
    assert "11 of the last 20" in lost.reason
    assert judged(np.full(30, 500.0)).verdict is Verdict.CONTRADICTED
    assert judged(np.full(30, 500.0)).refused_share == 1.0
    # Late ones count at their stamp, not by their arrival.
    monitor = NisMonitor(GATE, 40.0, 0.02)
    stamps = rng.permutation(60)
    for stamp in stamps:
        monitor.add(FixOutcome(float(stamp), "pose", True, "", 6.0 if stamp >= 20 else 20.0, 6))
    assert monitor.consistency(monitor.outcomes()).nis == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("probability", [0.5, 0.95, 0.999])
def test_horizontal_radius_is_exact(probability):
    flatnesses = [1.0, 0.6, 0.2, 0.03, 1e-4]
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    covariances = np.array([turn @ np.diag([4.0, 4.0 * q]) @ turn.T for q in flatnesses])
    radii = horizontal_radius(covariances, probability)
    for q, radius in zip(flatnesses, radii, strict=True):
        # The probability as the plain integral over one axis of the other's normal distribution.
        def density(x, q=q, r=radius):
            return 2 * np.exp(-x * x / 8) / np.sqrt(8 * np.pi) * chi2.cdf((r * r - x * x) / (4 * q), 1)

        edges = [0.999 * radius, (1 - 1e-6) * radius]
        inside = quad(density, 0.0, radius, limit=400, epsabs=1e-12, points=edges)[0]
        assert inside == pytest.approx(probability, abs=1e-6)
    assert radii[0] == pytest.approx(2.0 * np.sqrt(-2.0 * np.log(1.0 - probability)))
    line = horizontal_radius(np.diag([9.0, 0.0]), probability)
    assert line == pytest.approx(3.0 * np.sqrt(chi2.ppf(probability, 1)))
    assert (horizontal_radius(np.zeros((2, 2)), probability)) == 0.0


def test_levels_grow_with_the_worst_kind_and_are_without_bound_when_contradicted():
    covariance = np.diag([4.0, 1.0, 9.0])
    plain = protection_levels(covariance, {"pose": Consistency(Verdict.CONSISTENT, variance_ratio=1.3)}, 0, 8)
    assert plain.vertical_95 == pytest.approx(1.959964 * 3.0)
    assert plain.vertical_999 == pytest.approx(3.290527 * 3.0)
    assert plain.horizontal_95 == pytest.approx(float(horizontal_radius(covariance[:2, :2], 0.95)))
    kinds = {
        "pose": Consistency(Verdict.CONTRADICTED, nis=2.3, high=1.3, variance_ratio=4.0),
        "barometer": Consistency(Verdict.OVERCONFIDENT, nis=1.6, high=1.3, variance_ratio=2.0),
        "gps": Consistency(Verdict.CONTRADICTED, nis=0.9, high=1.3, variance_ratio=9.0),
        "wheels": Consistency(Verdict.CAUTIOUS, nis=0.1, high=1.3, variance_ratio=0.1),
    }
    wide = protection_levels(covariance, kinds, 7, 8)
    assert "pose" in wide.reason
    for name in ("horizontal_95", "horizontal_999", "vertical_95", "vertical_999"):
        assert getattr(wide, name) == pytest.approx(2.0 * getattr(plain, name))
    lost = protection_levels(covariance, kinds, 8, 8)
    assert lost.horizontal_95 == lost.vertical_999 == np.inf
    assert "refused" in lost.reason


def claiming(fix: Fix, scale: float) -> Fix:
    return Fix(fix.stamp, fix.arrival, fix.T_map_camera, fix.covariance * scale**2)


@pytest.mark.parametrize(
    ("claim", "verdict", "growth"),
    [(1.0, Verdict.CONSISTENT, 1.0), (0.5, Verdict.OVERCONFIDENT, 1.3), (3.0, Verdict.CAUTIOUS, 1.0)],
)
def test_flight_is_judged_by_what_its_fixes_claim(claim, verdict, growth):
    world = World(seed=21, duration=20.0, rate=50.0)
    fusion = new_fusion()
    run(fusion, world, [claiming(f, claim) for f in world.fixes])
    status = fusion.status()
    assert status.consistency["pose"].verdict is verdict
    plain = float(horizontal_radius(fusion.state().pose_covariance[:2, :2], 0.95))
    if growth == 1.0:
        assert status.levels.horizontal_95 == pytest.approx(plain)
        assert status.levels.reason == "the covariance"
    else:
        assert growth * plain < status.levels.horizontal_95 < 2.6 * plain
        assert "pose finds it too small" in status.levels.reason


def test_levels_before_the_start_and_while_fixes_contradict_the_state():
    world = World(seed=22, duration=8.0, rate=50.0)
    fusion = new_fusion(rival_seconds=60.0)
    assert np.isnan(fusion.status().levels.horizontal_95)
    assert fusion.status().consistency == {}
    run(fusion, world, [f for f in world.fixes if f.stamp < 5.0])
    assert 0.1 < fusion.status().levels.horizontal_95 < fusion.status().levels.horizontal_999 < 10.0
    for i in range(3):
        assert np.isfinite(fusion.status().levels.vertical_95)
        give_fix(fusion, world.fix(6.0 + 0.2 * i, [80.0, 0.0, 0.0]))
        fusion.update()
    assert fusion.status().levels.vertical_95 == np.inf
    assert "refused" in fusion.status().levels.reason


def test_new_state_begins_with_no_innovations():
    world = World(seed=23, duration=10.0, rate=50.0)
    fusion = new_fusion()
    run(fusion, world)
    assert fusion.status().consistency["pose"].number > 30
    fusion.set_pose(9.5, world.flight.pose(9.5), np.eye(6) * 0.01, world.flight.velocity(9.5), np.eye(3))
    fusion.update()
    assert fusion.status().consistency == {}
