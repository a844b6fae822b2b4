"""What a filter says of itself, and parts of a run: made-up numbers whose right answers are known."""

import csv

import numpy as np
import pytest

from evaluation_helpers import EPOCH, SPEED, write_run
from geo_nav.evaluation import EvaluationConfig, evaluate_run, summary, write_errors
from geo_nav.evaluation.integrity import innovations, levels_at, protection, state_shares, states_at
from geo_nav.evaluation.metrics import PoseErrors
from geo_nav.evaluation.recording import InnovationConsistency, StatusTrack
from geo_nav.evaluation.segments import path_edges, segments, time_edges
from geo_nav.evaluation.trajectory import TimedPoses


def status(stamps, states, levels=None, consistency=None) -> StatusTrack:
    count = len(stamps)
    return StatusTrack(
        stamps=np.array(stamps, float),
        states=np.array(states, dtype=np.int64),
        seconds_since_fix=np.zeros(count),
        refused=0,
        too_old=0,
        rebuilds=0,
        update_milliseconds=1.0,
        reasons=[""] * count,
        levels=np.full((count, 4), np.nan) if levels is None else np.array(levels, float),
        consistency=[{}] * count if consistency is None else consistency,
    )


def errors(position) -> PoseErrors:
    position = np.array(position, float)
    count = len(position)
    stamps = np.arange(float(count))
    still = TimedPoses(stamps, np.zeros((count, 3)), np.tile([0, 0, 0, 1.0], (count, 1)))
    return PoseErrors(stamps, position, np.zeros((count, 3)), np.zeros(count), still)


def test_each_status_counts_until_the_next():
    track = status([0.0, 12.0, 16.0, 18.0], [0, 1, 3, 1])
    shares = state_shares(track, 10.0, 20.0)
    assert shares == pytest.approx({"INITIALIZING": 0.2, "TRACKING": 0.4 + 0.2, "LOST": 0.2})
    assert state_shares(status([15.0], [1]), 10.0, 20.0) == pytest.approx({"TRACKING": 0.5})
    assert state_shares(status([], []), 10.0, 20.0) == {}
    np.testing.assert_array_equal(states_at(track, np.array([-1.0, 0.0, 13.0, 99.0])), [-1, 0, 1, 1])


def test_protection_levels_are_held_against_the_errors_at_the_same_time():
    levels = [[1.0, 2.0, 1.0, np.inf], [np.nan] * 4, [4.0, 6.0, 0.5, 0.5]]
    track = status([1.0, 3.0, 4.0], [1, 1, 1], levels)
    # horizontal 5 m at 1 s, 1.5 m at 2 s, 5 m at 4 and 5 s; the vertical is -2 m
    position = [[9, 9, 9], [3, 4, -2], [0, 1.5, -2], [9, 9, 9], [5, 0, -2], [0, 5, -2]]
    found = protection(errors(position), levels_at(track, np.arange(6.0)))
    assert [found[k].samples for k in found] == [4, 4, 4, 4]
    assert found["horizontal_95"].exceeded_share == pytest.approx(1.0)
    assert found["horizontal_999"].exceeded_share == pytest.approx(0.25)
    assert found["vertical_95"].exceeded_share == pytest.approx(1.0)
    assert found["vertical_999"].exceeded_share == pytest.approx(0.5)
    assert found["vertical_999"].infinite_share == pytest.approx(0.5)
    assert found["vertical_999"].median_m == pytest.approx(0.5)
    unknown = protection(errors(position), levels_at(status([], []), np.arange(6.0)))
    assert unknown["horizontal_95"].samples == 0
    assert np.isnan(unknown["horizontal_95"].exceeded_share)


def test_honest_levels_are_exceeded_as_often_as_they_say():
    rng = np.random.default_rng(1)
    position = rng.normal(0, 1.0, (20_000, 3))
    rayleigh, normal = np.sqrt(-2 * np.log([0.05, 0.001])), [1.95996, 3.29053]
    track = status([0.0], [1], [[*rayleigh, *normal]])
    found = protection(errors(position), levels_at(track, np.arange(20_000.0)))
    assert found["horizontal_95"].exceeded_share == pytest.approx(0.05, abs=0.006)
    assert found["vertical_95"].exceeded_share == pytest.approx(0.05, abs=0.006)
    assert 0.0 < found["horizontal_999"].exceeded_share < 0.002


def test_innovations_are_those_of_the_outage():
    said = [{"pose": InnovationConsistency(n, v, r)} for n, v, r in ((9.0, "unknown", 0.9), (1.2, "consistent", 0.1),
            (0.8, "consistent", 0.0), (3.0, "overconfident", 0.2))]  # fmt: skip
    found = innovations(status([1.0, 11.0, 12.0, 13.0], [1] * 4, consistency=said), 10.0, 20.0)
    assert found["pose"].nis_median == pytest.approx(1.2)
    assert found["pose"].verdict_share == pytest.approx({"consistent": 2 / 3, "overconfident": 1 / 3})
    assert found["pose"].refused_share_last == pytest.approx(0.2)


def test_segments_of_path_and_time_hold_their_own_errors():
    stamps = np.arange(0.0, 101.0)
    # 10 m/s for 40 s, at rest for 20 s, 10 m/s again
    east = 10.0 * np.where(stamps < 40, stamps, np.where(stamps < 60, 40.0, stamps - 20.0))
    truth = TimedPoses(stamps, np.column_stack([east, 0 * east, 0 * east]), np.tile([0, 0, 0, 1.0], (101, 1)))
    position = np.where(stamps[:, None] < 50, [3.0, 4.0, 0.0], [0.0, 0.0, 2.0])
    made = PoseErrors(stamps, position, np.zeros((101, 3)), np.zeros(101), truth)
    np.testing.assert_allclose(time_edges(0.0, 100.0, 50.0), [0, 50, 100])
    np.testing.assert_allclose(time_edges(0.0, 100.0, 60.0), [0, 60, 100])
    halves = segments(made, [], truth, time_edges(0.0, 100.0, 50.0), 10.0)
    assert [s.samples for s in halves] == [50, 51]
    assert [s.rms_3d_m for s in halves] == pytest.approx([5.0, 2.0])
    assert [s.rms_vertical_m for s in halves] == pytest.approx([0.0, 2.0])
    assert [s.begin_m for s in halves] == pytest.approx([0.0, 400.0])
    assert [s.end_m for s in halves] == pytest.approx([400.0, 800.0])
    edges = path_edges(truth, 0.0, 100.0, 400.0)
    np.testing.assert_allclose(edges, [0.0, 40.0, 100.0])
    np.testing.assert_allclose(path_edges(truth, 0.0, 100.0, 300.0), [0.0, 30.0, 80.0, 100.0])
    first, second = segments(made, [], truth, edges, 10.0)
    assert first.rms_3d_m == pytest.approx(5.0)
    assert second.rms_3d_m == pytest.approx(np.sqrt((10 * 25 + 51 * 4) / 61))
    standing = TimedPoses(stamps, np.zeros((101, 3)), truth.quaternions)
    np.testing.assert_allclose(path_edges(standing, 0.0, 100.0, 300.0), [0.0, 100.0])


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("run"), duration=40.0, imu_rate=50.0, false_fixes=True)
    return evaluate_run(run, EvaluationConfig(segment_seconds=10.0, segment_metres=100.0))


def test_a_run_tells_states_levels_segments_and_the_time_to_its_first_fix(evaluation):
    numbers = summary(evaluation)
    # COASTING from 20.5 s to 24 s, LOST from 24 s to 25 s, of 10 s to 39.98 s
    assert numbers["state_share"] == pytest.approx(
        {"TRACKING": 25.48 / 29.98, "COASTING": 3.5 / 29.98, "LOST": 1 / 29.98}
    )
    # the offset is 0.5 m horizontal and 1.2 m vertical, the levels 1.0, 1.5, 1.2 and 2.0 m
    assert numbers["protection_horizontal_95_exceeded_share"] == 0.0
    assert numbers["protection_vertical_999_exceeded_share"] == 0.0
    assert numbers["protection_horizontal_95_samples"] == numbers["samples"]
    assert numbers["protection_vertical_999_median_m"] == pytest.approx(2.0)
    assert len(numbers["by_time"]) == 3
    assert [part["rms_3d_m"] for part in numbers["by_time"]] == pytest.approx([1.3] * 3, abs=1e-6)
    assert sum(part["samples"] for part in numbers["by_time"]) == numbers["samples"]
    assert sum(part["fixes_accepted"] for part in numbers["by_time"]) == numbers["fixes_accepted"]
    assert sum(part["false_fixes"] for part in numbers["by_path"]) == numbers["false_fixes"] > 0
    assert [part["end_m"] for part in numbers["by_path"]] == pytest.approx([100, 200, 300, 400, SPEED * 29.98], abs=0.1)
    assert numbers["first_fix_after_cut_s"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["first_fix_after_start_s"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["rpe_1_s_translation_rms_m"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["run_cpu_s"] is None


def test_errors_are_written_for_every_scored_stamp(evaluation, tmp_path):
    write_errors(evaluation, tmp_path / "errors.csv")
    with (tmp_path / "errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == evaluation.statistics.samples
    row = next(r for r in rows if float(r["stamp_s"]) == pytest.approx(EPOCH + 24.5, abs=1e-6))
    assert (row["error_east_m"], row["error_north_m"], row["error_up_m"]) == ("0.3", "-0.4", "1.2")
    assert (row["sigma_up_m"], row["state"], row["level_vertical_999_m"]) == ("0.8", "LOST", "2")


def test_what_a_run_took_of_the_machine_comes_from_run_json(tmp_path):
    run = write_run(tmp_path, duration=14.0, imu_rate=20.0)
    took = '{"cpu_seconds": 12.5, "wall_seconds": 9.0, "peak_rss_mb": 700.0, "by_stage": {"match": 4.0}}'
    (run / "run.json").write_text(f'{{"gps_cut": {EPOCH + 10.0}, "resources": {took}}}')
    numbers = summary(evaluate_run(run))
    assert numbers["run_cpu_s"] == 12.5
    assert numbers["run_peak_rss_mb"] == 700.0
    assert numbers["run_stage_wall_s"] == {"match": 4.0}
