import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from geo_nav.cli import app
from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.inertial.estimators import BATCH, CAUSAL, DEAD_RECKONING, EKF, INVARIANT_EKF, OURS
from geo_nav.evaluation.inertial.protocol import Outcome, Track, plan, run_record
from geo_nav.evaluation.inertial.record import Fixes, default_noise
from geo_nav.evaluation.inertial.report import verdict
from geo_nav.evaluation.inertial.run import FusionBenchOptions
from geo_nav.evaluation.inertial.scores import row
from geo_nav.evaluation.inertial.start import find_start
from geo_nav.fusion import FusionConfig
from inertial_helpers import SIGMAS, simulated_record, write_plane_log


@pytest.fixture(scope="module")
def record():
    return simulated_record(seed=1, duration=60.0)


@pytest.fixture(scope="module")
def start(record):
    return find_start(record)


@pytest.fixture(scope="module")
def outcome(record, start):
    return run_record(record, start, 1.0)


def test_the_start_is_at_the_end_of_its_seconds_and_honest(record, start):
    assert 9.5 < start.belief.stamp <= 10.0
    assert record.imu.stamps[start.sample] == start.belief.stamp
    truth = fixless_truth(start.belief.stamp)
    error = start.belief.nav.position() - truth
    sigma = np.sqrt(np.trace(start.belief.pose_covariance[:3, :3]))
    assert np.linalg.norm(error) < 3.0 * sigma < 3.0


def fixless_truth(stamp):
    from fusion_helpers import Flight

    return Flight().position(stamp)


def test_a_start_that_does_not_come_says_why(record):
    blind = replace(record, attitudes=replace(record.attitudes, stamps=record.attitudes.stamps + 500.0))
    with pytest.raises(EvaluationError, match="no start in 10 s: waiting for fixes that agree"):
        find_start(blind)


def test_fixes_are_given_every_interval_and_all_others_scored(record, start):
    chosen = plan(record, start, 5.0)
    stamps = record.fixes.stamps
    np.testing.assert_allclose(np.diff(stamps[chosen.given]), 5.0, atol=1e-6)
    assert chosen.withheld
    after = int((stamps > start.belief.stamp).sum())
    assert len(chosen.given) + len(chosen.scored) == after
    with pytest.raises(EvaluationError, match="too short for a fix every 40 s"):
        plan(record, start, 40.0)


def test_a_log_without_fixes_in_between_is_scored_before_each_is_given(record, start):
    every = record.fixes
    fixes = Fixes(every.stamps[::5], every.positions[::5], every.sigmas, every.velocities[::5])
    chosen = plan(replace(record, fixes=fixes), start, 1.0)
    assert not chosen.withheld
    np.testing.assert_array_equal(chosen.scored, np.flatnonzero(fixes.stamps > start.belief.stamp))
    # The first one comes 0.1 s after the start.
    np.testing.assert_array_equal(chosen.given, chosen.scored[1:])


def rms(track):
    return float(np.sqrt((track.errors**2).sum(axis=1).mean()))


def test_on_a_simulated_flight_ours_is_the_best_causal_one_and_honest(outcome):
    """Fixes are white with 1.65 m (3D): every score has that in it."""
    scores = {name: rms(track) for name, track in outcome.tracks.items()}
    assert min(CAUSAL, key=scores.__getitem__) == OURS
    assert scores[BATCH] < scores[OURS] < 1.4 * np.linalg.norm(SIGMAS)
    assert scores[EKF] == pytest.approx(scores[INVARIANT_EKF], rel=0.1)
    assert scores[EKF] < 2.0 * scores[OURS]
    assert scores[DEAD_RECKONING] > 10.0 * scores[EKF]
    honest = row("simulated", 1.0, [outcome]).scores
    assert 0.6 < honest[OURS].nees < 1.5
    assert outcome.status.fixes_refused == 0
    assert outcome.status.fixes_used == len(outcome.given)


def test_no_causal_estimator_sees_the_future(record, start, outcome):
    """What comes after 30 s is thrown far off: nothing before it changes."""
    fixes = record.fixes
    late = fixes.stamps > 30.0
    wrong = replace(record, fixes=replace(fixes, positions=fixes.positions + np.where(late, 50.0, 0.0)[:, None]))
    other = run_record(wrong, start, 1.0)
    before = outcome.tracks[OURS].stamps <= 30.0
    assert 50 < before.sum() < len(before) - 50
    for name in CAUSAL:
        np.testing.assert_array_equal(other.tracks[name].positions[before], outcome.tracks[name].positions[before])
    assert np.abs(other.tracks[EKF].positions[~before] - outcome.tracks[EKF].positions[~before]).max() > 5.0
    assert np.abs(other.tracks[BATCH].positions[before] - outcome.tracks[BATCH].positions[before]).max() > 0.1


def test_withheld_fixes_are_not_looked_at(record, start, outcome):
    fixes = record.fixes
    moved = fixes.positions.copy()
    moved[plan(record, start, 1.0).scored] += 1000.0
    other = run_record(replace(record, fixes=replace(fixes, positions=moved)), start, 1.0)
    for name, track in outcome.tracks.items():
        np.testing.assert_allclose(other.tracks[name].positions, track.positions, atol=1e-9)


def test_the_default_noise_replaces_only_the_imus(record):
    changed = default_noise(record.config)
    assert changed.gyroscope_noise == FusionConfig().gyroscope_noise != record.config.gyroscope_noise
    assert changed.gps_correlation_time == record.config.gps_correlation_time
    assert changed.gyroscope_bias_sigma == record.config.gyroscope_bias_sigma


def made(errors, batch=None):
    covariances = np.tile(np.eye(3), (len(errors), 1, 1))
    stamps = np.arange(len(errors), dtype=float)
    tracks = {name: Track(stamps, errors * k, errors * k, covariances) for k, name in enumerate(CAUSAL, start=1)}
    if batch is not None:
        tracks[BATCH] = Track(stamps, batch, batch, None)
    return tracks


def test_scores_by_hand(outcome):
    errors = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 12.0]])
    one = Outcome("a", 5.0, made(errors, errors / 2.0), errors, np.zeros(4), outcome.status, {})
    two = Outcome("b", 5.0, made(np.zeros((2, 3)), np.zeros((2, 3))), errors, np.zeros(3), outcome.status, {})
    joined = row("x", 5.0, [one, two])
    ours = joined.scores[OURS]
    assert (joined.logs, joined.given, ours.number) == (2, 7, 4)
    assert ours.rms == pytest.approx(np.sqrt((25 + 144) / 4))
    assert ours.horizontal_rms == pytest.approx(np.sqrt(25 / 4))
    assert ours.largest == 12.0
    assert ours.nees == pytest.approx((25 + 144) / 4 / 3)
    assert joined.best_causal == OURS
    assert joined.to_batch == pytest.approx(2.0)
    assert verdict(joined) == "best; 2.0× > 1.5"
    # One log without a batch: the row has none, rather than that of the other log.
    failed = Outcome("b", 5.0, made(np.zeros((2, 3))), errors, np.zeros(3), outcome.status, {BATCH: "b: no"})
    partly = row("x", 5.0, [one, failed])
    assert BATCH not in partly.scores
    assert partly.failures == ("b: no",)
    assert verdict(partly) == "best; no batch"


def test_options_that_cannot_be():
    for changes, message in (
        ({"intervals": (0.1,)}, "1 s or more"),
        ({"noise": "loud"}, "there is no noise 'loud'"),
    ):
        with pytest.raises(EvaluationError, match=message):
            FusionBenchOptions(output=None, **changes)


def test_a_log_goes_from_its_files_to_the_tables_and_absent_ones_are_said(tmp_path, monkeypatch):
    write_plane_log(simulated_record(seed=2, duration=40.0), tmp_path / "flight_logs")
    monkeypatch.setenv("GEO_NAV_DATA", str(tmp_path))
    output = tmp_path / "out"
    command = ["bench", "fusion", "--parts", "real", "--sets", "plane,quad106,p4rtk", "--intervals", "5,20"]
    result = CliRunner().invoke(app, [*command, "--output", str(output), "--quiet"])
    assert result.exit_code == 0, result.output
    for line in (
        "not made: quad106: there are no logs",
        "not made: p4rtk: there are no logs",
        "not made: plane: 1 of 1 logs are too short for a fix every 20 s",
    ):
        assert line in result.output
    (plane,) = json.loads((output / "results.json").read_text())["parts"]["real"]["rows"]
    assert (plane["name"], plane["interval"], plane["logs"], plane["refused"]) == ("plane", 5.0, 1, 0)
    scores = plane["scores"]
    assert set(scores) == {*CAUSAL, BATCH}
    # 1.65 m is the fixes' own noise: had an axis, an angle or the lag been misread, nothing would fit.
    assert np.linalg.norm(SIGMAS) * 0.8 < scores[BATCH]["rms"] < scores[OURS]["rms"] < 5.0
    assert f"| plane | 5 s | {OURS} |" in (output / "results.md").read_text()
    assert (output / "plane_5s.png").stat().st_size > 10_000


def test_a_wrong_set_or_interval_is_refused(tmp_path):
    runner = CliRunner()
    for extra, message in ((["--sets", "boat"], "there is no set boat"), (["--intervals", "1,x"], "intervals are")):
        result = runner.invoke(app, ["bench", "fusion", "--output", str(tmp_path), "--quiet", *extra])
        assert result.exit_code != 0
        assert message in result.output + str(result.exception)
