"""Truth from every kind of topic and file, and runs that are scored with positions alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.transform import Rotation

from evaluation_helpers import CUT, EPOCH, ORIGIN, T_BASE_CAMERA, fix_message, site_message, true_state, write_run
from geo_nav.evaluation import EvaluationError, evaluate_run, print_table, summary, write_report
from geo_nav.evaluation.bag import read_run
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.evaluate import evaluate_recording
from geo_nav.evaluation.messages import (
    BagWriter,
    header,
    message,
    nav_sat_fix,
    odometry,
    pose_with_covariance,
    quaternion,
    transforms,
    vector,
)
from geo_nav.evaluation.trajectory import TimedPoses, write_tum
from geo_nav.evaluation.truth import read_truth, truth_from_messages, with_attitude
from geo_nav.geodesy import Pose, TransformTree

TIMES = np.arange(0.0, 20.0, 0.1)
POSES = [true_state(t)[0] for t in TIMES]
PATH = TimedPoses(EPOCH + TIMES, np.array([p.translation for p in POSES]), np.array([p.quaternion for p in POSES]))
ANTENNA = np.array([0.4, -0.2, 0.9])


def pose(p: Pose) -> object:
    return pose_with_covariance(p, np.zeros((6, 6))).pose


def as_messages(kind: str) -> list[object]:
    made = []
    for t, p in zip(EPOCH + TIMES, POSES, strict=True):
        if kind == "nav_msgs/msg/Odometry":
            made.append(odometry(t, p, np.zeros(3), np.zeros(3)))
        elif kind == "geometry_msgs/msg/TransformStamped":
            inner = message("geometry_msgs/msg/Transform", translation=vector(p.translation), rotation=quaternion(p))
            made.append(message(kind, header=header(t, "map"), child_frame_id="base_link", transform=inner))
        elif kind == "geometry_msgs/msg/PoseStamped":
            made.append(message(kind, header=header(t, "map"), pose=pose(p)))
        else:
            made.append(message(kind, header=header(t, "map"), pose=pose_with_covariance(p, np.eye(6) * 0.25)))
    return made


def gps_message(t: float, sigma: float = 0.02) -> object:
    p = true_state(t)[0]
    lat, lon, height = ORIGIN.to_geodetic(p.transform(ANTENNA))
    return nav_sat_fix(EPOCH + t, float(lat), float(lon), float(height), np.eye(3) * sigma**2)


@pytest.mark.parametrize(
    "kind",
    [
        "nav_msgs/msg/Odometry",
        "geometry_msgs/msg/PoseStamped",
        "geometry_msgs/msg/PoseWithCovarianceStamped",
        "geometry_msgs/msg/TransformStamped",
    ],
)
def test_every_type_of_pose_is_a_truth(kind):
    problems: list[str] = []
    made = as_messages(kind)
    shuffled = [made[k] for k in np.random.default_rng(1).permutation(len(TIMES))]
    truth = truth_from_messages("/gt", kind, shuffled, None, TransformTree(), problems)
    np.testing.assert_allclose(truth.poses.stamps, PATH.stamps, atol=1e-6)
    np.testing.assert_allclose(truth.poses.positions, PATH.positions, atol=1e-9)
    assert (truth.poses.rotations * PATH.rotations.inv()).magnitude().max() < 1e-9
    assert truth.has_orientation
    assert problems == []
    if "Covariance" in kind:
        np.testing.assert_allclose(truth.sigma, 0.5)
    else:
        assert truth.sigma is None


def test_gps_is_a_truth_of_positions_with_its_own_sigma():
    made = [gps_message(t) for t in TIMES]
    made[7].status.status = -1
    truth = truth_from_messages("/rtk", "sensor_msgs/msg/NavSatFix", made, ORIGIN, TransformTree(), [])
    assert not truth.has_orientation
    assert len(truth.poses) == len(TIMES) - 1
    np.testing.assert_allclose(truth.sigma, 0.02)
    antenna = np.array([p.transform(ANTENNA) for p in POSES])
    np.testing.assert_allclose(truth.poses.positions, np.delete(antenna, 7, axis=0), atol=1e-6)
    completed = with_attitude(truth, PATH, ANTENNA)
    np.testing.assert_allclose(completed.poses.positions, np.delete(PATH.positions, 7, axis=0), atol=1e-5)
    with pytest.raises(EvaluationError, match="no site says where map is"):
        truth_from_messages("/rtk", "sensor_msgs/msg/NavSatFix", made, None, TransformTree(), [])


def test_poses_of_other_frames_come_by_static_transforms_or_it_is_said():
    """Truth of a marker on the vehicle, in a motion capture's frame."""
    T_map_world = Pose(Rotation.from_euler("z", 0.7).as_matrix(), np.array([5.0, -3.0, 2.0]))
    T_base_marker = Pose(Rotation.from_euler("xyz", [0.1, 0.2, 0.3]).as_matrix(), np.array([0.1, 0.0, 0.3]))
    made = as_messages("nav_msgs/msg/Odometry")
    for m, p in zip(made, POSES, strict=True):
        m.pose.pose = pose(T_map_world.inverse() @ p @ T_base_marker)
        m.header.frame_id, m.child_frame_id = "world", "marker"
    tree = TransformTree()
    tree.add("map", "world", T_map_world)
    tree.add("base_link", "marker", T_base_marker)
    problems: list[str] = []
    truth = truth_from_messages("/gt", "nav_msgs/msg/Odometry", made, None, tree, problems)
    np.testing.assert_allclose(truth.poses.positions, PATH.positions, atol=1e-9)
    assert (truth.poses.rotations * PATH.rotations.inv()).magnitude().max() < 1e-9
    assert problems == []
    truth_from_messages("/gt", "nav_msgs/msg/Odometry", made, None, TransformTree(), problems)
    assert ["'world'" in problems[0], "'marker'" in problems[1]] == [True, True]


def test_files_of_every_form_tell_the_same(tmp_path):
    write_tum(tmp_path / "truth.txt", PATH)
    matrices = np.array([p.matrix[:3].ravel() for p in POSES])
    np.savetxt(tmp_path / "path.kitti", matrices)
    np.savetxt(tmp_path / "path_times.txt", PATH.stamps, fmt="%.9f")
    lat, lon, height = ORIGIN.to_geodetic(PATH.positions)
    table = np.column_stack([PATH.stamps, lat, lon, height, PATH.quaternions])
    head = "stamp,latitude,longitude,height,qx,qy,qz,qw"
    for name, columns in (("full.csv", 8), ("short.csv", 4)):
        names = ",".join(head.split(",")[:columns])
        np.savetxt(
            tmp_path / name, table[:, :columns], delimiter=",", fmt="%.12f", header=f"made up\n{names}", comments=""
        )
        lines = (tmp_path / name).read_text().splitlines()
        (tmp_path / name).write_text("\n".join(["# " + lines[0], *lines[1:]]))
    for name in ("truth.txt", "path.kitti", "full.csv", "short.csv"):
        truth = read_truth(tmp_path / name, ORIGIN)
        np.testing.assert_allclose(truth.poses.stamps, PATH.stamps, atol=1e-6)
        np.testing.assert_allclose(truth.poses.positions, PATH.positions, atol=1e-5)
        assert truth.has_orientation == (name != "short.csv")
        if truth.has_orientation:
            assert (truth.poses.rotations * PATH.rotations.inv()).magnitude().max() < 1e-6


def test_says_what_is_wrong_with_a_file(tmp_path):
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_truth(tmp_path / "none.txt", ORIGIN)
    (tmp_path / "path.txt").write_text(" ".join(["1"] * 12) + "\n")
    with pytest.raises(EvaluationError, match=r"KITTI file, which has no stamps: put path_times\.txt"):
        read_truth(tmp_path / "path.txt", ORIGIN)
    (tmp_path / "times.txt").write_text("1\n2\n")
    with pytest.raises(EvaluationError, match="2 stamps for 1 poses"):
        read_truth(tmp_path / "path.txt", ORIGIN)
    (tmp_path / "t.csv").write_text("time,lat,lon\n1,2,3\n")
    with pytest.raises(EvaluationError, match="header of a truth in CSV is stamp,latitude"):
        read_truth(tmp_path / "t.csv", ORIGIN)
    (tmp_path / "t.csv").write_text("stamp,latitude,longitude,height\n1,2,3,x\n")
    with pytest.raises(EvaluationError, match="cannot be read as a truth in CSV"):
        read_truth(tmp_path / "t.csv", ORIGIN)
    with pytest.raises(EvaluationError, match="no site says where map is"):
        read_truth(tmp_path / "t.csv", None)


@pytest.fixture(scope="module")
def gps_run(tmp_path_factory):
    """A run made offline: its own bag without sensors and truth, beside an input bag with a GPS at 5 Hz."""
    folder = tmp_path_factory.mktemp("gps")
    run = write_run(folder / "whole", duration=40.0, imu_rate=50.0)
    with (
        open_bag(run / "bag") as bag,
        BagWriter(folder / "run" / "bag") as ours,
        BagWriter(folder / "input") as sensors,
    ):
        for topic, received, m in bag.decoded():
            if topic.startswith("/geo_nav/") or topic == "/tf_static":
                ours.write(topic, m, received)
            elif topic not in ("/simulation/truth", "/gps/fix"):
                sensors.write(topic, m, received)
        for t in np.arange(0.0, 40.0, 0.2):
            sensors.write("/gps/fix", gps_message(t), EPOCH + t + 0.01)
        # What an earlier version of us left in the input is not ours to score.
        sensors.write(
            "/geo_nav/absolute_pose",
            fix_message(EPOCH + 15.1, Pose.identity(), "accepted", np.eye(6), 9, 1.0),
            EPOCH + 15.2,
        )
        sensors.write("/geo_nav/site", site_message("elsewhere"), EPOCH)
    info = {
        "inputs": ["../input"],
        "gps_cut": EPOCH + CUT,
        "topics": {"truth": "/gps/fix"},
        "antenna": ANTENNA.tolist(),
    }
    (folder / "run" / "run.json").write_text(json.dumps(info))
    return folder / "run"


def test_a_run_is_scored_beside_its_input_with_positions_alone(gps_run):
    evaluation = evaluate_run(gps_run)
    recording = evaluation.recording
    assert len(recording.imu.stamps) == 2000
    assert len(recording.camera_stamps) == 200
    assert recording.site_descriptor == ""
    assert recording.problems == []
    s, f = evaluation.statistics, evaluation.fix_statistics
    # The GPS is scored at its own stamps; the offset of 1.3 m is seen through the lever arm of its antenna.
    assert s.samples == 150
    assert s.rms_3d_m == pytest.approx(1.3, abs=1e-3)
    assert s.rms_horizontal_m == pytest.approx(0.5, abs=1e-3)
    assert np.isnan(s.rms_rotation_deg)
    assert np.isnan(evaluation.consistency.nees_pose)
    # sigma 0.5, 0.5, 0.8 m claimed, and 0.02 m of the GPS's own
    expected = (0.09 / 0.2504 + 0.16 / 0.2504 + 1.44 / 0.6404) / 3
    assert evaluation.consistency.nees_position == pytest.approx(expected, rel=1e-3)
    assert (f.tried, f.accepted, f.judged) == (120, 90, 90)
    assert f.false_fixes == 0
    assert f.median_error_m == pytest.approx(0.3 * 1.538, rel=0.15)
    assert np.isnan(f.median_error_deg)
    assert 0.6 < f.nees < 1.4
    assert evaluation.imu_only_statistics.rms_3d_m > 5.0


def test_positions_alone_leave_orientation_unknown_in_all_that_is_shown(gps_run, tmp_path):
    evaluation = evaluate_run(gps_run)
    numbers = json.loads(json.dumps(summary(evaluation), allow_nan=False))
    assert numbers["rms_rotation_deg"] is None
    assert numbers["rpe_1_s_rotation_rms_deg"] is None
    assert numbers["rpe_1_s_translation_rms_m"] == pytest.approx(0.0, abs=2e-3)
    assert numbers["truth_has_orientation"] is False
    assert numbers["truth_sigma_m_median"] == pytest.approx([0.02] * 3)
    assert "position only" in numbers["truth"]
    console = Console(record=True, width=200)
    print_table(evaluation, console)
    row = next(line for line in console.export_text().splitlines() if "orientation error" in line)
    assert row.count("–") == 2
    assert write_report(evaluation, tmp_path).is_file()
    first = (tmp_path / "errors.csv").read_text().splitlines()[1].split(",")
    assert first[4:6] == ["", ""]


def test_false_fixes_are_found_with_positions_alone_and_unknown_without_truth(gps_run):
    recording = read_run(gps_run)
    east = np.array([30.0, 0.0, 0.0])
    far = [
        replace(f, T_map_camera_levelled=Pose(f.T_map_camera.rotation, f.T_map_camera.translation + east))
        if f.accepted and k % 9 == 0
        else f
        for k, f in enumerate(recording.fixes)
    ]
    count = sum(a is not b for a, b in zip(far, recording.fixes, strict=True) if a.stamp >= EPOCH + CUT)
    assert count > 5
    assert evaluate_recording(replace(recording, fixes=far)).fix_statistics.false_fixes == count
    unknown = evaluate_recording(
        replace(recording, info=recording.info.model_copy(update={"T_base_camera": None}), camera_frame="nowhere")
    )
    assert unknown.fix_statistics.judged == 0
    assert summary(unknown)["false_fixes"] is None


def test_gps_is_only_the_truth_of_a_run_when_it_is_named(gps_run, tmp_path):
    info = tmp_path / "run.json"
    named = json.loads((gps_run / "run.json").read_text())
    del named["topics"]
    info.write_text(json.dumps({**named, "inputs": [str(gps_run.parent / "input")]}))
    with pytest.raises(EvaluationError, match="no truth"):
        evaluate_run(gps_run, info=info)


def test_an_antenna_of_the_static_transforms_counts_where_none_is_named(gps_run, tmp_path):
    with BagWriter(tmp_path / "mount") as extra:
        mounted = {("base_link", "gps_antenna"): Pose(np.eye(3), ANTENNA)}
        extra.write("/tf_static", transforms(EPOCH, mounted), EPOCH)
        for t in np.arange(0.0, 40.0, 0.2):
            fix = gps_message(t)
            fix.header.frame_id = "gps_antenna"
            extra.write("/rtk/fix", fix, EPOCH + t)
    info = tmp_path / "run.json"
    info.write_text(json.dumps({"inputs": ["mount"], "gps_cut": EPOCH + CUT, "topics": {"truth": "/rtk/fix"}}))
    evaluation = evaluate_run(gps_run, info=info)
    assert evaluation.statistics.rms_3d_m == pytest.approx(1.3, abs=1e-3)
    np.testing.assert_allclose(evaluation.recording.T_base_camera.matrix, T_BASE_CAMERA.matrix, atol=1e-12)


def test_an_input_that_is_gone_is_told_and_the_rest_is_scored(gps_run, tmp_path):
    write_tum(tmp_path / "truth.txt", TimedPoses(EPOCH + TIMES, PATH.positions, PATH.quaternions))
    info = tmp_path / "run.json"
    told = {"inputs": ["lost"], "truth": "truth.txt", "gps_cut": EPOCH + CUT, "topics": {"imu": "/imu/data"}}
    info.write_text(json.dumps(told))
    evaluation = evaluate_run(gps_run, info=info)
    assert evaluation.statistics.rms_3d_m == pytest.approx(1.3, abs=1e-3)
    assert evaluation.imu_only is None
    assert "there is no bag at" in evaluation.recording.problems[0]
    assert "/imu/data for imu, which is in no bag" in evaluation.recording.problems[1]
