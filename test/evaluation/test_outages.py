import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from geo_nav.cli import app
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.metrics import nees
from geo_nav.evaluation.outages import cost as cost_module
from geo_nav.evaluation.outages import faults, laws, run
from geo_nav.evaluation.outages.faults import BEGIN, FAULTS, run_fault
from geo_nav.evaluation.outages.imu_classes import IMU_CLASSES, MEMS, TACTICAL, ImuErrors
from geo_nav.evaluation.outages.items import Gps, Imu, Registered, Tracked, Wheels, clock_shifted
from geo_nav.evaluation.outages.journey import Journey, JourneyOptions
from geo_nav.evaluation.outages.outages import drawn_statistics, run_outages
from geo_nav.evaluation.outages.play import Player, Scores, Trace, wordy
from geo_nav.evaluation.outages.report import ORDER, faults_table, join_results, outages_tables
from geo_nav.evaluation.outages.run import SimulatedOptions, run_simulated
from geo_nav.evaluation.outages.vehicles import GROUND, VEHICLES
from geo_nav.fusion import FusionConfig, NavigationState
from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector

BLACKOUTS = ((30.0, 40.0),)


@pytest.fixture(scope="module")
def journey():
    return Journey(JourneyOptions("aerial", "mems", 3, 70.0, 50.0, blackouts=BLACKOUTS))


@pytest.fixture(scope="module")
def items(journey):
    return list(journey.items())


def fault(beginning):
    (found,) = [f for f in FAULTS if f.name.startswith(beginning)]
    return found


# ---------------------------------------------------------------------- the motion


@pytest.mark.parametrize("name", ["aerial", "ground"])
def test_motion_is_consistent_with_itself(name):
    trajectory = VEHICLES[name].trajectory(4, 120.0)
    t, h = np.arange(1.0, 119.0, 0.37), 1e-4
    now, before, after = (trajectory.motion(t + d) for d in (0.0, -h, h))
    np.testing.assert_allclose(now.velocity, (after.position - before.position) / (2 * h), atol=1e-5)
    np.testing.assert_allclose(now.acceleration, (after.velocity - before.velocity) / (2 * h), atol=1e-4)
    turned = Rotation.from_matrix(before.rotation).inv() * Rotation.from_matrix(after.rotation)
    np.testing.assert_allclose(now.angular_velocity, turned.as_rotvec() / (2 * h), atol=1e-5)
    one = trajectory.motion(float(t[3]))
    np.testing.assert_array_equal(one.rotation, now.rotation[3])
    assert one.position.shape == (3,)


def test_a_car_stops_turns_and_goes_where_it_looks():
    motion = GROUND.trajectory(5, 300.0).motion(np.arange(0.0, 300.0, 0.1))
    body = np.einsum("nij,ni->nj", motion.rotation, motion.velocity)
    np.testing.assert_allclose(body[:, 1:], 0.0, atol=1e-9)
    still = np.linalg.norm(motion.velocity, axis=1) < 1e-9
    assert 0.1 < still.mean() < 0.6
    np.testing.assert_allclose(motion.angular_velocity[still], 0.0, atol=1e-12)
    assert body[:, 0].max() < 11.0
    assert np.abs(motion.angular_velocity[:, 2]).max() > 0.1
    assert np.abs(motion.acceleration).max() < 6.0


def test_seeds_differ_and_repeat():
    times = np.arange(0.0, 60.0, 1.0)
    for vehicle in VEHICLES.values():
        a, b, c = (vehicle.trajectory(seed, 60.0).motion(times).position for seed in (1, 1, 2))
        np.testing.assert_array_equal(a, b)
        assert np.linalg.norm(a - c, axis=1).min() > 1.0


def test_what_the_ground_vehicle_is_told_is_what_its_file_says():
    path = Path(__file__).parents[2] / "config" / "ground.yaml"
    written = yaml.safe_load(path.read_text())["/**/fusion"]["ros__parameters"]
    written.pop("checkpoint")
    assert GROUND.config == FusionConfig.model_validate(written)


# ---------------------------------------------------------------------- the IMU


@pytest.mark.parametrize("imu", IMU_CLASSES.values(), ids=lambda imu: imu.name)
def test_noise_of_an_imu_is_what_its_class_says(imu):
    quiet, n, rate = replace(imu, vibration=0.0, scale_error=0.0), 20_000, 100.0
    errors, zero = ImuErrors(quiet, 1, rate, n / rate), np.zeros((n, 3))
    force, turn = errors.corrupted(0, zero, zero, np.ones(n))
    for values, density in ((force, imu.accelerometer_noise), (turn, imu.gyroscope_noise)):
        white = np.diff(values, axis=0).std() / np.sqrt(2.0) / np.sqrt(rate)
        assert white == pytest.approx(density, rel=0.02)
    starts = np.array(
        [ImuErrors(quiet, seed, rate, 0.1).corrupted(0, *[zero[:4]] * 2, np.ones(4)) for seed in range(300)]
    )
    turn_on = starts.mean(axis=2).std(axis=(0, 2))
    assert turn_on[0] == pytest.approx(imu.accelerometer_bias, rel=0.15)
    # The mean of four noisy samples scatters by half of their noise.
    assert turn_on[1] == pytest.approx(np.hypot(imu.gyroscope_bias, imu.gyroscope_noise * 5.0), rel=0.15)


def test_vibration_follows_the_vehicle_and_biases_go_on_from_piece_to_piece():
    silent = replace(MEMS, accelerometer_noise=0.0, gyroscope_noise=0.0)
    errors, zero = ImuErrors(silent, 2, 200.0, 20.0), np.zeros((2000, 3))
    still, _ = errors.corrupted(0, zero, zero, np.zeros(2000))
    shaken, turn = errors.corrupted(0, zero, zero, np.ones(2000))
    later, _ = errors.corrupted(2000, zero, zero, np.zeros(2000))
    assert 0.2 < (shaken - still).std() < 0.8
    assert 0.005 < turn.std() < 0.02
    assert np.abs(np.diff(np.vstack([still, later]), axis=0)).max() < 1e-4
    isolated = ImuErrors(replace(silent, vibration=0.1), 2, 200.0, 20.0)
    assert (isolated.corrupted(0, zero, zero, np.ones(2000))[0] - still).std() == pytest.approx(
        0.1 * (shaken - still).std(), rel=1e-6
    )


def test_the_tactical_imu_is_told_with_the_margin_of_the_default():
    """8.7 and 4 for the noise, 2 for the walks, 3 and 7 for the turn-on biases: the table in the docs says so."""
    default = FusionConfig()
    for told, simulated in (
        ("accelerometer_noise", "accelerometer_noise"),
        ("gyroscope_noise", "gyroscope_noise"),
        ("accelerometer_bias_walk", "accelerometer_bias_walk"),
        ("gyroscope_bias_walk", "gyroscope_bias_walk"),
        ("accelerometer_bias_sigma", "accelerometer_bias"),
        ("gyroscope_bias_sigma", "gyroscope_bias"),
    ):
        margin = getattr(default, told) / getattr(MEMS, simulated)
        assert TACTICAL.settings[told] / getattr(TACTICAL, simulated) == pytest.approx(margin, rel=0.05)


# ---------------------------------------------------------------------- the registrations


def test_what_is_drawn_is_what_was_recorded():
    journeys = [Journey(JourneyOptions("aerial", "mems", seed, 1800.0)) for seed in range(6)]
    drawn = [drawn_statistics(j) for j in journeys]
    mean = {key: np.mean([d[key] for d in drawn]) for key in drawn[0]}
    assert mean["accepted_share"] == pytest.approx(0.77, abs=0.04)
    assert mean["share_in_gaps"] == pytest.approx(0.195, abs=0.04)
    assert mean["gaps_per_minute"] == pytest.approx(4.6, abs=0.6)
    assert mean["longest_gap_s"] == pytest.approx(16.2, abs=0.5)
    assert mean["position_median_m"] == pytest.approx(1.35, abs=0.2)
    assert mean["nees"] == pytest.approx(1.0, abs=0.1)
    assert mean["correlation_1_s"] == pytest.approx(0.9 * np.exp(-1.0 / 6.5), abs=0.03)
    assert mean["correlation_5_s"] == pytest.approx(0.9 * np.exp(-5.0 / 6.5), abs=0.06)


def test_gaps_and_blackouts_have_no_fix_and_tracks_refer_to_what_has_arrived():
    drawn = laws.draw(1, 1.0, 600.0, True, ((100.0, 160.0), (300.0, 320.0)))
    inside = ((drawn.stamps >= 100.0) & (drawn.stamps < 160.0)) | ((drawn.stamps >= 300.0) & (drawn.stamps < 320.0))
    assert not drawn.accepted[inside].any()
    open_sky = laws.draw(1, 1.0, 600.0, False, ())
    assert open_sky.accepted.mean() == pytest.approx(laws.ACCEPTED_BETWEEN, abs=0.02)
    found, refused = 0, 0
    for k in range(len(drawn.stamps)):
        reference = drawn.reference(k)
        if reference is None:
            continue
        assert drawn.stamps[reference] + laws.LATENCY <= drawn.stamps[k] + laws.TRACK_LATENCY + 1e-9
        assert drawn.stamps[k] - drawn.stamps[reference] <= laws.TRACK_AGE + 1e-9
        assert not inside[reference : k + 1].any()
        newest = [
            m
            for m in np.flatnonzero(drawn.accepted[:k])
            if drawn.stamps[m] + laws.LATENCY <= drawn.stamps[k] + laws.TRACK_LATENCY + 1e-9
        ][-1]
        if drawn.stamps[k] - drawn.stamps[newest] <= laws.TRACK_AGE + 1e-9:
            assert reference == newest
            found += 1
        else:
            assert not drawn.accepted[reference]
            assert drawn.stamps[reference] - drawn.stamps[newest] >= laws.TRACK_AGE - 1e-9
            refused += 1
    assert found > 0.7 * len(drawn.stamps)
    assert refused > 30


def test_items_arrive_in_order_and_err_as_drawn(journey, items):
    arrivals = [item.arrival for item in items]
    assert arrivals == sorted(arrivals)
    kinds = Counter(type(item).__name__ for item in items)
    assert kinds["Imu"] == 70 * 50
    assert kinds["Gps"] == 50
    assert kinds["Registered"] == journey.drawn.accepted.sum()
    assert "Wheels" not in kinds
    assert not [i for i in items if isinstance(i, Registered | Tracked) and 30.0 <= i.stamp < 40.0]
    stamps = journey.drawn.stamps[journey.drawn.accepted]
    fixes = [i for i in items if isinstance(i, Registered)]
    motion = journey.motion(stamps)
    cameras = [Pose(R, p) @ journey.T_base_camera for R, p in zip(motion.rotation, motion.position, strict=True)]
    for fix, camera, error in zip(fixes, cameras, journey.drawn.errors[journey.drawn.accepted], strict=True):
        assert fix.arrival - fix.stamp == pytest.approx(laws.LATENCY)
        e = -error_vector(fix.pose, camera)
        np.testing.assert_allclose(camera.rotation.T @ e[:3], error[:3], atol=1e-9)
        np.testing.assert_allclose(camera.rotation.T @ e[3:], error[3:], atol=1e-9)
    errors = np.array([error_vector(f.pose, c) for f, c in zip(fixes, cameras, strict=True)])
    told = nees(errors, np.array([f.covariance for f in fixes])).mean() / 6.0
    white = np.linalg.solve(np.linalg.cholesky(journey.drawn.covariances), journey.drawn.errors[..., None])[..., 0]
    assert told == pytest.approx((white[journey.drawn.accepted] ** 2).mean(), rel=1e-6)


def test_tracks_err_by_their_drift_and_claim_it(journey, items):
    tracks = [i for i in items if isinstance(i, Tracked)]
    assert len(tracks) > 150
    errors, covariances = [], []
    for t in tracks:
        motion = journey.motion(np.array([t.reference_stamp, t.stamp]))
        first, second = (
            Pose(R, p) @ journey.T_base_camera for R, p in zip(motion.rotation, motion.position, strict=True)
        )
        e = error_vector(t.motion, first.inverse() @ second)
        age = t.stamp - t.reference_stamp
        assert age <= laws.TRACK_AGE + 1e-9
        assert np.linalg.norm(e[:3]) < 5.0 * laws.TRACK_DRIFT * age
        errors.append(e)
        covariances.append(t.covariance)
    assert 0.3 < nees(np.array(errors), np.array(covariances)).mean() / 6.0 < 3.0


def test_origins_that_explain_nothing_change_nothing():
    ends = []
    for origins in (False, True):
        journey = Journey(JourneyOptions("aerial", "mems", 4, 20.0, 50.0, origins=origins))
        player = Player.of(journey, status=False)
        ends.append(player.play(journey.items()).errors[-1])
        assert player.fusion.status().tracks_used > 50
        assert player.fusion.status().tracks_refused == 0
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-6)


def test_a_clock_moves_every_stamp_and_no_arrival():
    track = Tracked(5.1, 5.0, 4.0, Pose.identity(), np.eye(6))
    moved = clock_shifted(track, -30.0)
    assert (moved.arrival, moved.stamp, moved.reference_stamp) == (5.1, -25.0, -26.0)
    gps = clock_shifted(Gps(1.0, 1.0, np.zeros(3), np.eye(3)), 2.0)
    assert (gps.arrival, gps.stamp) == (1.0, 3.0)


# ---------------------------------------------------------------------- playing and scoring


def test_a_flight_is_scored_against_its_truth(journey, items):
    player = Player.of(journey)
    trace = player.play(items)
    good = trace.between(15.0, 30.0)
    assert 0.05 < good.rms < 3.0
    assert len(good.times) == 75
    coast = trace.between(30.0, 40.3)
    assert coast.largest > trace.between(20.0, 30.0).largest
    assert coast.sigmas[-1] > 3.0 * coast.sigmas[0]
    states = {state for t, state, _ in trace.states if 34.5 < t < 40.0}
    assert states == {NavigationState.COASTING}
    assert trace.restarts[0][1].startswith("started from")


def test_scores_by_hand():
    errors = np.array([[3.0, 4.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 12.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.1, 0.0, 0.0]])
    scores = Scores(np.array([1.0, 2.0, 3.0]), errors, np.tile(4.0 * np.eye(6), (3, 1, 1)))
    assert scores.rms == pytest.approx(np.sqrt((25 + 144 + 1) / 3))
    assert scores.largest == 12.0
    np.testing.assert_allclose(scores.sigmas, np.sqrt(12.0))
    np.testing.assert_allclose(scores.position_nees, [25 / 4, 36.0, 0.25])
    np.testing.assert_allclose(scores.pose_nees, [25 / 4, 36.0, 0.2525])
    np.testing.assert_array_equal(scores.without([(1.5, 3.0)]).times, [1.0, 3.0])
    assert np.isnan(scores.without([(0.0, 9.0)]).rms)


def test_reasons_without_numbers_can_be_counted():
    assert wordy("disagrees with the prediction: chi-square 95.1 > 22.5") == "disagrees with the prediction chi-square"


def test_an_outage_row_leaves_the_outage_out_until_it_is_regained():
    row = run_outages(JourneyOptions("aerial", "tactical", 2, 90.0, 50.0, blackouts=((40.0, 60.0),)))
    (outage,) = row["outages"]
    assert (outage["begin_s"], outage["end_s"]) == (40.0, 60.0)
    assert outage["sigma_at_end_m"] > 1.2 * row["rms_m"]
    assert row["largest_m"] < 6.0
    assert row["drawn"]["frames"] == pytest.approx((90.0 - 20.0 - 1.3) * 5.0, abs=2)
    assert row["counts"]["used_by_kind"]["pose"] + row["counts"]["used_by_kind"]["gps"] == row["counts"]["fixes_used"]
    json.dumps(row, allow_nan=False)


# ---------------------------------------------------------------------- faults


def spoiled(name, items):
    return list(fault(name).spoil(items, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def early(items):
    """The items as if the faults' time were theirs."""
    shift = BEGIN - 20.0
    return [replace(clock_shifted(i, shift), arrival=i.arrival + shift) for i in items]


def test_faults_of_the_imu_do_what_they_say(early):
    imu = [i for i in early if isinstance(i, Imu)]
    bad = [
        i
        for i in spoiled("every second IMU sample NaN", early)
        if isinstance(i, Imu) and np.isnan(i.acceleration).any()
    ]
    assert len(bad) == 250
    assert all(BEGIN <= i.arrival < BEGIN + 10.0 and i.truth is None for i in bad)
    high = [i for i in spoiled("IMU saturated", early) if isinstance(i, Imu) and i.acceleration[2] == 200.0]
    assert len(high) == 150
    assert len(imu) - sum(isinstance(i, Imu) for i in spoiled("IMU silent for 2 s", early)) == 100
    jumped = spoiled("clock jumps back", early)
    assert [j.arrival for j in jumped] == [i.arrival for i in early]
    assert all(j.stamp == (i.stamp - 30.0 if i.stamp >= BEGIN else i.stamp) for i, j in zip(early, jumped, strict=True))


def test_faults_of_the_fixes_do_what_they_say(early):
    fixes = [i for i in early if isinstance(i, Registered)]
    at_5_hz = [i for i in spoiled("20 false fixes, one place 100 m off, at 5 Hz", early) if isinstance(i, Registered)]
    moved = [b.pose.distance_to(a.pose) for a, b in zip(fixes, at_5_hz, strict=True)]
    assert np.flatnonzero(moved).tolist() == list(range(moved.index(max(moved)), moved.index(max(moved)) + 20))
    assert max(moved) == pytest.approx(100.0, abs=0.1)
    at_1_hz = [i for i in spoiled("20 false fixes, one place 100 m off, at 1 Hz", early) if isinstance(i, Registered)]
    assert np.diff([i.stamp for i in at_1_hz]).min() == pytest.approx(1.0)
    scattered = [i for i in spoiled("3 in 10", early) if isinstance(i, Registered)]
    false = [d for a, b in zip(fixes, scattered, strict=True) if a.stamp >= BEGIN for d in [b.pose.distance_to(a.pose)]]
    assert 0.2 < np.mean(np.array(false) > 0.0) < 0.4
    assert min(d for d in false if d > 0.0) >= 20.0
    shuffled = spoiled("fixes and tracks shuffled", early)
    assert sorted(i.stamp for i in shuffled) == sorted(i.stamp for i in early)
    order = [i.stamp for i in shuffled if isinstance(i, Registered)]
    assert order != sorted(order)
    arrivals = [i.arrival for i in shuffled]
    assert arrivals == sorted(arrivals)
    late = [i for i in spoiled("fixes and tracks of 20 s late by 3 s", early) if i.arrival - i.stamp > 3.0]
    assert {type(i) for i in late} == {Registered, Tracked}
    assert all(BEGIN <= i.stamp < BEGIN + 20.0 for i in late)
    nan = [i for i in spoiled("fixes with NaN", early) if isinstance(i, Registered)]
    assert sum(np.isnan(i.stamp) or np.isnan(i.covariance).any() for i in nan) == sum(
        BEGIN <= i.stamp < BEGIN + 10.0 for i in fixes
    )


def test_a_solver_that_raises_and_a_kill_are_survived(monkeypatch):
    monkeypatch.setattr(faults, "_IMU_RATE", 50.0)
    for name, key in (("GTSAM raises twice", "rebuilds"), ("killed, back after 2 s from its checkpoint", "starts")):
        row = run_fault(fault(name))
        json.dumps(row, allow_nan=False)
        assert row["tracking_after_s"] is not None
        assert row["tracking_after_s"] < 5.0
        assert row["last_rms_m"] < 3.0
        if key == "rebuilds":
            assert row["rebuilds"] == 1
        else:
            assert "started from the checkpoint" in row["starts"][1]


def test_states_and_times_are_read_from_the_trace():
    trace = Trace()
    one = fault("GPS lost")
    for t in np.arange(0.0, 180.0, 0.1):
        lost = 95.0 <= t < 125.0
        trace.states.append((float(t), NavigationState.LOST if lost else NavigationState.TRACKING, "because"))
    trace.times = np.arange(0.0, 180.0, 0.2).tolist()
    far = [np.r_[10.0 if 95.0 <= t < 123.0 else 0.1, np.zeros(5)] for t in trace.times]
    trace.errors, trace.covariances = far, [np.eye(6)] * len(far)
    assert [p["state"] for p in faults._passed(trace, one)] == ["TRACKING", "LOST", "TRACKING"]
    assert faults._tracking_after(trace, 120.0) == pytest.approx(5.0, abs=0.11)
    assert faults._settled_after(trace, 120.0) == pytest.approx(3.0, abs=0.21)
    assert faults._tracking_after(trace, 130.0) == 0.0
    trace.states = [(t, NavigationState.LOST, "") for t, _, _ in trace.states]
    assert faults._tracking_after(trace, 120.0) is None


# ---------------------------------------------------------------------- the command


def made_row(vehicle, rms, nees_position):
    outage = {
        "begin_s": 300.0,
        "end_s": 360.0,
        "error_at_end_m": 5.0,
        "sigma_at_end_m": 9.0,
        "normalised_at_end": 20.0,
        "share_inside_95": 0.9,
        "nees_position": 0.7,
    }
    counts = dict.fromkeys(("fixes_used", "fixes_refused", "tracks_used", "tracks_refused", "rebuilds"), 3)
    drawn = drawn_statistics(Journey(JourneyOptions("aerial", "mems", 1, 300.0)))
    return {
        "vehicle": vehicle, "imu": "mems", "seed": 1, "rms_m": rms, "horizontal_rms_m": rms, "largest_m": 2.0,
        "heading_rms_deg": 0.1, "nees_position": nees_position, "nees_pose": 1.0, "outages": [outage],
        "counts": {**counts, "starts": ["a", "b"]}, "drawn": drawn,
    }  # fmt: skip


def test_what_was_asked_and_missed_is_said():
    text = outages_tables([made_row("aerial", 0.8, 1.0), made_row("ground", 1.2, 1.5)])
    assert "| aerial | mems | 1 | 0.80, 0.80 | 1.00, 1.00 | met |" in text
    assert "| ground | mems | 1 | 1.20, 1.20 | 1.50, 1.00 | RMS not under 1 m; NEES not in 0.8–1.3 |" in text
    assert "(no fix, no track; 300 to 360 s)" in text
    assert "| 0 of 1 |" in text  # 20 > 16.3, the 99.9 % of three dimensions
    assert "| 3, 3 | 3, 3 | 3 | 1 |" in text


def test_parts_join_and_a_damaged_file_is_not_overwritten(tmp_path):
    join_results(tmp_path, "faults", "## F", {"rows": [1]})
    page = join_results(tmp_path, "outages", "## O", {"rows": [2]})
    assert page.read_text() == "## O\n\n## F\n"
    parts = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert parts["faults"]["rows"] == [1]
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(EvaluationError, match="cannot be joined"):
        join_results(tmp_path, "outages", "## O", {})
    assert (tmp_path / "results.json").read_text() == "{"


def test_the_command_makes_parts_once_and_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr(cost_module, "_WARM", 2.0)
    monkeypatch.setattr(run, "_QUICK_COST", 6.0)
    monkeypatch.setattr(run, "_QUICK_ENDURANCE", 125.0)
    command = ["bench", "fusion", "--parts", "endurance,cost", "--quick", "--output", str(tmp_path), "--quiet"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "results.md").read_text()
    assert "## Cost" in text
    assert "## Four hours" in text
    parts = json.loads((tmp_path / "results.json").read_text())["parts"]
    (endurance,) = parts["endurance"]["rows"]
    assert len(endurance["minutes"]) == 2
    assert 50.0 < endurance["last"]["memory_mib"] < 4000.0
    assert 0.0 < endurance["last"]["update_median_ms"] < endurance["last"]["update_p99_ms"]
    (cost,) = parts["cost"]["rows"]
    assert cost["fixes_used"] > 15
    assert 0.0 < cost["callback_ms"]["median"] <= cost["callback_ms"]["p99"] <= cost["callback_ms"]["largest"]
    assert (tmp_path / "endurance.png").stat().st_size > 10_000
    monkeypatch.setattr(run, "run_cost", lambda _: pytest.fail("made again"))
    monkeypatch.setattr(run, "run_endurance", lambda _: pytest.fail("made again"))
    assert CliRunner().invoke(app, command).exit_code == 0


def test_the_table_of_faults_comes_from_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "_IMU_RATE", 50.0)
    monkeypatch.setattr(run, "FAULTS", [fault("fixes with NaN")])
    kept = {}
    run_simulated(
        SimulatedOptions(tmp_path, ("faults",), quick=True), lambda part, rows, _: kept.update({part: list(rows)})
    )
    text = faults_table(kept["faults"])
    (line,) = [line for line in text.splitlines() if line.startswith("| fixes with NaN")]
    assert f"{sum(kept['faults'][0]['raised'].values())} calls raise" in line
    assert "TRACKING" in line
    assert "COASTING: no fix used for" in text
    assert "is not finite" in text


def test_a_wrong_part_or_seed_is_refused(tmp_path):
    runner = CliRunner()
    for extra, message in (
        (["--parts", "reel"], "there is no part reel"),
        (["--parts", "outages", "--seeds", "1,x"], "seeds are"),
        (["--parts", "outages", "--seeds", ""], "seeds must be"),
    ):
        result = runner.invoke(app, ["bench", "fusion", "--output", str(tmp_path), "--quiet", *extra])
        assert result.exit_code != 0
        assert message in result.output + str(result.exception)
    assert ORDER == ("real", "outages", "faults", "cost", "endurance")


def test_wheels_say_nothing_of_a_car_at_rest():
    journey = Journey(JourneyOptions("ground", "mems", 5, 60.0, 50.0))
    speeds = [i for i in journey.items() if isinstance(i, Wheels)]
    true = np.linalg.norm(journey.motion(np.array([i.stamp for i in speeds])).velocity, axis=1)
    still = true < 0.01
    assert still.any()
    assert all(abs(i.speed) < 0.02 for i, s in zip(speeds, still, strict=True) if s)
    ratio = np.array([i.speed for i in speeds])[~still] / true[~still]
    assert abs(np.median(ratio) - 1.0) < 0.1
