"""The words and tables of the report that are made from a run's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geo_nav.evaluation.compare import METRICS, known_number, read_summary
from geo_nav.evaluation.compare_page import shown
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.segments import Segment
from geo_nav.evaluation.summary import number, percent, summary

_HONEST_SHARE = math.erf(3.0 / math.sqrt(2.0)) ** 3
"""Share of errors with all three axes inside three sigma, if Gaussian and honest."""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: above it.
        note: what it shows, in words.
        columns: their heads; the first is the rows' label.
        rows: cells.
    """

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def verdict_sentence(evaluation: RunEvaluation) -> str:
    """What a stranger should know first."""
    s, f, alone = evaluation.statistics, evaluation.fix_statistics, evaluation.imu_only_statistics
    words = [f"geo_nav was never further than {number(s.max_3d_m, 'm')} from the truth"]
    if alone:
        words[0] += f", where the IMU alone went astray by {number(alone.max_3d_m, 'm')}"
    if not f.accepted:
        words.append("No camera frame was registered")
    elif f.judged:
        none = f"None of its {f.accepted} fixes was false"
        words.append(none if f.false_fixes == 0 else f"{f.false_fixes} of its {f.accepted} fixes were false")
    inside = evaluation.consistency.inside_3_sigma_all
    if math.isfinite(inside):
        held = "kept to" if inside >= _HONEST_SHARE else "did not keep to"
        words.append(f"It {held} the accuracy that it claimed: {percent(inside)} of its errors lay inside three sigma")
    return ". ".join(words) + "."


def tiles(evaluation: RunEvaluation) -> list[tuple[str, str, str]]:
    """Value, label and remark of the numbers on top of the page."""
    s, f, t = evaluation.statistics, evaluation.fix_statistics, evaluation.timing
    alone = evaluation.imu_only_statistics
    beside = f"IMU only: {number(alone.rms_3d_m, 'm')}" if alone else "no IMU was recorded"
    worst = f"IMU only: {number(alone.max_3d_m, 'm')}" if alone else ""
    share = "–" if math.isnan(f.registered_share) else f"{f.registered_share:.0%}"
    false = str(f.false_fixes) if f.judged or not f.accepted else "–"
    return [
        (number(s.rms_3d_m, "m"), "3D error, RMS", beside),
        (number(s.max_3d_m, "m"), "greatest 3D error", worst),
        (share, "of the camera's frames registered", f"{f.accepted} of {f.camera_frames}"),
        (false, "false fixes", f"accepted, yet off by > {evaluation.config.false_fix_distance:g} m"),
        (number(t.odometry_hz, "Hz"), "odometry", f"IMU: {number(t.imu_hz, 'Hz')}"),
        (
            percent(evaluation.consistency.inside_3_sigma_all),
            "of errors inside 3σ",
            f"{_HONEST_SHARE:.1%} if Gaussian and honest",
        ),
    ]


def tables(evaluation: RunEvaluation) -> list[Table]:
    """The tables below the figures; one without rows is left out."""
    out = [
        _segments("By time", "Parts of equal length in time.", "s", evaluation.by_time, evaluation),
        _segments("By path", "Parts of equal length of the true path.", "m", evaluation.by_path, evaluation),
        _relative(evaluation),
        _protection(evaluation),
        _profile(evaluation),
    ]
    return [table for table in out if table.rows]


def ablations(evaluation: RunEvaluation) -> tuple[Table | None, list[str]]:
    """The run beside each ``ablations/<name>/summary.json`` in its folder, and what of them could not be read."""
    columns, problems = {"this run": summary(evaluation)}, []
    for path in sorted((Path(evaluation.recording.run_dir) / "ablations").glob("*/summary.json")):
        try:
            columns[path.parent.name.replace("_", " ")] = read_summary(path)
        except EvaluationError as error:
            problems.append(str(error))
    if len(columns) == 1:
        return None, problems
    rows = []
    for metric in METRICS:
        values = [known_number(numbers, metric) for numbers in columns.values()]
        if any(value is not None for value in values):
            rows.append((metric.label, *(shown(value, metric.unit) for value in values)))
    note = "The same recording again, with a part left out: what is that part worth?"
    return Table("Ablations", note, ("", *columns), rows), problems


def _segments(title: str, note: str, unit: str, parts: Sequence[Segment], evaluation: RunEvaluation) -> Table:
    rows = [
        (
            f"{getattr(p, f'begin_{unit}'):.0f} – {getattr(p, f'end_{unit}'):.0f} {unit}",
            number(p.rms_3d_m, "m"),
            number(p.rms_horizontal_m, "m"),
            number(p.rms_vertical_m, "m"),
            number(p.max_3d_m, "m"),
            f"{p.fixes_accepted} of {p.fixes_tried}",
            str(p.false_fixes),
        )
        for p in parts
    ]
    # One part is the run itself, which is told above.
    columns = ("", "3D RMS", "horizontal", "vertical", "greatest", "fixes", "false")
    return Table(title, note, columns, rows if len(rows) > 1 else [])


def _relative(evaluation: RunEvaluation) -> Table:
    rows = [
        (
            f"over {r.delta:g} {r.unit}",
            number(r.translation_rms_m, "m"),
            number(r.translation_median_m, "m"),
            number(r.translation_max_m, "m"),
            number(r.rotation_rms_deg, "°"),
            str(r.pairs),
        )
        for r in evaluation.relative
        if r.pairs
    ]
    note = "Relative pose error (RPE): how far the estimate drifts over a stretch."
    return Table("Drift over a stretch", note, ("", "RMS", "median", "greatest", "rotation RMS", "stretches"), rows)


def _protection(evaluation: RunEvaluation) -> Table:
    rows = [
        (
            f"{name.split('_')[0]} {float(name.split('_')[1]) / 10 ** (len(name.split('_')[1]) - 2):g} %",
            percent(p.exceeded_share),
            number(p.median_m, "m"),
            percent(p.infinite_share),
        )
        for name, p in evaluation.protection.items()
        if p.samples
    ]
    note = "An honest 95 % level is exceeded at most 5 % of the time, an honest 99.9 % level at most 0.1 %."
    return Table("Protection levels", note, ("", "exceeded", "median level", "nothing claimed"), rows)


def _profile(evaluation: RunEvaluation) -> Table:
    told = evaluation.recording.info.resources
    stages = sorted(told.by_stage.items(), key=lambda item: -item[1]) if told else []
    total = sum(seconds for _, seconds in stages)
    rows = [(name.replace("_", " "), number(s, "s"), percent(s / total) if total else "–") for name, s in stages]
    return Table("Where the time went", "Wall time of each stage of the run.", ("", "time", "share"), rows)
