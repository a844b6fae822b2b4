"""The Rerun recording, read back chunk by chunk with Rerun's own reader."""

import json
from collections import defaultdict

import cv2
import numpy as np
import pytest
from rerun.chunk import RrdReader
from scipy.spatial.transform import Rotation

from evaluation_helpers import CAMERA, EPOCH, T_BASE_CAMERA, true_state
from export_helpers import TITLE, tie_points, write_exported_run
from geo_nav.evaluation.bag import read_run
from geo_nav.export import ExportOptions, export_run
from geo_nav.export.formats.rerun import ellipsoids
from geo_nav.site import load_site
from site_helpers import write_site


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rerun")
    run_dir = write_exported_run(folder, duration=20.0, site=str(write_site(folder)))
    done = export_run(run_dir, ["rerun"], ExportOptions(run_dir / "export"))
    assert (done.failures, done.notes) == ({}, [])
    return run_dir, done.paths["rerun"][0]


def read(path):
    """Values and times (s from the start, None where static) of every component, by entity and component."""
    found = defaultdict(list)
    for chunk in RrdReader(path).stream():
        table = chunk.to_record_batch().to_pydict()
        times = table.get("stamp")
        for name, values in table.items():
            if ":" in name:
                rows = zip(times or [None] * len(values), values, strict=True)
                found[chunk.entity_path, name.split(":")[-1]] += [(since_start(t), value) for t, value in rows]
    return found


def since_start(time):
    return None if time is None else round(np.datetime64(time, "ns").astype(int) * 1e-9 - EPOCH, 6)


@pytest.fixture(scope="module")
def columns(exported):
    return read(exported[1])


def numbers(column):
    return np.array([np.array(value).reshape(-1) for _, value in column])


def test_poses_are_on_the_timeline_of_the_stamps(exported, columns):
    recording = read_run(exported[0])
    found = columns["/map/base_link", "translation"]
    np.testing.assert_allclose([t for t, _ in found], np.arange(400) * 0.05, atol=1e-6)
    k = 100
    expected = recording.odometry.poses.at([EPOCH + 5.0])
    np.testing.assert_allclose(numbers(found)[k], expected.positions[0], atol=1e-3)
    np.testing.assert_allclose(numbers(columns["/map/base_link", "quaternion"])[k], expected.quaternions[0], atol=1e-4)
    assert columns["/__properties", "name"] == [(None, [TITLE])]
    assert columns["/__properties", "start_time"] == [(None, [round(EPOCH * 1e9)])]


def test_cameras_with_frames_and_tie_points(columns):
    seconds = np.arange(20.0)
    times = [t for t, _ in columns["/map/camera", "translation"]]
    np.testing.assert_allclose(times, seconds, atol=1e-6)
    centre = (true_state(7.0)[0] @ T_BASE_CAMERA).translation
    np.testing.assert_allclose(numbers(columns["/map/camera", "translation"])[7], centre, atol=2.0)
    frames = columns["/map/camera/frame", "blob"]
    np.testing.assert_allclose([t for t, _ in frames], seconds, atol=1e-6)
    picture = cv2.imdecode(np.frombuffer(np.array(frames[7][1]).astype(np.uint8).tobytes(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (CAMERA.height, CAMERA.width, 3)
    assert picture[100, 100].mean() == pytest.approx(147, abs=3)
    assert picture[100, 500].mean() == pytest.approx(47, abs=3)
    np.testing.assert_allclose(numbers(columns["/map/camera", "resolution"])[0], [CAMERA.width, CAMERA.height])
    matrix = numbers(columns["/map/camera", "image_from_camera"])[0].reshape(3, 3).T
    np.testing.assert_allclose(matrix, CAMERA.matrix, rtol=1e-6)
    # Those of tracked frames, 0.2 s after their registration, are no measurement of their own, and not shown.
    pixels, points = tie_points(7.0)
    assert len(columns["/map/tie_points", "positions"]) == 20
    for entity, expected in (("/map/camera/tie_points", pixels), ("/map/tie_points", points)):
        found = numbers(columns[entity, "positions"])[7].reshape(expected.shape)
        np.testing.assert_allclose(found, expected, atol=1e-2)


def test_errors_and_status(exported, columns):
    recording = read_run(exported[0])
    errors = np.column_stack([numbers(columns[f"/error/{axis}", "scalars"]) for axis in ("east", "north", "up")])
    stamps = EPOCH + np.array([t for t, _ in columns["/error/east", "scalars"]])
    expected = recording.odometry.poses.at(stamps).positions - recording.truth.at(stamps).positions
    np.testing.assert_allclose(errors, expected, atol=1e-5)
    np.testing.assert_allclose(numbers(columns["/error/sigma_up", "scalars"]), 0.8, atol=1e-9)
    np.testing.assert_allclose(numbers(columns["/protection/vertical_999", "scalars"]), 2.0)
    states = columns["/log/info", "text"]
    assert [(t, text[0].split(":")[0]) for t, text in states] == [(0.0, "INITIALIZING"), (1.0, "TRACKING")]
    refused = columns["/log/warn", "text"]
    assert len(refused) == sum(not fix.accepted for fix in recording.fixes)
    assert refused[0][1][0].startswith("fix refused (")


def test_the_site_is_drawn_in_map(exported, columns):
    site = load_site(read_run(exported[0]).info.site)
    vertices = numbers(columns["/map/site", "vertex_positions"]).reshape(-1, 3)
    np.testing.assert_allclose([vertices.min(axis=0), vertices.max(axis=0)], site.bounds, atol=0.5)
    faces = numbers(columns["/map/site", "triangle_indices"]).reshape(-1, 3)
    assert 0 < len(faces) <= 300_000
    assert faces.max() < len(vertices) == numbers(columns["/map/site", "vertex_colors"]).size


def test_a_site_that_is_gone_is_noted(exported, tmp_path):
    run_dir = exported[0]
    done = export_run(run_dir, ["rerun"], ExportOptions(tmp_path), info=write_info(run_dir, site="gone.yaml"))
    assert any("shows no site" in note and "gone.yaml" in note for note in done.notes)
    assert ("/map/estimate/path", "strips") in read(done.paths["rerun"][0])


def test_an_input_that_is_gone_costs_only_its_frames(exported, tmp_path):
    run_dir = exported[0]
    done = export_run(run_dir, ["rerun", "bag"], ExportOptions(tmp_path), info=write_info(run_dir, inputs=["gone"]))
    assert "gone" in done.failures["bag"]
    assert any("gone" in note for note in done.notes)
    found = read(done.paths["rerun"][0])
    assert ("/map/camera", "translation") in found
    assert ("/map/camera/frame", "blob") not in found


def write_info(run_dir, **changes):
    path = run_dir / "other.json"
    path.write_text(json.dumps({**json.loads((run_dir / "run.json").read_text()), **changes}))
    return path


def test_an_ellipsoid_holds_its_share():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(3, 3))
    half_sizes, quaternions = ellipsoids((root @ root.T)[None], 0.95)
    points = rng.normal(size=(200_000, 3)) @ root.T
    inside = np.linalg.norm(Rotation.from_quat(quaternions[0]).inv().apply(points) / half_sizes[0], axis=1) < 1.0
    assert inside.mean() == pytest.approx(0.95, abs=0.003)
