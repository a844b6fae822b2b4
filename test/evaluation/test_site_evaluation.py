import csv
import json
import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.bench.laws import PriorErrorLaw
from geo_nav.evaluation.bench.results import QueryResult
from geo_nav.evaluation.site_evaluation import SiteEvaluation, evaluate_site
from geo_nav.evaluation.survey import read_camera, read_survey
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.registration import RegistrationConfig, RegistrationError
from geo_nav.registration.pose_format import describe_pose, parse_pose
from registration_site import truth_pose

DATA = Path(os.environ.get("GEO_NAV_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
needs_data = pytest.mark.skipif(not (DATA / "caliterra").is_dir(), reason=f"no surveys in {DATA} (GEO_NAV_DATA)")
FRAME = LocalFrame(47.0, 8.0, 400.0)
LAW = PriorErrorLaw(30.0, math.radians(10.0), math.radians(3.0))


def write_survey(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    camera = {"width": 64, "height": 48, "fx": 50.0, "fy": 51.0, "cx": 32.0, "cy": 24.0}
    (folder / "camera.json").write_text(json.dumps({**camera, "distortion_k1_k2_p1_p2": [0.1, 0.0, 0.0, 0.0]}))
    with (folder / "truth.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "role", "east_m", "north_m", "up_m", "qw", "qx", "qy", "qz"])
        # Looking straight down, the picture's upper edge to the north: half a turn about east.
        rows.writerow(["a.jpg", "query", 1.0, 2.0, 3.0, 0.0, 1.0, 0.0, 0.0])
        rows.writerow(["b.jpg", "model", 1.0, 2.0, 3.0, 0.0, 1.0, 0.0, 0.0])
    cv2.imwrite(str(folder / "images" / "a.jpg"), np.full((48, 64, 3), (10, 20, 200), np.uint8))
    return folder


def test_survey_is_read_in_our_conventions(tmp_path: Path) -> None:
    survey = read_survey(write_survey(tmp_path / "s"))
    assert (survey.camera.cx, survey.camera.cy) == (31.5, 23.5)
    assert survey.camera.distortion_model == "plumb_bob"
    assert [p.name for p in survey.queries] == ["a.jpg"]
    pose = survey.queries[0].T_map_camera
    np.testing.assert_allclose(pose.transform([0.0, 0.0, 3.0]), [1.0, 2.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(pose.rotation[:, 1], [0.0, -1.0, 0.0], atol=1e-9)
    # RGB, not OpenCV's order.
    assert survey.queries[0].read()[0, 0, 0] > 150


def test_own_camera_layout_keeps_its_pixel_centres(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text('{"width": 64, "height": 48, "fx": 50, "fy": 50, "cx": 31.5, "cy": 23.5}')
    assert read_camera(path).cx == 31.5


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("camera.json", "{", "not JSON"),
        ("camera.json", '{"width": 64}', "not a camera"),
        ("camera.json", None, "cannot be read"),
        ("truth.csv", None, "no truth.csv"),
        ("truth.csv", "name,role,east_m\na.jpg,query,1\n", "line 2"),
        ("truth.csv", "name,role,east_m,north_m,up_m,qw,qx,qy,qz\na.jpg,query,1,2,nan,1,0,0,0\n", "line 2"),
        ("truth.csv", "name,role,east_m,north_m,up_m,qw,qx,qy,qz\na.jpg,model,1,2,3,1,0,0,0\n", "query"),
    ],
)
def test_damaged_surveys_are_named(tmp_path: Path, file: str, content: str | None, words: str) -> None:
    folder = write_survey(tmp_path / "s")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    with pytest.raises(EvaluationError, match=words):
        read_survey(folder)


def result(**changes: object) -> QueryResult:
    values: dict[str, object] = {
        "name": "q",
        "draw": 0,
        "prior_error_m": 20.0,
        "prior_error_deg": 5.0,
        "status": "accepted",
        "reason": "",
        "matches": 100,
        "inliers": 80,
        "reprojection_rms": 1.0,
        "error_m": 0.2,
        "error_deg": 0.1,
        "nees": 6.0,
        "sigma_m": 0.1,
        "milliseconds": {"total": 10.0},
    }
    return QueryResult(**{**values, **changes})  # type: ignore[arg-type]


def test_summary_counts_refused_and_false() -> None:
    nan = float("nan")
    evaluation = SiteEvaluation(
        (
            result(),
            result(error_m=0.8, nees=12.0),
            result(error_m=40.0, nees=9e9),
            result(status="few_inliers", error_m=nan, nees=nan, milliseconds={"total": 30.0, "match": 5.0}),
            # An impostor has no truth: its accept is false.
            result(error_m=nan),
        ),
        "s",
        "sift",
        LAW,
        0,
    )
    assert evaluation.within(0.5) == 0.2
    assert evaluation.within(1.0) == 0.4
    assert evaluation.false_accepts == 2
    assert evaluation.mean_nees == 9.0
    assert evaluation.stage_medians() == {"total": 10.0, "match": 5.0}
    text = json.dumps(evaluation.as_dict(), allow_nan=False)
    assert json.loads(text)["results"][3]["error_m"] is None


@pytest.mark.parametrize("form", ["numbers", "local", "geodetic", "quaternion", "file"])
def test_pose_formats_agree(form: str, tmp_path: Path) -> None:
    described = describe_pose(truth_pose(), FRAME)
    angles = {k: described[k] for k in ("heading", "pitch", "roll")}
    local = {k: described[k] for k in ("east", "north", "up")}
    geodetic = {k: described[k] for k in ("latitude", "longitude", "height")}
    text = {
        "numbers": ",".join(str(v) for v in (*local.values(), *angles.values())),
        "local": json.dumps({**local, **angles}),
        "geodetic": json.dumps({**geodetic, **angles}),
        "quaternion": json.dumps({**local, "quaternion": described["quaternion"]}),
        "file": str(tmp_path / "pose.json"),
    }[form]
    (tmp_path / "pose.json").write_text(json.dumps({"pose": described}))
    pose = parse_pose(text, FRAME)
    assert pose.distance_to(truth_pose()) < 1e-4
    assert pose.angle_to(truth_pose()) < 1e-6
    assert described["heading"] == pytest.approx(35.0)
    assert described["pitch"] == pytest.approx(-84.0)


@pytest.mark.parametrize("text", ["1,2,3", "{", '{"east": 1}', "nowhere.json", "1,2,3,4,-120,0", "1,2,x,4,5,6"])
def test_bad_poses_are_explained(text: str) -> None:
    with pytest.raises(RegistrationError, match=r"pose|attitude"):
        parse_pose(text, FRAME)


@needs_data
@pytest.mark.data
def test_caliterra_queries(tmp_path: Path) -> None:
    survey = tmp_path / "survey"
    survey.mkdir()
    source = DATA / "caliterra"
    for name in ("camera.json", "datum.json", "images", "site"):
        (survey / name).symlink_to(source / name)
    lines = (source / "truth.csv").read_text().splitlines()
    queries = [line for line in lines if ",query," in line][::8]
    (survey / "truth.csv").write_text("\n".join([lines[0], *queries]) + "\n")
    evaluation = evaluate_site(survey, "sift", seed=3, config=RegistrationConfig(), pictures=tmp_path / "p")
    assert len(evaluation.queries) == len(queries) == 4
    assert evaluation.within(1.0) == 1.0
    assert evaluation.median("error_m") < 0.4
    assert evaluation.mean_nees / 6.0 < 4.0
    picture = cv2.imread(str(next(iter(sorted((tmp_path / "p").glob("*.jpg"))))))
    assert picture.shape[1] > 3 * 600


@needs_data
@pytest.mark.data
def test_other_places_are_refused() -> None:
    law = (30.0, 10.0, 3.0)
    evaluation = evaluate_site(
        DATA / "caliterra", "xfeat", law, config=RegistrationConfig(), impostors=DATA / "brighton_beach"
    )
    assert len(evaluation.queries) == 25
    assert len(evaluation.accepted) == 0


@needs_data
@pytest.mark.data
def test_register_command_prints_a_pose_that_it_can_read(tmp_path: Path) -> None:
    import typer

    from geo_nav.commands.register import register

    app = typer.Typer()
    app.command()(register)
    photo = read_survey(DATA / "caliterra").queries[3]
    prior = json.dumps({"east": 0, "north": 0, "up": 0, **_offset(photo.T_map_camera)})
    arguments = [str(DATA / "caliterra"), str(photo.path), "--prior", prior, "--prior-error", "8,4,2"]
    arguments += ["--max-width", "640", "--picture", str(tmp_path / "m.png"), "--json", str(tmp_path / "r.json")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "r.json").read_text())
    found = parse_pose(str(tmp_path / "r.json"), FRAME)
    assert found.distance_to(photo.T_map_camera) < 0.6
    assert written["accepted"] is True
    assert len(written["covariance"]) == 36
    picture = cv2.imread(str(tmp_path / "m.png"))
    assert picture is not None
    # The frame beside the render, at the working width.
    assert picture.shape[1] >= 2 * 640


def _offset(truth: Pose) -> dict[str, object]:
    place = (truth.translation + np.array([4.0, -3.0, 1.0])).tolist()
    return dict(zip(("east", "north", "up"), place, strict=True)) | {"quaternion": truth.quaternion.tolist()}
