"""TUM and KITTI files, judged by evo's command line as a user runs it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evaluation_helpers import CUT, EPOCH, write_run
from geo_nav.evaluation import evaluate_run, summary
from geo_nav.evaluation.bag import read_run
from geo_nav.export import ExportOptions, export_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("tracks") / "run", duration=20.0, odometry_noise=0.4)


@pytest.fixture(scope="module")
def out(run_dir):
    exported = export_run(run_dir, ["tum", "kitti"], ExportOptions(run_dir / "export"))
    assert exported.failures == {}
    return run_dir / "export"


def evo_rmse(kind: str, truth: Path, estimate: Path, zipped: Path) -> float:
    command = [str(Path(sys.executable).parent / "evo_ape"), kind, str(truth), str(estimate)]
    subprocess.run([*command, "--save_results", str(zipped), "--silent"], check=True, timeout=120)
    with zipfile.ZipFile(zipped) as file:
        return json.loads(file.read("stats.json"))["rmse"]


@pytest.mark.parametrize(("kind", "end"), [("tum", ".tum"), ("kitti", "_kitti.txt")])
def test_evo_finds_the_error_of_the_summary(run_dir, out, tmp_path, kind, end):
    expected = summary(evaluate_run(run_dir))["rms_3d_m"]
    found = evo_rmse(kind, out / f"scored_truth{end}", out / f"scored{end}", tmp_path / "ape.zip")
    assert found == pytest.approx(expected, rel=1e-6)


def test_tracks_are_as_recorded(run_dir, out):
    recording = read_run(run_dir)
    table = np.loadtxt(out / "trajectory.tum")
    np.testing.assert_allclose(table[:, 0], recording.odometry.poses.stamps, rtol=0, atol=1e-6)
    np.testing.assert_allclose(table[:, 1:4], recording.odometry.poses.positions, rtol=0, atol=1e-6)
    assert len(np.loadtxt(out / "trajectory_truth.tum")) == len(recording.truth)
    assert np.loadtxt(out / "scored.tum")[0, 0] == pytest.approx(EPOCH + CUT, abs=1e-6)


def test_kitti_lines_are_transforms(run_dir, out):
    poses = read_run(run_dir).odometry.poses
    lines, times = np.loadtxt(out / "trajectory_kitti.txt"), np.loadtxt(out / "trajectory_kitti_times.txt")
    assert lines.shape == (len(poses), 12)
    np.testing.assert_allclose(times, poses.stamps, rtol=0, atol=1e-6)
    np.testing.assert_allclose(lines.reshape(-1, 3, 4)[7], poses.pose(7).matrix[:3], rtol=0, atol=1e-9)


def test_a_stretch_at_a_rate(run_dir, tmp_path):
    options = ExportOptions(tmp_path, rate=4.0, begin=2.1, end=5.0, parts=("estimate", "truth"))
    paths = export_run(run_dir, ["tum"], options).paths["tum"]
    assert [path.name for path in paths] == ["trajectory.tum", "trajectory_truth.tum"]
    for path in paths:
        np.testing.assert_allclose(np.loadtxt(path)[:, 0] - EPOCH, np.arange(2.25, 5.01, 0.25), atol=1e-6)
    recording = read_run(run_dir)
    halfway = np.loadtxt(paths[1])[0, 1:4]
    k = np.searchsorted(recording.truth.stamps, EPOCH + 2.25)
    low, high = recording.truth.positions[k - 1], recording.truth.positions[k]
    # 50 Hz truth, and 2.25 s lies in the middle of two samples.
    np.testing.assert_allclose(halfway, (low + high) / 2.0, atol=1e-5)


def test_no_pose_is_made_up_in_a_gap(run_dir, tmp_path):
    from dataclasses import replace

    from geo_nav.evaluation.recording import OdometryTrack
    from geo_nav.export.run import ExportRun

    recording = read_run(run_dir)
    track = recording.odometry
    keep = (track.poses.stamps < EPOCH + 5.0) | (track.poses.stamps > EPOCH + 8.0)
    cut = OdometryTrack(track.poses.select(keep), track.received[keep], track.velocities[keep], track.covariances[keep])
    run = ExportRun(replace(recording, odometry=cut), ExportOptions(tmp_path))
    stamps = run.estimate(5.0).poses.stamps - EPOCH
    assert len(stamps) > 50
    assert not ((stamps > 5.0) & (stamps < 8.0)).any()
