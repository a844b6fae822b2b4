import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.bench import tables
from geo_nav.evaluation.bench.cells import CellStore
from geo_nav.evaluation.bench.comparisons.side_by_side import MethodResult, as_dicts, summarise
from geo_nav.evaluation.bench.curves import draw_curves, sweep, trade_off
from geo_nav.evaluation.bench.options import BenchOptions, parse_frames
from geo_nav.evaluation.bench.pictures import choose
from geo_nav.evaluation.bench.results import QueryResult, Tally, score
from geo_nav.geodesy import Pose
from geo_nav.registration import AbsolutePose, Status

NAN = math.nan


def query(name: str, error: float, alarms: float, accepted: bool = True) -> QueryResult:
    status = "accepted" if accepted else "few_inliers"
    return QueryResult(
        name, 0, 20.0, 5.0, status, "", 100, 80, 1.0, error, 0.1, 6.0, 0.1, error / 0.1, alarms, {"total": 10.0}
    )


def test_a_position_error_is_told_in_sigmas_of_its_worst_direction() -> None:
    covariance = np.diag([0.01, 1.0, 4.0, 1e-4, 1e-4, 1e-4])
    truth = Pose(np.eye(3), np.array([10.0, 20.0, 30.0]))
    pose = Pose(np.eye(3), np.array([10.3, 20.0, 34.0]))
    found = AbsolutePose(
        0.0, Status.ACCEPTED, "", matches=50, inliers=40, T_map_camera_levelled=pose, levelled_covariance=covariance
    )
    result = score("q", 0, truth, found, truth)
    # 3 sigma east and 2 sigma up.
    assert result.error_sigmas == pytest.approx(math.hypot(3.0, 2.0))
    assert result.nees == pytest.approx(13.0)
    assert result.error_m == pytest.approx(math.hypot(0.3, 4.0))
    nowhere = score("q", 0, truth, found, None)
    assert nowhere.is_false_accept
    assert math.isnan(nowhere.error_m)


def test_the_gate_is_applied_after_the_run() -> None:
    weak = query("weak", 0.5, -2.0)
    assert weak.at_limit(-1.0).accepted
    refused = weak.at_limit(-4.0)
    assert refused.status == "few_inliers"
    assert "-2.0" in refused.reason
    assert query("strong", 0.5, -9.0).at_limit(-4.0).accepted


def test_results_survive_json() -> None:
    before = query("q", NAN, -3.5, accepted=False)
    after = QueryResult.from_dict(json.loads(json.dumps(before.as_dict(), allow_nan=False)))
    assert math.isnan(after.error_m)
    assert after.at_limit(-4.0) == after
    assert (after.name, after.log10_false_alarms, after.milliseconds) == ("q", -3.5, {"total": 10.0})


def test_trade_off_counts_right_and_false_at_each_limit() -> None:
    own = [query("a", 0.2, -50.0), query("b", 0.4, -5.0), query("c", 9.0, -3.0), query("d", NAN, 0.0, False)]
    wrong = [query("e", NAN, -6.0), query("f", NAN, -1.0), *[query("g", NAN, 2.0, False)] * 4]
    curve = trade_off(own, wrong, np.array([-60.0, -10.0, -5.5, -4.0, 0.0]))
    np.testing.assert_allclose(curve.accepted, [0.0, 0.25, 0.25, 0.5, 0.5])
    np.testing.assert_allclose(curve.false, [0.0, 0.0, 0.1, 0.1, 0.3])
    assert curve.tries == 10


def test_curves_are_drawn(tmp_path: Path) -> None:
    curve = trade_off([query("a", 0.2, -50.0)], [query("e", NAN, -6.0)], sweep())
    draw_curves({"sift": curve}, -4.0, "title", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_cell_is_made_once_and_again_when_its_options_change(tmp_path: Path) -> None:
    store, made = CellStore(tmp_path), []

    def make() -> dict[str, object]:
        made.append(1)
        return {"n": len(made)}

    assert store.get("cell", {"seed": 0}, make) == {"n": 1}
    assert CellStore(tmp_path).get("cell", {"seed": 0}, make) == {"n": 1}
    assert store.get("cell", {"seed": 1}, make) == {"n": 2}
    # Half a file, as a full disk leaves it, is no result.
    store.path("cell", {"seed": 0}).write_text('{"options": {')
    assert store.get("cell", {"seed": 0}, make) == {"n": 3}
    assert not list(tmp_path.glob("*.part"))


def test_pictures_show_the_typical_success_and_the_worst_failure() -> None:
    results = {
        "tight": [query("good", 0.1, -9.0), query("median", 0.3, -9.0), query("poor", 0.9, -9.0)],
        "wide": [query("refused", NAN, -1.0, False), query("false", 8.0, -9.0), query("worse", 30.0, -9.0)],
    }
    chosen = choose(results)
    assert (chosen["success"][0], chosen["success"][1].name) == ("tight", "median")
    assert (chosen["failure"][0], chosen["failure"][1].name) == ("wide", "worse")
    assert choose({"wide": results["wide"][:1]})["failure"][1].name == "refused"
    assert "failure" not in choose({"tight": results["tight"]})


def test_tables_count_wrong_places_and_name_each_false_accept() -> None:
    found = {("sift", "town", "noise"): [query("n1", NAN, -7.0), query("n2", NAN, -1.0), query("n3", NAN, 3.0, False)]}
    text = tables.wrong_table(found, -4.0)
    assert "| sift | noise | 3 | 0 | 1 | -1.0 |" in text
    assert "| sift | **all** | 3 | 0 | 1 | -1.0 |" in text
    assert "| sift | town | noise | n1 | -7.0 | – |" in tables.false_accepts(found, -4.0)
    assert tables.false_accepts(found, -8.0) == "No false accept."


def test_accuracy_table_tells_shares_of_all_queries() -> None:
    tally = Tally((query("a", 0.2, -9.0), query("b", 3.0, -9.0), query("c", 7.0, -9.0), query("d", NAN, 0.0, False)))
    row = tables.accuracy_table({("town", "sift"): tally}).splitlines()[2]
    assert row.startswith("| town | sift | 4 | 25% | 50% | 3 | 1 | 3.00 | 0.10 | 7.00 | 70.0 | 1.00 |")
    assert "1.00 (2)" in tables.nees_table({("town", "sift"): tally})


def test_a_stage_that_only_some_have_gets_a_column_before_the_total() -> None:
    slow = replace(query("a", 0.2, -9.0), milliseconds={"render": 5.0, "search": 30.0, "total": 40.0})
    text = tables.stage_table({("town", "sift"): Tally((slow,)), ("town", "xfeat"): Tally((query("b", 0.2, -9.0),))})
    assert text.splitlines()[0].endswith("| resect | search | total |")
    assert "| town | sift | – | 5 | – | – | – | 30 | 40 |" in text
    assert "| town | xfeat | – | – | – | – | – | – | 10 |" in text


def test_methods_are_compared_over_all_frames() -> None:
    rows = [
        MethodResult("m", "a", True, 0.5, 0.2, NAN, 10.0),
        MethodResult("m", "b", True, 8.0, 3.0, NAN, 30.0),
        MethodResult("m", "c", False, NAN, NAN, NAN, 20.0),
        MethodResult("m", "d", False, NAN, NAN, NAN, 20.0),
    ]
    summary = summarise(as_dicts(rows))["m"]
    assert (summary["answered"], summary["within_1_m"], summary["within_5_m_horizontal"]) == (2, 0.25, 0.5)
    assert (summary["false_accepts"], summary["false_accepts_horizontal"]) == (1, 0)
    assert summary["median_error_deg"] is None
    assert "| m | 4 | 2 | 25% | 25% | 50% | 4.25 | 1.60 | – | 1 | 0 | 8.0 | 20 |" in tables.comparison_table(
        {"m": summary}
    )


def test_options_are_checked(tmp_path: Path) -> None:
    frames = parse_frames(["10", "disk_lightglue=3"], quick=False)
    options = BenchOptions(tmp_path, frames=frames)
    assert (options.frames_of("sift"), options.frames_of("disk_lightglue")) == (10, 3)
    assert parse_frames([], quick=True)[""] < parse_frames([], quick=False)[""]
    with pytest.raises(EvaluationError, match="many"):
        parse_frames(["sift=many"], quick=False)
    with pytest.raises(EvaluationError, match="speed"):
        BenchOptions(tmp_path, parts=("speed",))
