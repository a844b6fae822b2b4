"""The report's series, pictures and tables; and the page itself in a real browser, where there is one."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from evaluation_helpers import EPOCH, T_BASE_CAMERA, true_state, write_run
from geo_nav.evaluation import EvaluationConfig, evaluate_run
from geo_nav.evaluation.evaluate import evaluate_recording
from geo_nav.evaluation.recording import Resources
from geo_nav.evaluation.report import render_report
from geo_nav.evaluation.report_figures import error_figure, timeline_figure
from geo_nav.evaluation.report_gallery import gallery, strip
from geo_nav.evaluation.report_map import map_figure
from geo_nav.evaluation.report_series import extremes, moments, verdict
from geo_nav.evaluation.report_tables import ablations, tables, verdict_sentence

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ONE_PICTURE = 7 * 5 * 0.2
"""A picture is recorded of every 35th frame of those that are accepted, and of some refused, s."""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("run"), duration=40.0, imu_rate=50.0, odometry_noise=0.2)
    for name, numbers in (("imu_only", '{"rms_3d_m": 55.5}'), ("no_gates", '{"rms_3d_m": 3.25}'), ("torn", "{")):
        (run / "ablations" / name).mkdir(parents=True)
        (run / "ablations" / name / "summary.json").write_text(numbers)
    return run


@pytest.fixture(scope="module")
def evaluation(run_dir):
    # The made-up fixes are off by 0.3 m an axis, so that some of them are further off than this.
    return evaluate_run(run_dir, EvaluationConfig(gallery=8, false_fix_distance=0.6, segment_seconds=10.0))


@pytest.fixture(scope="module")
def page(evaluation):
    return render_report(evaluation)


def test_a_long_series_keeps_its_peaks():
    rng = np.random.default_rng(3)
    values = np.sin(np.linspace(0, 20, 120_000)) + rng.normal(0, 0.01, 120_000)
    values[[7, 54_321, 119_990]] = 9.0, -8.0, 7.0
    values[1000:3000] = np.nan
    kept = extremes(values, 500)
    assert len(kept) <= 1002
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (0, 119_999)
    assert {7, 54_321, 119_990} <= set(kept.tolist())
    # The gap stays one: no index of its columns but NaN ones.
    assert np.isnan(values[kept]).any()
    np.testing.assert_array_equal(extremes(values[:1000], 500), np.arange(1000))


def test_moments_say_what_was_true_then(evaluation):
    told = moments(evaluation)
    track = {key: np.array(values, dtype=object if key == "state" else float) for key, values in told["track"].items()}
    np.testing.assert_allclose(np.diff(track["t"])[:-1], 0.2, atol=1e-3)  # the last one is where the run ends
    assert track["t"][0] == pytest.approx(-10.0, abs=1e-3)
    k = int(np.abs(track["t"] - 15.0).argmin())
    stamp = evaluation.begin + track["t"][k]
    estimate = evaluation.recording.odometry.poses.at(np.array([stamp])).positions[0]
    assert (track["east"][k], track["north"][k]) == pytest.approx(tuple(estimate[:2]), abs=0.02)
    true_place = true_state(stamp - EPOCH)[0].translation
    assert track["error"][k] == pytest.approx(float(np.linalg.norm(estimate - true_place)), abs=0.02)
    assert track["sigma"][k] == pytest.approx(np.sqrt(0.5**2 + 0.5**2 + 0.8**2), abs=1e-3)
    # COASTING from 20.5 s to 24 s of the run, then LOST for one second; the cut is at 10 s.
    assert {str(s) for s, t in zip(track["state"], track["t"], strict=True) if 10.6 < t < 13.9} == {"COASTING"}
    assert {str(s) for s, t in zip(track["state"], track["t"], strict=True) if 14.1 < t < 14.9} == {"LOST"}
    assert np.isnan(track["error"][track["t"] < -0.2]).all()
    counts = {word: told["fixes"]["verdict"].count(word) for word in ("accepted", "false", "rejected")}
    f = evaluation.fix_statistics
    assert counts == {"accepted": f.accepted - f.false_fixes, "false": f.false_fixes, "rejected": f.rejected}
    assert f.false_fixes > 0


def test_the_map_shows_paths_fixes_and_ellipses_where_they_are(evaluation):
    figure = map_figure(evaluation, None)
    traces = {trace.name: trace for trace in figure.data}
    truth, own = traces["truth"], traces["geo_nav"]
    np.testing.assert_allclose(np.hypot(truth.x, truth.y), 300.0, atol=0.1)
    assert len(own.text) == len(own.x) == len(own.customdata)
    limit = evaluation.config.false_fix_distance
    of_verdict = [s for s in evaluation.fixes if verdict(s, limit) == "false"]
    assert len(traces["false fix"].x) == len(of_verdict) > 0
    seconds = np.array(traces["fix accepted"].customdata, dtype=float)
    true_cameras = [true_state(evaluation.begin - EPOCH + t)[0] @ T_BASE_CAMERA for t in seconds]
    off = np.hypot(*(np.column_stack([traces["fix accepted"].x, traces["fix accepted"].y])
                     - [p.translation[:2] for p in true_cameras]).T)  # fmt: skip
    assert off.max() < limit
    ellipse = next(trace for trace in figure.data if trace.name.startswith("95 %"))
    first = np.column_stack([ellipse.x, ellipse.y])[:25].astype(float)
    # 95 % of a plane Gaussian of 0.5 m an axis lie within 2.448 sigma
    np.testing.assert_allclose(np.linalg.norm(first - first[:-1].mean(axis=0), axis=1), 2.4477 * 0.5, atol=1e-3)


def test_the_timeline_has_a_lane_for_each_gate_and_a_bar_for_each_state(evaluation):
    figure = timeline_figure(evaluation)
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    assert set(bars) == {"INITIALIZING", "TRACKING", "COASTING", "LOST"}
    assert (bars["COASTING"].base[0], bars["COASTING"].x[0]) == pytest.approx((10.5, 3.5), abs=1e-6)
    assert "made up" in bars["LOST"].hovertext[0]
    lanes = {t.name: len(t.x) for t in figure.data if t.type == "scatter" and t.marker.symbol == "line-ns"}
    f = evaluation.fix_statistics
    assert lanes["fix accepted"] == f.accepted - f.false_fixes
    assert {name.replace(" ", "_"): lanes[name] for name in ("few inliers", "far from prior")} == f.rejected_by_gate
    assert lanes["false fix"] == f.false_fixes
    assert set(lanes) | {"state", "odometry gap"} == set(figure.layout.yaxis.categoryarray)


def test_a_gap_of_the_odometry_is_a_bar(evaluation):
    recording = evaluation.recording
    track, poses = recording.odometry, recording.odometry.poses
    kept = (poses.stamps < EPOCH + 20.0) | (poses.stamps > EPOCH + 21.5)
    broken = replace(
        track,
        poses=poses.select(kept),
        received=track.received[kept],
        velocities=track.velocities[kept],
        covariances=track.covariances[kept],
    )
    figure = timeline_figure(evaluate_recording(replace(recording, odometry=broken)))
    gap = next(trace for trace in figure.data if trace.type == "bar" and trace.y[0] == "odometry gap")
    assert (gap.base[0], gap.x[0]) == pytest.approx((9.98, 1.54), abs=0.03)


def test_the_gallery_has_every_kind_and_the_strip_spans_the_run(evaluation):
    shown = gallery(evaluation)
    assert len(shown) == 8
    titles = [picture.title for picture in shown]
    assert {"false", "among the best", "among the worst accepted"} <= set(titles)
    assert {"refused: few inliers"} <= set(titles)
    assert {p.verdict for p in shown} == {"accepted", "rejected", "false"}
    assert all(p.uri.startswith("data:image/jpeg;base64,") for p in shown)
    small = strip(evaluation)
    times = [p.seconds for p in small]
    assert times == sorted(times)
    assert times[0] < 2 * ONE_PICTURE
    assert times[-1] > evaluation.end - evaluation.begin - 2 * ONE_PICTURE
    assert all(len(p.uri) < len(q.uri) for p, q in zip(small, shown, strict=False))


def test_a_damaged_picture_is_left_out_of_the_strip(evaluation):
    pictures = [(stamp, jpeg[:20]) for stamp, jpeg in evaluation.recording.pictures]
    damaged = replace(evaluation, recording=replace(evaluation.recording, pictures=pictures))
    assert strip(evaluation)
    assert strip(damaged) == []


def test_the_first_sentence_says_the_worst(evaluation):
    said = verdict_sentence(evaluation)
    f = evaluation.fix_statistics
    assert f"{f.false_fixes} of its {f.accepted} fixes were false" in said
    inside = evaluation.consistency.inside_3_sigma_all
    assert ("kept to" in said) == (inside > 0.9919)
    timid = replace(evaluation.consistency, inside_3_sigma_all=0.5)
    assert "did not keep to the accuracy" in verdict_sentence(replace(evaluation, consistency=timid))


def test_ablations_stand_beside_the_run(evaluation, page):
    table, problems = ablations(evaluation)
    assert table.columns == ("", "this run", "imu only", "no gates")
    row = next(row for row in table.rows if row[0] == "3D error, RMS")
    assert row[2:] == ("55.5\u00a0m", "3.25\u00a0m")
    assert len(problems) == 1
    assert "<th>no gates</th>" in page
    assert "torn/summary.json cannot be read" in page


def test_tables_of_segments_drift_and_levels(evaluation):
    by_title = {table.title: table for table in tables(evaluation)}
    assert [row[0] for row in by_title["By time"].rows] == ["0 – 10 s", "10 – 20 s", "20 – 30 s"]
    levels = {row[0]: row[1:] for row in by_title["Protection levels"].rows}
    assert set(levels) == {"horizontal 95 %", "horizontal 99.9 %", "vertical 95 %", "vertical 99.9 %"}
    assert levels["horizontal 99.9 %"][1] == "1.50\u00a0m"
    assert "over 10 m" in [row[0] for row in by_title["Drift over a stretch"].rows]
    assert "Where the time went" not in by_title


def test_the_profile_names_the_longest_stage_first(evaluation):
    info = evaluation.recording.info.model_copy(update={"resources": Resources(by_stage={"match": 3.0, "render": 9.0})})
    told = tables(replace(evaluation, recording=replace(evaluation.recording, info=info)))
    profile = next(table for table in told if table.title == "Where the time went")
    assert profile.rows == [("render", "9.00\u00a0s", "75.0%"), ("match", "3.00\u00a0s", "25.0%")]


def test_truth_without_orientation_has_no_heading_but_a_report(evaluation):
    bare = evaluate_recording(replace(evaluation.recording, truth_has_orientation=False, pictures=[]))
    titles = [axis.title.text for axis in error_figure(bare).select_yaxes()]
    assert "heading (°)" not in titles
    assert "horizontal (m)" in titles
    assert "heading (°)" in [axis.title.text for axis in error_figure(evaluation).select_yaxes()]
    assert "IMU only, and geo_nav" in render_report(bare)


def test_odometry_and_truth_alone_make_a_report(evaluation):
    recording = evaluation.recording
    none = np.zeros(0)
    status = replace(
        recording.status,
        stamps=none,
        states=none.astype(np.int64),
        seconds_since_fix=none,
        reasons=[],
        levels=np.zeros((0, 4)),
        consistency=[],
    )
    odometry = replace(recording.odometry, covariances=np.full_like(recording.odometry.covariances, np.nan))
    imu = replace(recording.imu, stamps=none, received=none)
    bare = replace(
        recording, status=status, odometry=odometry, imu=imu, gps=np.zeros((0, 4)), fixes=[], pictures=[], origin=None
    )
    evaluated = evaluate_recording(bare)
    html = render_report(evaluated)
    assert "No camera frame was registered" in html
    assert "no IMU was recorded" in html
    assert 'id="registration"' not in html
    assert set(moments(evaluated)["track"]["state"]) == {"unknown"}
    assert set(moments(evaluated)["track"]["sigma"]) == {None}


def test_the_page_loads_nothing_from_elsewhere_and_ten_minutes_stay_small(page, evaluation):
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?!data:)', page)
    data = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.S)[1]
    assert set(json.loads(data)) == {
        "map", "timeline", "errors", "odometry_histogram", "fix_histogram", "registration",
    }  # fmt: skip
    n = 120_000
    stamps = np.linspace(evaluation.begin, evaluation.end, n)
    noisy = np.random.default_rng(1).normal(size=(n, 3))
    errors = replace(evaluation.errors, stamps=stamps, position=noisy, rotation=noisy, heading=noisy[:, 0])
    long = replace(evaluation, errors=errors, sigma=np.abs(np.tile(noisy, 2)), levels=np.abs(np.tile(noisy, 2))[:, :4])
    assert len(error_figure(long).to_json()) < 1_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open the page with")
def test_in_a_browser_a_time_in_the_address_or_a_click_marks_place_and_picture(page, tmp_path, evaluation):
    # The marks are drawn with the next frame, so this looks a little after the page says that it is drawn.
    probe = """<script>
    const look = () => {
      const told = document.body.dataset;
      const marked = (name) => document.getElementById(name).querySelector(".mark").style;
      const map = document.getElementById("map")._fullLayout, errors = document.getElementById("errors")._fullLayout;
      told.place = document.getElementById("moment").textContent;
      told.ring = map.xaxis.p2d(parseFloat(marked("map").left) - map.xaxis._offset) + " " +
        map.yaxis.p2d(parseFloat(marked("map").top) - map.yaxis._offset);
      told.cursor = errors.xaxis.p2d(parseFloat(marked("errors").left) - errors.xaxis._offset);
      document.querySelector(".gallery figure:last-child img").click();
      told.clicked = location.hash;
      told.open = document.getElementById("large").open;
    };
    const wait = setInterval(() => {
      if (document.body.dataset.drawn !== "true") return;
      clearInterval(wait);
      setTimeout(look, 1000);
    }, 50);
    </script></body>"""
    file = tmp_path / "report.html"
    file.write_text(page.replace("</body>", probe))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000", "--dump-dom"]
    shown = subprocess.run([*command, f"file://{file}#t=12.4"], capture_output=True, text=True, timeout=200, check=True)
    dom = shown.stdout
    assert re.search(r'<p id="broken" hidden="">\s*</p>', dom), re.search(r'<p id="broken".*?</p>', dom, re.S)[0]
    data = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))
    assert data["drawn"] == "true"
    assert "12.4 s since GPS was cut" in data["place"]
    assert "COASTING" in data["place"]
    place = evaluation.recording.odometry.poses.at(np.array([evaluation.begin + 12.4])).positions[0]
    assert [float(x) for x in data["ring"].split()] == pytest.approx(place[:2].tolist(), abs=0.1)
    assert float(data["cursor"]) == pytest.approx(12.4, abs=1e-3)
    assert data["open"] == "true"
    assert data["clicked"] == f"#t={gallery(evaluation)[-1].seconds:.1f}"
    assert dom.count("main-svg") >= 5
    assert 'data-title="Pan"' in dom
    # plotly's button that would send a figure to a server
    assert "Share chart" not in re.sub(r"<script.*?</script>", "", dom, flags=re.S)
