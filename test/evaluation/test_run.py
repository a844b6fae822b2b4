"""A made-up run as a bag, whose right numbers are known, through reading, scoring and the report."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from evaluation_helpers import CUT, EPOCH, RADIUS, SPEED, T_BASE_CAMERA, write_run
from geo_nav.commands.report import report
from geo_nav.evaluation import EvaluationConfig, EvaluationError, evaluate_run, print_table, summary, write_report
from geo_nav.evaluation.bag import read_run
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.evaluate import evaluate_recording
from geo_nav.evaluation.fixes import fix_statistics, score_fixes
from geo_nav.evaluation.messages import BagWriter, image
from geo_nav.evaluation.truth import stamp_of
from geo_nav.geodesy import Pose


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), duration=40.0, imu_rate=50.0)


@pytest.fixture(scope="module")
def evaluation(run_dir):
    return evaluate_run(run_dir)


def test_reads_everything_back(run_dir):
    recording = read_run(run_dir)
    assert len(recording.odometry) == 2000
    assert len(recording.truth) == 2000
    assert len(recording.imu.stamps) == 2000
    assert recording.gps.shape == (50, 4)
    assert len(recording.camera_stamps) == 200
    assert len(recording.fixes) == 160
    assert recording.gps_cut == EPOCH + CUT
    assert recording.site_name == "made-up site"
    assert recording.origin.latitude == pytest.approx(48.1)
    np.testing.assert_allclose(recording.T_base_camera.matrix, T_BASE_CAMERA.matrix, atol=1e-12)
    np.testing.assert_allclose(recording.odometry.velocities[0], [0, SPEED, 0], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(recording.truth.positions[:, :2], axis=1), RADIUS, atol=1e-9)
    refused = [f for f in recording.fixes if f.gate == "few_inliers"]
    assert refused
    assert all(f.T_map_camera is None for f in refused)
    assert recording.fixes[0].stages == pytest.approx({"render": 54.0, "match": 126.0})


def test_numbers_of_a_constant_offset(evaluation):
    s = evaluation.statistics
    assert evaluation.end - evaluation.begin == pytest.approx(29.98, abs=1e-6)
    assert s.rms_3d_m == pytest.approx(1.3, abs=1e-6)
    assert s.max_3d_m == pytest.approx(1.3, abs=1e-6)
    assert s.rms_horizontal_m == pytest.approx(0.5, abs=1e-6)
    assert s.rms_vertical_m == pytest.approx(1.2, abs=1e-6)
    assert s.distance_m == pytest.approx(SPEED * 29.98, rel=1e-4)
    assert s.drift_per_km_m == pytest.approx(1.3 / (SPEED * 29.98 / 1000.0), rel=1e-4)
    # 0.3/0.5, 0.4/0.5 and 1.2/0.8 sigma
    assert evaluation.consistency.nees_position == pytest.approx((0.6**2 + 0.8**2 + 1.5**2) / 3)
    assert evaluation.consistency.inside_3_sigma_all == 1.0


def test_counts_of_fixes(evaluation):
    f = evaluation.fix_statistics
    assert (f.camera_frames, f.tried, f.accepted, f.rejected) == (150, 120, 90, 30)
    assert f.rejected_by_gate == {"few_inliers": 15, "far_from_prior": 15}
    assert f.registered_share == pytest.approx(0.6)
    assert f.false_fixes == 0
    assert f.longest_gap_s == pytest.approx(0.6, abs=1e-6)
    assert f.latency_s_median == pytest.approx(0.3, abs=1e-6)
    assert summary(evaluation)["fix_age_s_median"] == pytest.approx(0.4, abs=1e-6)
    # errors are normal with 0.3 m an axis, and that is what their covariance says
    assert f.median_error_m == pytest.approx(0.3 * 1.538, rel=0.15)
    assert f.stage_ms_median["match"] == pytest.approx(0.7 * f.registration_ms_median, rel=1e-5)


def test_timing(evaluation):
    t = evaluation.timing
    assert t.odometry_hz == pytest.approx(50.0, abs=1e-3)
    assert t.imu_hz == pytest.approx(50.0, abs=1e-3)
    assert t.odometry_latency_ms_median == pytest.approx(4.0, abs=1e-2)
    assert t.odometry_longest_gap_s == pytest.approx(0.02, abs=1e-6)


def test_imu_only_starts_where_geo_nav_was_and_drifts(evaluation):
    imu_only = evaluation.imu_only_errors
    np.testing.assert_allclose(imu_only.position[0], [0.3, -0.4, 1.2], atol=1e-6)
    assert evaluation.imu_only_statistics.final_3d_m > 20 * evaluation.statistics.final_3d_m
    assert evaluation.imu_only_statistics.samples == evaluation.statistics.samples


def test_a_false_fix_is_one_that_was_accepted_and_is_wrong(tmp_path):
    run = write_run(tmp_path, duration=30.0, imu_rate=20.0, false_fixes=True)
    f = evaluate_run(run).fix_statistics
    assert f.false_fixes == 2
    assert f.max_error_m == pytest.approx(50.0, abs=1e-6)
    assert evaluate_run(run, EvaluationConfig(false_fix_distance=51.0)).fix_statistics.false_fixes == 0


def test_a_fix_is_judged_levelled_and_told_alone_too(run_dir):
    recording = read_run(run_dir)
    fix = next(f for f in recording.fixes if f.accepted)
    true_camera = recording.truth.at(np.array([fix.stamp])).pose(0) @ recording.T_base_camera
    east = np.array([1.0, 0.0, 0.0])
    apart = replace(
        fix,
        T_map_camera=Pose(true_camera.rotation, true_camera.translation + 9.0 * east),
        T_map_camera_levelled=Pose(true_camera.rotation, true_camera.translation + 2.0 * east),
    )
    scored = score_fixes([apart], recording.truth, recording.T_base_camera, 0.1)
    assert scored[0].error_m == pytest.approx(2.0, abs=1e-6)
    assert scored[0].nees == pytest.approx(81.0 / fix.covariance[0, 0] / 6.0, rel=1e-3)
    told = fix_statistics(scored, 1, 0.0, 5.0, False)
    assert told.false_fixes == 0
    assert told.max_error_m == pytest.approx(2.0, abs=1e-6)
    assert told.max_alone_error_m == pytest.approx(9.0, abs=1e-6)


def test_only_the_named_stamps_are_scored(run_dir, tmp_path):
    stamps = [EPOCH + 5.0, EPOCH + 12.0, EPOCH + 20.01, EPOCH + 35.2]
    info = tmp_path / "run.json"
    info.write_text(json.dumps({"gps_cut": EPOCH + CUT, "score_stamps": stamps}))
    evaluation = evaluate_run(run_dir, info=info)
    assert evaluation.statistics.samples == 3
    assert evaluation.statistics.distance_m == pytest.approx(SPEED * 29.98, rel=1e-4)
    assert evaluation.fix_statistics.longest_gap_s == pytest.approx(0.6, abs=1e-6)
    assert evaluation.statistics.rms_3d_m == pytest.approx(1.3, abs=1e-3)
    assert evaluation.fix_statistics.camera_frames == 3
    # 20.01 s is no frame's stamp; the frames at 12.0 and 35.2 s were accepted
    assert (evaluation.fix_statistics.tried, evaluation.fix_statistics.accepted) == (2, 2)


def test_truth_may_come_from_a_file(run_dir, tmp_path):
    from geo_nav.evaluation.trajectory import write_tum

    write_tum(tmp_path / "truth.csv", replace(read_run(run_dir).truth))
    info = tmp_path / "run.json"
    info.write_text(json.dumps({"gps_cut": EPOCH + CUT, "truth": "truth.csv"}))
    assert evaluate_run(run_dir, info=info).statistics.rms_3d_m == pytest.approx(1.3, abs=1e-3)


def test_clocks_that_differ_give_no_latency(run_dir):
    recording = read_run(run_dir)
    replayed = replace(recording, odometry=replace(recording.odometry, received=recording.odometry.received + 3e7))
    evaluation = evaluate_recording(replayed)
    assert summary(evaluation)["odometry_latency_ms_median"] is None
    assert summary(evaluation)["fix_latency_s_median"] is None
    assert evaluation.statistics.rms_3d_m == pytest.approx(1.3, abs=1e-6)


def test_summary_has_the_promised_keys_and_is_json(evaluation):
    numbers = json.loads(json.dumps(summary(evaluation), allow_nan=False))
    promised = {
        "rms_3d_m", "imu_only_rms_3d_m", "max_error_m", "fixes_accepted", "fixes_rejected", "false_fixes",
        "registered_share", "registration_ms_median", "odometry_hz",
    }  # fmt: skip
    assert promised <= numbers.keys()
    assert numbers["max_error_m"] == pytest.approx(1.3, abs=1e-6)
    assert numbers["imu_only_rms_3d_m"] > numbers["rms_3d_m"]


def test_report_holds_its_pictures_and_the_table_its_numbers(evaluation, tmp_path):
    path = write_report(evaluation, tmp_path / "out")
    html = path.read_text()
    assert len(re.findall(r'<img[^>]+src="data:image/jpeg;base64,[A-Za-z0-9+/=]{5000,}"', html)) == 6
    assert "1.30\u00a0m" in html
    assert "30 s without GPS" in html
    assert "few inliers" in html
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["fixes_accepted"] == 90
    console = Console(record=True, width=120)
    print_table(evaluation, console)
    text = console.export_text()
    assert "1.30\u00a0m" in text
    assert "90 of 150 frames sent (60%)" in text


def test_a_site_that_is_gone_does_not_take_the_report_with_it(tmp_path):
    run = write_run(tmp_path / "run", duration=14.0, imu_rate=20.0, site=str(tmp_path / "gone" / "site.yaml"))
    html = write_report(evaluate_run(run), tmp_path).read_text()
    assert "The model is not shown" in html
    assert "gone" in html


def test_the_command_writes_where_it_is_told(run_dir, tmp_path):
    app = typer.Typer()
    app.command()(report)
    shown = CliRunner().invoke(
        app, [str(run_dir), "--out", str(tmp_path / "o"), "--json", "--false-fix-distance", "0.3"]
    )
    assert shown.exit_code == 0, shown.output
    numbers = json.loads(shown.output)
    assert numbers == json.loads((tmp_path / "o" / "summary.json").read_text())
    # an error of 0.3 m an axis lies beyond 0.3 m in all with a probability of 80 %
    assert 50 <= numbers["false_fixes"] < 90


def test_says_what_is_missing(run_dir, tmp_path):
    with pytest.raises(EvaluationError, match="there is no bag"):
        read_run(tmp_path)
    recording = read_run(run_dir)
    nothing = replace(recording, truth=recording.truth.select(np.zeros(len(recording.truth), bool)))
    with pytest.raises(EvaluationError, match="no truth"):
        evaluate_recording(nothing)
    late = replace(recording, info=recording.info.model_copy(update={"gps_cut": EPOCH + 100.0}))
    with pytest.raises(EvaluationError, match="before GPS was cut"):
        evaluate_recording(late)
    (tmp_path / "run.json").write_text("{not json")
    with pytest.raises(EvaluationError, match=r"run\.json cannot be used"):
        read_run(run_dir, tmp_path / "run.json")


def test_a_bag_whose_recording_was_cut_off_is_scored_as_far_as_it_goes(tmp_path):
    run = write_run(tmp_path, duration=30.0, imu_rate=20.0)
    file = next((run / "bag").glob("*.mcap"))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 3 // 4])
    (run / "bag" / "metadata.yaml").unlink()
    evaluation = evaluate_run(run)
    assert 8.0 < evaluation.end - evaluation.begin < 19.0
    assert evaluation.statistics.rms_3d_m == pytest.approx(1.3, abs=1e-6)
    problems = summary(evaluation)["problems"]
    assert any("no metadata.yaml" in problem for problem in problems)
    assert any("cut off" in problem for problem in problems)
    console = Console(record=True, width=200)
    print_table(evaluation, console)
    assert "cut off" in console.export_text()
    file.write_bytes(data[:2000])
    with pytest.raises(EvaluationError, match=r"(?s)no message on /geo_nav/odometry.*cut off"):
        read_run(run)


def test_frames_are_counted_by_the_images_where_no_camera_info_was_recorded(run_dir, tmp_path):
    with open_bag(run_dir / "bag") as bag, BagWriter(tmp_path / "bag") as changed:
        for topic, received, m in bag.decoded():
            if topic == "/camera/camera_info":
                frame = np.full((2, 3, 3), 7, np.uint8)
                changed.write("/camera/image_raw", image(stamp_of(m), "camera_optical", frame), received)
            else:
                changed.write(topic, m, received)
    shutil.copy(run_dir / "run.json", tmp_path)
    assert evaluate_run(tmp_path).fix_statistics.camera_frames == 150


def test_without_imu_there_is_no_imu_only_but_a_report(run_dir, tmp_path):
    recording = read_run(run_dir)
    none = np.zeros(0)
    bare = replace(recording, imu=replace(recording.imu, stamps=none, received=none), fixes=[], pictures=[])
    evaluation = evaluate_recording(bare)
    assert evaluation.imu_only is None
    assert summary(evaluation)["imu_only_rms_3d_m"] is None
    assert summary(evaluation)["registered_share"] == 0.0
    assert "no IMU was recorded" in write_report(evaluation, tmp_path).read_text()
