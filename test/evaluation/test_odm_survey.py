"""Projects of OpenDroneMap as surveys: the truth that a project was made from comes back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from geo_nav.cli import app
from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.odm_project import camera_of, read_project
from geo_nav.evaluation.odm_survey import make_survey
from geo_nav.evaluation.survey import Survey, read_survey
from geo_nav.geodesy import LocalFrame, Pose, camera_pose, geoid_undulation
from geo_nav.site import load_site
from odm_helpers import CAMERA_KEY, write_project

CRS = "EPSG:32632"
FRAME = LocalFrame(47.9855, 11.7105, 640.0)  # 2° east of the meridian: the grid is turned by 1.5°
BROWN = {
    "projection_type": "brown", "width": 1280, "height": 960, "focal_x": 0.875, "focal_y": 0.876,
    "c_x": 0.004, "c_y": -0.003, "k1": -0.05, "k2": 0.02, "p1": 0.0004, "p2": -0.0003, "k3": 0.001,
}  # fmt: skip
NAMES = [f"DJI_{k:04d}.JPG" for k in range(9)]
TIMES = {name: 1_779_530_400.0 + 2.0 * k for k, name in enumerate(NAMES)}
QUERIES = {NAMES[2], NAMES[5], NAMES[8]}


def true_poses() -> dict[str, Pose]:
    rng = np.random.default_rng(4)
    return {
        name: camera_pose(
            [30.0 * (k % 3) - 30.0, 40.0 * (k // 3) - 40.0, 100.0 + rng.normal(0, 3)],
            rng.uniform(-np.pi, np.pi), np.radians(-88.0) + rng.normal(0, 0.05), rng.normal(0, 0.05),
        )
        for k, name in enumerate(NAMES)
    }  # fmt: skip


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An orthophoto, and a surface model 40 m below the datum with a hole."""
    folder = tmp_path_factory.mktemp("rasters")
    east, north, _ = FRAME.to_crs(np.zeros(3), CRS)
    heights = np.full((300, 400), 600.0, np.float32)
    heights[100:120, 50:60] = -9999.0
    common = {
        "driver": "GTiff",
        "width": 400,
        "height": 300,
        "crs": CRS,
        "transform": from_origin(east - 200, north + 150, 1, 1),
    }
    with rasterio.open(folder / "dsm.tif", "w", count=1, dtype="float32", nodata=-9999.0, **common) as raster:
        raster.write(heights, 1)
    with rasterio.open(folder / "ortho.tif", "w", count=4, dtype="uint8", **common) as raster:
        raster.write(np.random.default_rng(0).integers(1, 255, (4, 300, 400), dtype=np.uint8))
    return folder / "ortho.tif", folder / "dsm.tif"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for k, name in enumerate(NAMES):
        cv2.imwrite(str(folder / name), np.full((96, 128, 3), 20 * k, np.uint8))
    return folder


@pytest.fixture
def project(tmp_path: Path, rasters: tuple[Path, Path], images: Path) -> Path:
    """All photographs, in the map too."""
    write_project(tmp_path / "all", true_poses(), FRAME, CRS, BROWN, TIMES, rasters, images)
    return tmp_path / "all"


def in_true_frame(survey: Survey) -> dict[str, Pose]:
    T_true_map = FRAME.T_earth_map.inverse() @ load_site(survey.folder).frame.T_earth_map
    return {photo.name: T_true_map @ photo.T_map_camera for photo in survey.photos}


def test_the_truth_comes_back(project: Path, tmp_path: Path) -> None:
    made = make_survey(project, tmp_path / "survey", "ellipsoid")
    assert (made.model, made.queries, made.left_out, made.tie) == (9, 0, (), None)
    survey = read_survey(tmp_path / "survey", scored=False)
    found = in_true_frame(survey)
    assert list(found) == NAMES
    for name, true in true_poses().items():
        np.testing.assert_allclose(found[name].matrix, true.matrix, atol=1e-6)
    camera = survey.camera
    assert (camera.width, camera.height, camera.distortion_model) == (1280, 960, "plumb_bob")
    assert camera.fx == 0.875 * 1280
    assert camera.fy == 0.876 * 1280
    assert camera.cx == 0.004 * 1280 + 639.5
    assert camera.cy == -0.003 * 1280 + 479.5
    assert camera.distortion == (-0.05, 0.02, 0.0004, -0.0003, 0.001)
    with (tmp_path / "survey" / "meta.csv").open() as file:
        times = [row["time"] for row in csv.DictReader(file)]
    assert times[:2] == ["2026:05:23 10:00:00", "2026:05:23 10:00:02"]
    assert all(
        (tmp_path / "survey" / "images" / n).read_bytes() == (project / "images" / n).read_bytes() for n in NAMES
    )
    site = load_site(tmp_path / "survey")
    assert site.frame.height == pytest.approx(600.0)
    with pytest.raises(EvaluationError, match="no photograph with the role 'query'"):
        read_survey(tmp_path / "survey")


def test_heights_above_the_sea_are_raised_everywhere(project: Path, tmp_path: Path) -> None:
    make_survey(project, tmp_path / "survey", "egm96")
    found = in_true_frame(read_survey(tmp_path / "survey", scored=False))
    for name, true in true_poses().items():
        lat, lon, height = FRAME.to_geodetic(true.translation)
        raised = FRAME.from_geodetic(lat, lon, height + geoid_undulation(lat, lon, "egm96"))
        np.testing.assert_allclose(found[name].translation, raised, atol=1e-6)
        # The geoid slopes by a few centimetres a kilometre.
        assert np.abs(found[name].rotation - true.rotation).max() < 1e-4
    with rasterio.open(tmp_path / "survey" / "site" / "dsm.tif") as raster:
        heights = raster.read(1, masked=True)
        x, y = raster.xy(10, 300)
    lat, lon, _ = LocalFrame(0, 0, 0).to_geodetic(LocalFrame(0, 0, 0).from_crs(x, y, 0.0, CRS))
    assert heights.mask.sum() == 200
    assert heights[10, 300] == pytest.approx(600.0 + float(geoid_undulation(lat, lon, "egm96")), abs=1e-3)
    assert 644.0 < heights.min() < heights.max() < 650.0


def test_map_and_poses_fit_as_odm_lays_both_flat(tmp_path: Path, rasters: tuple[Path, Path], images: Path) -> None:
    """ODM moves an adjustment into UTM by one matrix, and keeps what is a rotation of each camera's product with it.

    That puts the cameras, and the map that is densified from them, where this test computes them to be.
    """
    reference = LocalFrame(47.9857, 11.7102, 600.0)
    corners = reference.to_crs(np.vstack([np.eye(3), np.zeros(3)]), CRS)
    A, offset = (corners[:3] - corners[3]).T, corners[3] * [1, 1, 0]
    b = corners[3] - offset
    _, stretch, vt = np.linalg.svd(np.linalg.inv(A))
    write_project(tmp_path / "all", true_poses(), FRAME, CRS, BROWN, TIMES, rasters, images)
    file = tmp_path / "all" / "odm_report" / "shots.geojson"
    content = json.loads(file.read_text())
    T_topo_true = reference.T_earth_map.inverse() @ FRAME.T_earth_map
    for feature in content["features"]:
        pose = T_topo_true @ true_poses()[feature["properties"]["filename"]]
        not_quite = pose.rotation.T @ np.linalg.inv(A)
        translation = -not_quite @ (A @ pose.translation + b)
        rotation = Rotation.from_matrix(not_quite)
        feature["properties"]["translation"] = list(-rotation.inv().apply(translation) + offset)
        feature["properties"]["rotation"] = list(rotation.as_rotvec())
    file.write_text(json.dumps(content))
    make_survey(tmp_path / "all", tmp_path / "survey", "ellipsoid")
    survey = read_survey(tmp_path / "survey", scored=False)
    frame = load_site(tmp_path / "survey").frame
    ground = np.array([[x, y, 0.0] for x in (-60.0, 0.0, 60.0) for y in (-60.0, 0.0, 60.0)])
    on_map = (vt.T * stretch @ vt @ (A @ ground.T + b[:, None])).T + offset
    ground_of_map = frame.from_crs(*on_map.T, CRS)
    for photo in survey.photos:
        seen = survey.camera.project((photo.T_map_camera.inverse()).transform(ground_of_map))
        true = (T_topo_true @ true_poses()[photo.name]).inverse()
        # UTM shrinks by 0.9996 on the ground and not upwards: 4e-4 of what is 60 m to the side, at 1120 pixels.
        np.testing.assert_allclose(seen, survey.camera.project(true.transform(ground)), atol=0.6)


def moved(poses: dict[str, Pose]) -> dict[str, Pose]:
    """The poses of another adjustment of the same photographs: shifted, turned, and of another scale."""
    turn = Rotation.from_rotvec([0.002, -0.001, 0.004]).as_matrix()
    return {
        name: Pose(turn @ pose.rotation, 1.003 * turn @ pose.translation + [3.0, -2.0, 5.0])
        for name, pose in poses.items()
    }


@pytest.fixture
def mapped(tmp_path: Path, rasters: tuple[Path, Path]) -> dict[str, Pose]:
    """The poses of a project `map` that is made without the queries."""
    poses = {name: pose for name, pose in true_poses().items() if name not in QUERIES}
    write_project(tmp_path / "map", poses, FRAME, CRS, BROWN, TIMES, rasters)
    return poses


@pytest.mark.usefixtures("mapped")
def test_queries_of_a_second_project_are_tied_to_the_map(tmp_path: Path, images: Path) -> None:
    poses = true_poses()
    write_project(tmp_path / "all", moved(poses), FRAME, CRS, BROWN, TIMES, None, images)
    words = ["site", "from-odm", str(tmp_path / "map"), str(tmp_path / "survey"), "--vertical-datum", "ellipsoid"]
    result = CliRunner().invoke(app, [*words, "--truth", str(tmp_path / "all")])
    assert result.exit_code == 0, result.output
    assert "6 photographs that the map was made from, 3 that were kept out of it" in result.output
    survey = read_survey(tmp_path / "survey")
    assert {photo.name for photo in survey.queries} == QUERIES
    for name, found in in_true_frame(survey).items():
        np.testing.assert_allclose(found.matrix, poses[name].matrix, atol=1e-4)


def test_one_strip_is_enough_to_tie(tmp_path: Path, rasters: tuple[Path, Path], images: Path) -> None:
    strip = {name: true_poses()[name] for name in (NAMES[0], NAMES[1], NAMES[2], NAMES[4])}
    write_project(tmp_path / "map", {n: strip[n] for n in NAMES[:3]}, FRAME, CRS, BROWN, TIMES, rasters)
    write_project(tmp_path / "all", moved(strip), FRAME, CRS, BROWN, TIMES, None, images)
    made = make_survey(tmp_path / "map", tmp_path / "survey", "ellipsoid", truth=tmp_path / "all")
    assert made.queries == 1
    assert made.tie == pytest.approx(0.0, abs=1e-4)
    assert made.scale == pytest.approx(1 / 1.003, abs=1e-6)
    assert made.left_out == ()
    found = in_true_frame(read_survey(tmp_path / "survey"))
    np.testing.assert_allclose(found[NAMES[4]].matrix, strip[NAMES[4]].matrix, atol=1e-4)


def test_projects_that_do_not_fit_are_refused(tmp_path: Path, mapped: dict[str, Pose], images: Path) -> None:
    poses = true_poses()
    bent = {
        n: Pose(p.rotation, p.translation + np.array([0, 0, 8.0 * (k % 2)])) for k, (n, p) in enumerate(poses.items())
    }
    cases: dict[str, tuple[dict[str, Pose], dict[str, Any], str]] = {
        "bent": (bent, BROWN, "lie .* m .* apart"),
        "few": ({n: poses[n] for n in [NAMES[0], NAMES[1], *QUERIES]}, BROWN, "share 2 photographs: 3 at least"),
        "none": (mapped, BROWN, "none was kept out of the map"),
        "lens": (poses, BROWN | {"focal_x": 0.88}, "--use-fixed-camera-params"),
        "size": (poses, BROWN | {"width": 640, "height": 480}, "--use-fixed-camera-params"),
    }
    for name, (given, camera, message) in cases.items():
        write_project(tmp_path / name, given, FRAME, CRS, camera, TIMES, None, images)
        with pytest.raises(EvaluationError, match=message):
            make_survey(tmp_path / "map", tmp_path / "survey", "ellipsoid", truth=tmp_path / name)
        assert not (tmp_path / "survey").exists()


@pytest.mark.usefixtures("mapped")
def test_a_photograph_that_the_map_could_not_place_is_no_query(tmp_path: Path, images: Path) -> None:
    (tmp_path / "map" / "images").mkdir()
    (tmp_path / "map" / "images" / NAMES[2]).write_bytes((images / NAMES[2]).read_bytes())
    write_project(tmp_path / "all", true_poses(), FRAME, CRS, BROWN, TIMES, None, images)
    made = make_survey(tmp_path / "map", tmp_path / "survey", "ellipsoid", truth=tmp_path / "all")
    assert (made.model, made.queries, made.left_out) == (6, 2, (NAMES[2],))


def rewrite(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    content["features"][1]["properties"].update(changes)
    path.write_text(json.dumps(content))


def test_a_damaged_project_says_what_is_wrong(project: Path, tmp_path: Path) -> None:
    shots, cameras = project / "odm_report" / "shots.geojson", project / "cameras.json"
    pieces = project / "opensfm" / "reconstruction.json"
    key = CAMERA_KEY.removeprefix("v2 ")

    def calibrate(**changes: Any) -> None:
        cameras.write_text(json.dumps({key: BROWN | changes}))

    second = json.dumps({key: BROWN, "other": BROWN})
    cases = [
        (lambda: (project / "odm_dem" / "dsm.tif").unlink(), "process it with --dsm"),
        (lambda: (project / "odm_dem" / "dsm.tif").write_bytes(b"II*\0"), "dsm.tif cannot be read"),
        (lambda: (project / "odm_orthophoto" / "odm_orthophoto.tif").unlink(), "no .*odm_orthophoto.tif"),
        (shots.unlink, "shots.geojson cannot be read"),
        (lambda: shots.write_text('{"features": []}'), "has no photograph"),
        (lambda: shots.write_text("[1, 2"), "is not JSON"),
        (lambda: rewrite(shots, rotation=[0.0, 1.0]), "the pose of DJI_0001.JPG is not"),
        (lambda: rewrite(shots, rotation=None), "DJI_0001.JPG|cannot be read"),
        (lambda: rewrite(shots, translation=[1.0, 2.0, 3.0]), "the place of DJI_0001.JPG is not in EPSG:32632"),
        (lambda: rewrite(shots, filename="../DJI_0001.JPG"), "not the name of a photograph"),
        (lambda: rewrite(shots, filename="DJI_0000.JPG"), "a photograph twice"),
        (lambda: rewrite(shots, camera="v2 unknown"), "'unknown', is not in cameras.json"),
        (lambda: cameras.write_text(json.dumps({key: 0.8})), "'dji fc300s .*', is not in cameras.json"),
        (lambda: (cameras.write_text(second), rewrite(shots, camera="other")), "several cameras, .*: dji .*, other"),
        (lambda: calibrate(projection_type="dual"), "is 'dual': only perspective"),
        (lambda: calibrate(projection_type="spherical"), "is 'spherical'"),
        (lambda: calibrate(height=None), "cannot be read: .*int"),
        (lambda: cameras.write_text(json.dumps({key: {"width": 9, "height": 9}})), "cannot be read: .*focal_x"),
        (lambda: calibrate(focal_x=0.0), "is none: .*not calibrated"),
        (lambda: pieces.write_text('[{"shots": {"a": 1, "b": 2}}, {"shots": {"c": 3}}]'), r"2 recon.*\(2, 1 photo"),
        (lambda: (project / "images" / NAMES[4]).unlink(), "lacks 1 of 9 photographs, such as DJI_0004.JPG"),
    ]  # fmt: skip
    aligned = project / "odm_georeferencing" / "alignment_matrix.json"
    cases.append((lambda: (aligned.parent.mkdir(), aligned.write_text("[]")), "moved onto other data"))
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    for spoil, message in cases:
        spoil()
        with pytest.raises(EvaluationError, match=message):
            make_survey(project, tmp_path / "survey", "ellipsoid")
        for path, content in before.items():
            path.write_bytes(content)
    aligned.unlink()
    with pytest.raises(EvaluationError, match="unknown vertical datum 'sea'"):
        make_survey(project, tmp_path / "survey", "sea")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(EvaluationError, match="is not empty"):
        make_survey(project, tmp_path / "full", "ellipsoid")


def test_photographs_that_got_no_pose_are_named(project: Path, tmp_path: Path) -> None:
    shots = project / "odm_report" / "shots.geojson"
    content = json.loads(shots.read_text())
    content["features"] = content["features"][:-1]
    shots.write_text(json.dumps(content))
    result = CliRunner().invoke(
        app, ["site", "from-odm", str(project), str(tmp_path / "survey"), "--vertical-datum", "egm96"]
    )
    assert result.exit_code == 0, result.output
    assert "without a pose: 1 photographs, DJI_0008.JPG" in result.output
    assert "nothing to score on" in result.output
    assert not (tmp_path / "survey" / "images" / NAMES[8]).exists()


@pytest.mark.parametrize("kind", ["perspective", "simple_radial", "radial", "brown", "fisheye", "fisheye_opencv"])
def test_cameras_project_as_opensfm_does(kind: str) -> None:
    """Against the formulas of OpenSfM's documentation, in a picture taller than wide."""
    numbers = {"focal": 0.9, "k1": -0.03, "k2": 0.008}
    if kind not in ("perspective", "fisheye"):
        numbers = {"focal_x": 0.9, "focal_y": 0.91, "c_x": 0.01, "c_y": -0.02, "k1": -0.03}
    if kind in ("radial", "brown", "fisheye_opencv"):
        numbers |= {"k2": 0.008}
    if kind == "brown":
        numbers |= {"k3": -0.002, "p1": 0.001, "p2": -0.0007}
    if kind == "fisheye_opencv":
        numbers |= {"k3": -0.002, "k4": 0.0005}
    n = {"k2": 0.0, "k3": 0.0, "k4": 0.0, "p1": 0.0, "p2": 0.0, "c_x": 0.0, "c_y": 0.0} | numbers
    camera = camera_of({"projection_type": kind, "width": 960, "height": 1280, **numbers}, "here")
    points = np.random.default_rng(1).uniform([-2, -2, 4], [2, 2, 6], (50, 3))
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    r2 = x**2 + y**2
    if kind.startswith("fisheye"):
        theta = np.arctan(np.sqrt(r2))
        d = 1 + n["k1"] * theta**2 + n["k2"] * theta**4 + n["k3"] * theta**6 + n["k4"] * theta**8
        u, v = d * theta * x / np.sqrt(r2), d * theta * y / np.sqrt(r2)
    else:
        d = 1 + n["k1"] * r2 + n["k2"] * r2**2 + n["k3"] * r2**3
        u = d * x + 2 * n["p1"] * x * y + n["p2"] * (r2 + 2 * x**2)
        v = d * y + 2 * n["p2"] * x * y + n["p1"] * (r2 + 2 * y**2)
    fx, fy = n.get("focal_x", n.get("focal")), n.get("focal_y", n.get("focal"))
    expected = np.column_stack(
        [(fx * u + n["c_x"]) * 1280 + 960 / 2 - 0.5, (fy * v + n["c_y"]) * 1280 + 1280 / 2 - 0.5]
    )
    np.testing.assert_allclose(camera.project(points), expected, atol=1e-6)


def test_a_project_is_read_without_its_rasters(project: Path) -> None:
    """A second project only places photographs: it needs no map."""
    (project / "odm_dem" / "dsm.tif").unlink()
    assert [shot.name for shot in read_project(project, CRS).shots] == NAMES
