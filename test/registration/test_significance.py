import numpy as np
import pytest

from geo_nav.registration.significance import independent_matches, log10_false_alarms, structure_size

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
    matches, tries = 60, 400
    # From the end of a street to the ground beside the car.
    chance = np.pi * np.geomspace(3.0, 40.0, matches) ** 2 / 1e4
    alarms = 0
    for _ in range(60):
        agree = rng.uniform(size=(tries, matches)) < chance
        agree[:, rng.choice(matches, 3, replace=False)] = True
        alarms += min(log10_false_alarms(row, chance) for row in agree) < 0.0
    assert alarms <= 6


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
