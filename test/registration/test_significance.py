import numpy as np

from geo_nav.registration.significance import independent_matches, log10_false_alarms


def test_proof_and_chance() -> None:
    frame = 640.0 * 480.0
    assert log10_false_alarms(40, 20, 3.0, frame) < -50
    # 30 of 1000 within a small search radius is what chance brings.
    assert log10_false_alarms(1000, 30, 3.0, np.pi * 15.0**2) > 0
    assert log10_false_alarms(100, 3, 3.0, frame) > 0


def test_more_inliers_are_better_evidence() -> None:
    values = [log10_false_alarms(200, k, 4.0, 1e5) for k in range(5, 150, 5)]
    assert np.all(np.diff(values) < 0)


def test_bounds_the_rate_of_chance_agreement() -> None:
    """Random residuals, the best of many tries: the expected number of alarms is not understated."""
    rng = np.random.default_rng(0)
    matches, tries, threshold, region = 60, 400, 6.0, 1e4
    p = np.pi * threshold**2 / region
    alarms = 0
    for _ in range(100):
        best = int(rng.binomial(matches - 3, p, tries).max()) + 3
        alarms += log10_false_alarms(matches, best, threshold, region) < 0.0
    assert alarms <= 10


def test_one_match_stands_for_its_cell() -> None:
    pixels = np.concatenate([np.full((9, 2), 5.0), [[100.0, 100.0]]])
    residuals = np.array([1, 2, 3, 4, 50, 60, 70, 80, 90, 7.0])
    chosen, kept = independent_matches(pixels, residuals, 16.0)
    assert sorted(kept.tolist()) == [7.0, 50.0]
    assert sorted(chosen.tolist()) == [4, 9]
