"""Comparison of scored runs: which way is worse, what is allowed, and the exit status that a CI sees."""

import json

import pytest
import typer
from typer.testing import CliRunner

from geo_nav.commands.compare import compare as command
from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.compare import METRICS, Tolerance, as_dict, compare, parse_tolerance
from geo_nav.evaluation.compare_page import cells

NUMBERS = {
    "rms_3d_m": 1.0,
    "max_3d_m": 3.0,
    "registered_share": 0.9,
    "false_fixes": 0,
    "nees_position": 0.5,
    "rms_heading_deg": None,
    "outage_s": 80.0,
    "site": "s",
}


def write(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(NUMBERS | changes))
    return folder


@pytest.fixture
def a(tmp_path):
    return write(tmp_path / "a")


def verdicts(a, b, **options):
    (run,) = compare(a, b, **options)
    return {row.metric.key: row.verdict for row in run.rows}


def test_a_run_is_as_good_as_itself(a):
    (run,) = compare(a, a / "summary.json")
    assert {row.verdict for row in run.rows} == {"same"}
    assert {row.metric.key for row in run.rows} == {
        "rms_3d_m", "max_3d_m", "registered_share", "false_fixes", "nees_position",
    }  # fmt: skip
    assert run.regressions == 0


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("rms_3d_m", 1.04, "same"),
        ("rms_3d_m", 1.06, "worse"),
        ("rms_3d_m", 0.9, "better"),
        ("registered_share", 0.895, "same"),
        ("registered_share", 0.88, "worse"),
        ("registered_share", 0.95, "better"),
        ("false_fixes", 1, "worse"),
        ("nees_position", 2.0, "same"),  # as far from 1 as a half
        ("nees_position", 1.0, "better"),
        ("nees_position", 2.3, "worse"),
        ("nees_position", 0.4, "worse"),
        ("nees_position", 0.0, "worse"),
        ("max_3d_m", None, "missing"),
        ("rms_heading_deg", 0.2, "new"),
    ],
)
def test_each_metric_knows_which_way_is_worse(a, tmp_path, key, value, verdict):
    b = write(tmp_path / "b", **{key: value})
    found = verdicts(a, b)
    assert found[key] == verdict
    assert {other for other in found if other != key and found[other] != "same"} == set()
    (run,) = compare(a, b)
    assert run.regressions == (verdict in ("worse", "missing"))


def test_small_numbers_have_a_floor(tmp_path):
    a, b = write(tmp_path / "a", rms_3d_m=0.05), write(tmp_path / "b", rms_3d_m=0.065)
    assert verdicts(a, b)["rms_3d_m"] == "same"
    assert verdicts(a, b, tolerances={"": Tolerance(relative=0.05)})["rms_3d_m"] == "worse"


def test_a_stated_tolerance_replaces_the_default(a, tmp_path):
    b = write(tmp_path / "b", rms_3d_m=1.15, max_3d_m=3.4)
    assert verdicts(a, b)["rms_3d_m"] == verdicts(a, b)["max_3d_m"] == "worse"
    one = dict([parse_tolerance("rms_3d_m=0.2")])
    assert (verdicts(a, b, tolerances=one)["rms_3d_m"], verdicts(a, b, tolerances=one)["max_3d_m"]) == ("same", "worse")
    both = dict([parse_tolerance("20%"), parse_tolerance("rms_3d_m=0.1")])
    found = verdicts(a, b, tolerances=both)
    assert (found["rms_3d_m"], found["max_3d_m"]) == ("worse", "same")


@pytest.mark.parametrize("text", ["0.1", "rms_3d_m", "=5%", "five%", "-5%", "rms_3d_m=-1", "nan%", ""])
def test_a_tolerance_that_says_nothing_is_refused(text):
    with pytest.raises(EvaluationError, match="tolerance"):
        parse_tolerance(text)


def test_runs_of_two_folders_are_matched_by_name(tmp_path):
    for name in ("one", "two", "gone"):
        write(tmp_path / "a" / name)
    write(tmp_path / "b" / "one")
    write(tmp_path / "b" / "two", false_fixes=3)
    write(tmp_path / "b" / "late")
    runs = {run.name: run for run in compare(tmp_path / "a", tmp_path / "b")}
    assert {name: run.regressions for name, run in runs.items()} == {"one": 0, "two": 1, "gone": 1, "late": 0}
    told = as_dict(list(runs.values()))
    assert told["regressions"] == 2
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_cannot_be_compared_is_told(a, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match="holds no summary"):
        compare(a, tmp_path / "empty")
    with pytest.raises(EvaluationError, match="holds no summary"):
        compare(tmp_path / "nowhere", a)
    write(tmp_path / "many" / "one")
    write(tmp_path / "others" / "two")
    with pytest.raises(EvaluationError, match="one is a run"):
        compare(a, tmp_path / "many")
    with pytest.raises(EvaluationError, match="no run of the same name"):
        compare(tmp_path / "others", tmp_path / "many")
    with pytest.raises(EvaluationError, match="no metric is called speed"):
        compare(a, a, ["speed"])
    with pytest.raises(EvaluationError, match="neither of the two runs knows fix_nees"):
        compare(a, a, ["rms_3d_m", "fix_nees"])
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(EvaluationError, match="no JSON object"):
        compare(a, tmp_path / "list.json")
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(EvaluationError, match="cannot be read"):
        compare(a, tmp_path / "torn.json")


def test_flights_that_are_not_alike_are_noted(a, tmp_path):
    (run,) = compare(a, write(tmp_path / "b", site="other", outage_s=600.0))
    assert run.notes == ("the site model differs: s → other", "the scored times differ: 80.0 s → 600.0 s")


def test_every_default_metric_is_in_the_summary_of_a_run(tmp_path):
    from evaluation_helpers import write_run
    from geo_nav.evaluation import evaluate_run, summary
    from geo_nav.evaluation.compare import FURTHER_METRICS

    numbers = summary(evaluate_run(write_run(tmp_path, duration=14.0, imu_rate=20.0)))
    keys = [metric.key for metric in (*METRICS, *FURTHER_METRICS)]
    assert [key for key in keys if key not in numbers] == []
    assert len(set(keys)) == len(keys)


def test_the_cells_of_a_row(a, tmp_path):
    (run,) = compare(a, write(tmp_path / "b", rms_3d_m=1.1), ["rms_3d_m"])
    assert cells(run.rows[0]) == (
        "3D error, RMS", "1\u00a0m", "1.1\u00a0m", "+0.1\u00a0m (+10.0%)", "0.05\u00a0m", "worse",
    )  # fmt: skip


def test_the_exit_status_is_the_verdict(a, tmp_path):
    from geo_nav import GeoNavError

    app = typer.Typer()
    app.command()(command)
    good, bad = write(tmp_path / "good", rms_3d_m=0.5), write(tmp_path / "bad", rms_3d_m=1.5)
    shown = CliRunner().invoke(app, [str(a), str(good)])
    assert shown.exit_code == 0, shown.output
    assert "no regression" in shown.output
    shown = CliRunner().invoke(app, [str(a), str(bad), "--html", str(tmp_path / "o" / "c.html")])
    assert shown.exit_code == 1, shown.output
    assert "1 regression(s)" in shown.output
    html = (tmp_path / "o" / "c.html").read_text()
    assert "1 regression<" in html
    assert 'class="worse"' in html
    shown = CliRunner().invoke(
        app, [str(a), str(bad), "--tolerance", "60%", "--json", "--metrics", "rms_3d_m,max_3d_m"]
    )
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.output)
    assert [m["key"] for m in told["runs"][0]["metrics"]] == ["rms_3d_m", "max_3d_m"]
    shown = CliRunner().invoke(app, [str(a), str(tmp_path / "nowhere")])
    # `geo-nav` itself turns this into one line and exit status 2.
    assert isinstance(shown.exception, GeoNavError)
