import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from geo_nav.geodesy import Pose
from geo_nav.registration.resection import resect
from geo_nav.registration.significance import (
    independent_matches,
    log10_false_alarms,
    log_chance_of_evidence,
    structure_size,
)
from geo_nav.rendering import Camera

FRAME = 640.0 * 480.0


def alike(matches: int, inliers: int, tolerance: float, region: float) -> float:
    """Of matches that chance would bring with the same probability."""
    chance = np.full(matches, np.pi * tolerance**2 / region)
    return log10_false_alarms(np.arange(matches) < inliers, chance)


def test_proof_and_chance() -> None:
    assert alike(40, 20, 3.0, FRAME) < -50
    # 30 of 1000 within a small search radius is what chance brings.
    assert alike(1000, 30, 3.0, np.pi * 15.0**2) > 0
    assert alike(100, 3, 3.0, FRAME) > 0


def test_more_inliers_are_better_evidence() -> None:
    values = [alike(200, k, 4.0, 1e5) for k in range(5, 150, 5)]
    assert np.all(np.diff(values) < 0)


def test_bounds_the_rate_of_chance_agreement() -> None:
    """Random agreement, the best of many tries: the expected number of alarms is not understated."""
    rng = np.random.default_rng(0)
    matches, tries = 60, 100
    # From the end of a street to the ground beside the car.
    chance = np.pi * np.geomspace(3.0, 40.0, matches) ** 2 / 1e4
    alarms = 0
    for _ in range(40):
        agree = rng.uniform(size=(tries, matches)) < chance
        agree[:, rng.choice(matches, 3, replace=False)] = True
        alarms += min(log10_false_alarms(row, chance) for row in agree) < 0.0
    assert alarms <= 6


@pytest.mark.parametrize(
    ("matches", "agreeing", "chance"), [(5, 5, 0.034), (12, 4, 0.1), (35, 9, 0.01), (300, 30, 0.05)]
)
def test_the_tail_of_equal_matches_is_binomial(matches: int, agreeing: int, chance: float) -> None:
    found = log_chance_of_evidence(np.arange(matches) < agreeing, np.full(matches, chance))
    assert found == pytest.approx(binom.logsf(agreeing - 1, matches, chance), abs=1e-6)


def test_the_tail_of_unequal_matches_is_that_of_all_their_outcomes() -> None:
    rng = np.random.default_rng(2)
    outcomes = np.array(list(itertools.product((False, True), repeat=10)))
    for _ in range(20):
        chance = np.exp(rng.uniform(np.log(0.003), np.log(0.6), 10))
        evidence = outcomes @ -np.log(chance)
        probability = np.where(outcomes, chance, 1.0 - chance).prod(axis=1)
        agree = outcomes[rng.integers(1, len(outcomes))]
        true = math.log(probability[evidence >= evidence[(outcomes == agree).all(axis=1)] - 1e-9].sum())
        # Never below, and above by a few per cent.
        assert true - 1e-9 <= log_chance_of_evidence(agree, chance) < true + 0.05


def test_evidence_is_as_rare_under_chance_as_it_says() -> None:
    """Monte Carlo: of random agreements a share u has a tail of u or less, and hardly fewer: it is no loose bound."""
    rng = np.random.default_rng(3)
    chance, tries = np.geomspace(0.02, 0.4, 12), 400_000
    patterns, counts = np.unique(rng.uniform(size=(tries, 12)) < chance, axis=0, return_counts=True)
    tails = np.exp([log_chance_of_evidence(pattern, chance) for pattern in patterns])
    for claimed in (0.1, 0.01, 0.001):
        share = counts[tails <= claimed].sum() / tries
        noise = math.sqrt(claimed / tries)
        assert 0.7 * claimed < share < claimed + 4.0 * noise


def test_overwhelming_evidence_and_none() -> None:
    # Far beyond what a float64 can hold.
    everything = log_chance_of_evidence(np.ones(400, bool), np.full(400, 0.01))
    assert 400 * math.log(0.01) < everything < 380 * math.log(0.01)
    assert log_chance_of_evidence(np.ones(30, bool), np.ones(30)) == 0.0
    assert log_chance_of_evidence(np.zeros(30, bool), np.full(30, 0.1)) == 0.0


def test_small_pictures_can_tell_a_place() -> None:
    """320x240 has eight windows that do not overlap; a search radius of a twentieth of its width."""
    region = np.pi * 16.0**2
    assert alike(8, 8, 2.94, region) < -4.5
    assert alike(8, 7, 2.94, region) > -4.0
    assert alike(6, 6, 2.94, region) > -4.0


def test_random_matches_resected_raise_no_more_alarms_than_promised() -> None:
    """The whole of it: the pose is the best that RANSAC finds among random displacements, refined on them."""
    rng = np.random.default_rng(4)
    camera = Camera(320, 240, 256.0, 256.0, 159.5, 119.5)
    T_map_camera = Pose(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 150.0]))
    tolerance, radius, matches, tries = 4.0, 16.0, 10, 400
    alarms = []
    for _ in range(tries):
        pixels = rng.uniform([0.0, 0.0], [319.0, 239.0], (matches, 2))
        points = T_map_camera.translation + (camera.rays(pixels) @ T_map_camera.rotation.T) * rng.uniform(
            140.0, 150.0, (matches, 1)
        )
        angle, length = rng.uniform(0.0, 2.0 * np.pi, matches), radius * np.sqrt(rng.uniform(size=matches))
        moved = pixels + length[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        found = resect(moved, points, camera, tolerance)
        if found is not None:
            alarms.append(log10_false_alarms(found.inliers, np.full(matches, (tolerance / radius) ** 2)))
    assert len(alarms) > tries / 10
    for limit in (0.0, -1.0, -2.0):
        assert sum(alarm <= limit for alarm in alarms) <= tries * 10.0**limit


def test_what_agrees_with_anything_is_no_evidence() -> None:
    far, near = np.full(20, 1e-4), np.full(200, 0.5)
    chance = np.concatenate([far, near])
    strict = np.arange(220) < 20
    by_far = log10_false_alarms(strict, chance)
    assert by_far < -10.0
    # As many near ones instead, less than half of them: chance.
    assert log10_false_alarms((np.arange(220) >= 20) & (np.arange(220) < 110), chance) > 0.0
    # One mean probability for all would have called the far ones chance too.
    assert log10_false_alarms(strict, np.full(220, chance.mean())) > 0.0


def test_a_resembling_facade_counts_once() -> None:
    """Forty matches on one façade of 60 pixels: a single coincidence brings them all."""
    rng = np.random.default_rng(1)
    facade = rng.uniform([300.0, 100.0], [360.0, 160.0], (40, 2))
    elsewhere = rng.uniform(0.0, [640.0, 480.0], (120, 2))
    pixels = np.concatenate([facade, elsewhere])
    residuals = np.concatenate([np.full(40, 1.0), np.full(120, 100.0)])
    everything = log10_false_alarms(residuals < 4.0, np.full(160, np.pi * 16.0 / FRAME))
    chosen, kept = independent_matches(pixels, residuals, structure_size(640, 0.0))
    assert everything < -50.0
    assert log10_false_alarms(kept < 4.0, np.full(len(chosen), np.pi * 16.0 / FRAME)) > -4.0
    assert structure_size(640, 96.0) == pytest.approx(96.0)


def test_one_match_stands_for_its_cell() -> None:
    pixels = np.concatenate([np.full((9, 2), 5.0), [[100.0, 100.0]]])
    residuals = np.array([1, 2, 3, 4, 50, 60, 70, 80, 90, 7.0])
    chosen, kept = independent_matches(pixels, residuals, 16.0)
    assert sorted(kept.tolist()) == [7.0, 50.0]
    assert sorted(chosen.tolist()) == [4, 9]


def test_thousands_of_matches_overflow_nothing() -> None:
    """With one chance for all it is a binomial's tail, far below what a float holds."""
    agree = np.arange(3000) < 1500
    exact = float(binom.logsf(1499, 3000, 0.3))
    assert exact <= log_chance_of_evidence(agree, np.full(3000, 0.3)) < 0.5 * exact
