import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench_helpers import SyntheticSet
from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.bench import run as run_module
from geo_nav.evaluation.bench.accuracy import at_limit, measure_accuracy
from geo_nav.evaluation.bench.comparisons.gisnav import GisNav
from geo_nav.evaluation.bench.comparisons.homography import Homography
from geo_nav.evaluation.bench.comparisons.request import Request, nadir_view
from geo_nav.evaluation.bench.latency import measure_latency
from geo_nav.evaluation.bench.laws import LAWS
from geo_nav.evaluation.bench.options import BenchOptions
from geo_nav.evaluation.bench.report import write_report
from geo_nav.evaluation.bench.run import run_bench
from geo_nav.evaluation.bench.sources import SetSource, find_sources
from geo_nav.evaluation.bench.station import Station, frame_queries
from geo_nav.evaluation.bench.wrong_places import (
    bare_field,
    least_distance,
    measure_wrong_places,
    noise_picture,
    wrong_queries,
)
from geo_nav.geodesy import Pose
from geo_nav.matching import create_matcher
from geo_nav.registration import RegistrationConfig
from geo_nav.registration.gimbal import rotation_from_gimbal
from geo_nav.registration.views import plan_views

LIMIT = RegistrationConfig().max_log10_false_alarms


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    with Station(SyntheticSet()) as made:
        yield made


def test_height_above_ground_is_that_of_the_surface_below(station: Station) -> None:
    pose = station.frame_set.places()[0]
    view = station.renderer.render(station.frame_set.camera, pose)
    # The camera looks nearly straight down: its middle pixel is the ground below, 1.5 m to the side.
    assert station.height_above_ground(pose) == pytest.approx(float(view.depth[240, 320]), abs=1.0)


def test_a_prior_depends_on_seed_frame_and_draw_alone(station: Station) -> None:
    frames = list(station.frame_set.frames(3))
    all_of_them = [station.prior(q)[0] for q in frame_queries(frames, LAWS["wide"], 5)]
    alone = station.prior(frame_queries(frames[2:], LAWS["wide"], 5)[0])[0]
    np.testing.assert_array_equal(all_of_them[2].matrix, alone.matrix)
    other = station.prior(frame_queries(frames[2:], LAWS["wide"], 6)[0])[0]
    assert other.distance_to(alone) > 1.0


def test_frames_are_found_from_tight_and_wide_priors(station: Station) -> None:
    for prior in LAWS:
        steps: list[int] = []
        results = measure_accuracy(station, "sift", prior, 2, 0, {}, lambda: steps.append(1))  # noqa: B023
        tally = at_limit(results, LIMIT)
        assert len(steps) == 2
        assert tally.within(1.0) == 1.0
        assert tally.median("log10_false_alarms") < -20.0


def test_wrong_places_are_refused_and_other_places_are_far(station: Station) -> None:
    for kind in ("other_place", "noise", "bare_field"):
        results = measure_wrong_places(station, kind, "sift", 1, 2, 0, {}, [], lambda: None)
        assert len(results) == 1
        assert at_limit(results, LIMIT).false_accepts == 0
    for query in wrong_queries(station, "other_place", 6, 4, 0, []):
        assert query.truth is not None
        # One and a half footprints of 40 m · 640 / 500.
        assert query.place.distance_to(query.truth) > 70.0
    level = Pose(rotation_from_gimbal(0.0, 0.0, 0.0), np.array([0.0, 0.0, 20.0]))
    assert least_distance(station, level) == 100.0
    assert wrong_queries(station, "impostor", 6, 4, 0, []) == []
    turned = wrong_queries(station, "rotated", 1, 4, 0, [])[0]
    assert turned.truth is not None
    assert turned.truth.angle_to(turned.place) == pytest.approx(np.pi)


def test_drawn_pictures_are_what_they_are_called() -> None:
    size = (120, 160)
    for draw in (noise_picture, bare_field):
        first, second = (draw(size, np.random.default_rng(seed)) for seed in (1, 2))
        assert first.shape == (*size, 3)
        assert 3.0 < first.std() < 90.0
        assert np.abs(np.corrcoef(first[..., 0].ravel(), second[..., 0].ravel())[0, 1]) < 0.4


def request_of(station: Station, matcher: str = "sift") -> tuple[Request, Station]:
    frame = next(iter(station.frame_set.frames(1)))
    query = frame_queries([frame], LAWS["tight"], 0)[0]
    prior, covariance = station.prior(query)
    made = create_matcher(matcher)
    return Request(
        frame.read(), station.frame_set.camera, prior, covariance, station.renderer, made, station.frame_set.config, 0.0
    ), station


def test_nadir_view_is_a_map_turned_to_the_frames_heading(station: Station) -> None:
    request, _ = request_of(station)
    camera, prior = request.camera, request.T_map_camera_prior
    plan = plan_views(camera, prior, request.covariance, 42.0, request.config)
    view = nadir_view(station.renderer, camera, plan, prior, 42.0)
    middle = [(view.camera.width - 1) / 2, (view.camera.height - 1) / 2]
    points, lifted = view.lift([middle, [middle[0] + 100.0, middle[1]]])
    assert lifted.all()
    aim = prior.transform(np.array([0.0, 0.0, 42.0]))
    np.testing.assert_allclose(points[0, :2], aim[:2], atol=0.05)
    # 100 pixels to the right are 100 ground pixels along the frame's own rows.
    step = points[1] - points[0]
    assert np.hypot(step[0], step[1]) == pytest.approx(100 * 42.0 / camera.fx, rel=0.01)
    row = prior.rotation[:2, 0] / np.linalg.norm(prior.rotation[:2, 0])
    assert float(step[:2] @ row) / np.hypot(step[0], step[1]) > 0.99


def test_the_other_methods_find_an_easy_frame(station: Station) -> None:
    truth = station.frame_set.places()[0]
    request, _ = request_of(station)
    solved = GisNav().locate(request)
    assert solved.T_map_camera is not None
    assert solved.T_map_camera.distance_to(truth) < 2.0
    flat = Homography(plumb=True).locate(request)
    assert flat.T_map_camera is not None
    plan = np.linalg.norm((flat.T_map_camera.translation - truth.translation)[:2])
    assert plan < 3.0
    assert flat.T_map_camera.translation[2] == request.T_map_camera_prior.translation[2]
    # The middle of the picture lies 1.5 m ahead of the camera here: wildnav's rule takes it for the camera's place.
    centre = Homography(plumb=False).locate(request)
    assert centre.T_map_camera is not None
    assert np.linalg.norm((centre.T_map_camera.translation - truth.translation)[:2]) < 5.0
    # What they share is made once and charged to both.
    assert flat.milliseconds > 0.5 * solved.milliseconds


def test_hloc_chain_finds_an_easy_frame(station: Station) -> None:
    pytest.importorskip("pycolmap")
    from geo_nav.evaluation.bench.comparisons.hloc_chain import HlocChain

    request, _ = request_of(station)
    solved = HlocChain().locate(request)
    assert solved.T_map_camera is not None
    assert solved.T_map_camera.distance_to(station.frame_set.places()[0]) < 0.5


def test_latency_is_told_by_stage(station: Station) -> None:
    told = measure_latency(station, "sift", 3, 0, {}, lambda: None)
    stages = told["median_milliseconds"]
    assert told["frames"] == 3
    assert {"render", "extract", "match", "resect", "total"} <= set(stages)
    assert max(v for k, v in stages.items() if k != "total") < stages["total"]
    assert told["total_90_percent"] >= stages["total"]


def test_a_run_writes_its_files_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[SyntheticSet] = []

    def open_set() -> SyntheticSet:
        opened.append(SyntheticSet())
        return opened[-1]

    source = SetSource("synthetic", {"side": 240}, RegistrationConfig(), (), False, open_set)
    monkeypatch.setattr(run_module, "find_sources", lambda options, skipped: ([source], 1))
    options = BenchOptions(
        tmp_path,
        matchers=("sift",),
        default_matcher="sift",
        priors=("tight",),
        parts=("accuracy", "wrong-places", "latency"),
        frames={"": 2},
        tries=5,
    )
    done: list[tuple[int, int]] = []
    page = write_report(run_bench(options, lambda what, n, total: done.append((n, total))))
    # Two frames, six kinds of one try, two frames for latency after two to warm up.
    assert done[-1][1] == 10
    text = (tmp_path / "results.md").read_text()
    assert re.search(r"\| synthetic \| sift \| 2 \| 100% \| 100% \| 2 \| 0 \|", text)
    assert "| sift | **all** | 5 |" in text
    # There is no other survey here.
    assert "- wrong-places-synthetic-sift-impostor: the set has nothing of the kind to offer" in text
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["accuracy"][0]["within_1_m"] == 1.0
    assert content["curves"]["tight"]["sift"]["accepted"][-1] == 1.0
    for _, file in [*re.findall(r'(src)="([^"]+)"', page.read_text())]:
        picture = cv2.imread(str(tmp_path / file))
        assert picture is not None
        assert min(picture.shape[:2]) > 100, file
    assert (tmp_path / "contact.jpg").is_file()
    assert [s.closed for s in opened] == [True]
    write_report(run_bench(options, lambda *_: None))
    assert len(opened) == 1
    assert (tmp_path / "results.md").read_text() == text


def test_absent_surveys_are_told_and_unknown_sets_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEO_NAV_DATA", str(tmp_path))
    skipped: list[str] = []
    sources, available = find_sources(BenchOptions(tmp_path, sets=("fog",)), skipped)
    # With a simulated set come the bare fields, for wrong places alone.
    assert [(s.name, s.wrong_places_only) for s in sources] == [("fog", False), ("bare_fields", True)]
    assert available == 9
    assert len(skipped) == 2
    assert "caliterra" in skipped[0]
    with pytest.raises(EvaluationError, match="mist"):
        find_sources(BenchOptions(tmp_path, sets=("mist",)), [])
