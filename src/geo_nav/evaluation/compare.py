"""Two runs, or two folders of runs, compared number by number: what became worse beyond a tolerance?"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from geo_nav.evaluation.errors import EvaluationError

_SAME_SECONDS = 1.0
"""Two runs whose scored times differ by more are told to be unlike."""

Verdict = Literal["same", "better", "worse", "missing", "new"]
Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Tolerance:
    """How much worse a number may become: the greater of the two.

    Attributes:
        absolute: in the metric's unit.
        relative: share of the number of A.
    """

    absolute: float = 0.0
    relative: float = 0.0

    def allowed(self, reference: float) -> float:
        """By how much a number may be worse than ``reference``, in its unit."""
        return max(self.absolute, self.relative * abs(reference)) if math.isfinite(reference) else 0.0


@dataclass(frozen=True)
class Metric:
    """A number of `summary.json`.

    Attributes:
        key: in `summary.json`.
        label: in words.
        unit: for the table.
        better: ``lower``, ``higher``, or ``one`` (NEES: honest is 1, and 1/2 is as far from it as 2).
        tolerance: unless another is asked for.
    """

    key: str
    label: str
    unit: str
    better: Literal["lower", "higher", "one"]
    tolerance: Tolerance

    def badness(self, value: float) -> float:
        """A number that is lower when the value is better."""
        if self.better == "one":
            return max(value, 1.0 / value) if value > 0 else math.inf
        return value if self.better == "lower" else -value


_METRES, _DEGREES, _SHARE = Tolerance(0.02, 0.05), Tolerance(0.02, 0.05), Tolerance(0.01)
_NONE, _NEES, _SECONDS = Tolerance(), Tolerance(0.0, 0.1), Tolerance(0.2, 0.05)

METRICS: tuple[Metric, ...] = (
    Metric("rms_3d_m", "3D error, RMS", "m", "lower", _METRES),
    Metric("rms_horizontal_m", "horizontal error, RMS", "m", "lower", _METRES),
    Metric("rms_vertical_m", "vertical error, RMS", "m", "lower", _METRES),
    Metric("r95_horizontal_m", "horizontal error, 95 % (R95)", "m", "lower", _METRES),
    Metric("max_3d_m", "greatest 3D error", "m", "lower", Tolerance(0.02, 0.1)),
    Metric("rms_rotation_deg", "orientation error, RMS", "°", "lower", _DEGREES),
    Metric("rms_heading_deg", "heading error, RMS", "°", "lower", _DEGREES),
    Metric("registered_share", "share of frames registered", "", "higher", _SHARE),
    Metric("false_fixes", "false fixes", "", "lower", _NONE),
    Metric("fix_median_error_m", "error of accepted fixes, median", "m", "lower", _METRES),
    Metric("fix_longest_gap_s", "longest time without a fix", "s", "lower", _SECONDS),
    Metric("first_fix_after_cut_s", "first fix after the cut", "s", "lower", _SECONDS),
    Metric("nees_position", "NEES of the position, a dimension", "", "one", _NEES),
    Metric("nees_pose", "NEES of the pose, a dimension", "", "one", _NEES),
    Metric("inside_3_sigma_all", "errors inside 3σ", "", "higher", _SHARE),
    Metric("protection_horizontal_95_exceeded_share", "beyond the horizontal 95 % level", "", "lower", _SHARE),
    Metric("protection_vertical_95_exceeded_share", "beyond the vertical 95 % level", "", "lower", _SHARE),
)
"""What is compared unless others are asked for. Times are not among them: they are the machine's as much as ours."""

FURTHER_METRICS: tuple[Metric, ...] = (
    Metric("mean_3d_m", "3D error, mean", "m", "lower", _METRES),
    Metric("median_3d_m", "3D error, median", "m", "lower", _METRES),
    Metric("final_3d_m", "3D error at the end", "m", "lower", _METRES),
    Metric("drift_per_km_m", "drift", "m/km", "lower", _METRES),
    Metric("max_rotation_deg", "greatest orientation error", "°", "lower", _DEGREES),
    Metric("rpe_10_m_translation_rms_m", "RPE over 10 m, RMS", "m", "lower", _METRES),
    Metric("rpe_100_m_translation_rms_m", "RPE over 100 m, RMS", "m", "lower", _METRES),
    Metric("rpe_1_s_translation_rms_m", "RPE over 1 s, RMS", "m", "lower", _METRES),
    Metric("fixes_accepted", "fixes accepted", "", "higher", _NONE),
    Metric("fix_p95_error_m", "error of accepted fixes, 95 %", "m", "lower", _METRES),
    Metric("fix_max_error_m", "error of accepted fixes, greatest", "m", "lower", _METRES),
    Metric("fix_median_error_deg", "orientation of accepted fixes, median", "°", "lower", _DEGREES),
    Metric("fix_nees", "NEES of the accepted fixes, a dimension", "", "one", _NEES),
    Metric("registration_ms_median", "registration, median", "ms", "lower", Tolerance(0.0, 0.1)),
    Metric("registration_ms_p90", "registration, 90 %", "ms", "lower", Tolerance(0.0, 0.1)),
    Metric("graph_update_ms_median", "graph update, median", "ms", "lower", Tolerance(0.0, 0.1)),
    Metric("odometry_latency_ms_median", "odometry latency, median", "ms", "lower", Tolerance(0.0, 0.1)),
    Metric("odometry_latency_ms_p99", "odometry latency, 99 %", "ms", "lower", Tolerance(0.0, 0.1)),
    Metric("fix_latency_s_median", "fix latency, median", "s", "lower", Tolerance(0.0, 0.1)),
    Metric("run_cpu_s", "processor time", "s", "lower", Tolerance(0.0, 0.1)),
    Metric("run_wall_s", "wall time", "s", "lower", Tolerance(0.0, 0.1)),
    Metric("run_peak_rss_mb", "greatest memory", "MB", "lower", Tolerance(0.0, 0.1)),
)
"""What can be asked for by name beside :data:`METRICS`."""


@dataclass(frozen=True)
class Row:
    """One metric of two runs.

    Attributes:
        metric: which.
        a: of the first run; None where it is not known.
        b: of the second.
        allowed: by how much b may be worse than a, in the metric's unit; for ``one``, in the factor by which it is
            away from 1.
        verdict: ``same`` within the tolerance; ``missing``: known in A alone; ``new``: known in B alone.
    """

    metric: Metric
    a: float | None
    b: float | None
    allowed: float
    verdict: Verdict

    @property
    def is_regression(self) -> bool:
        """Whether b is worse, or no longer known."""
        return self.verdict in ("worse", "missing")


@dataclass(frozen=True)
class RunComparison:
    """One pair of runs.

    Attributes:
        name: of the run in both folders; of the two where they were named themselves.
        rows: metrics that at least one of the two knows. None where B lacks the run.
        notes: what makes the two hard to compare, in words.
    """

    name: str
    rows: tuple[Row, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def regressions(self) -> int:
        """How many metrics became worse; a whole run that is gone counts as one."""
        return 1 if self.rows is None else sum(row.is_regression for row in self.rows)


def compare(
    a: Path, b: Path, metrics: Sequence[str] = (), tolerances: Mapping[str, Tolerance] | None = None
) -> list[RunComparison]:
    """Compares runs that have been scored.

    Args:
        a: the reference: a run's folder, its `summary.json`, or a folder of runs.
        b: of the same kind; the runs of two folders are matched by their names.
        metrics: keys of :data:`METRICS` or :data:`FURTHER_METRICS`; :data:`METRICS` when empty.
        tolerances: by key, instead of the metric's own; the key ``""`` is for all that are not named.

    Raises:
        EvaluationError: a path holds no scored run, the two are of different kinds, or a metric is not known.
    """
    tolerances = tolerances or {}
    chosen = _chosen(metrics, tolerances)
    runs_a, runs_b = read_summaries(a), read_summaries(b)
    if ("" in runs_a) != ("" in runs_b):
        raise EvaluationError(f"{a} and {b} cannot be compared: one is a run, the other a folder of runs")
    if not runs_a.keys() & runs_b.keys():
        raise EvaluationError(f"{a} and {b} have no run of the same name: {_names(runs_a)}; {_names(runs_b)}")
    out = []
    for name, numbers in runs_a.items():
        title = name or f"{a} → {b}"
        if name not in runs_b:
            out.append(RunComparison(title, None, (f"{b} has no such run",)))
            continue
        rows = tuple(_row(metric, numbers, runs_b[name], tolerances) for metric in chosen)
        if metrics and (unknown := [r.metric.key for r in rows if r.a is None and r.b is None]):
            raise EvaluationError(f"{title}: neither of the two runs knows {', '.join(unknown)}")
        known = tuple(row for row in rows if row.a is not None or row.b is not None)
        if not known:
            raise EvaluationError(f"{title}: neither of the two runs knows any of the metrics")
        out.append(RunComparison(title, known, _notes(numbers, runs_b[name])))
    only_b = sorted(runs_b.keys() - runs_a.keys())
    return out + [RunComparison(name, (), (f"{a} has no such run",)) for name in only_b]


def read_summaries(path: Path) -> dict[str, dict[str, Any]]:
    """The `summary.json` at a path by the run's name: "" for a run or a file itself, the subfolder's in a folder.

    Raises:
        EvaluationError: there is none, or one cannot be read.
    """
    if path.is_file():
        return {"": read_summary(path)}
    if (path / "summary.json").is_file():
        return {"": read_summary(path / "summary.json")}
    found = {file.parent.name: read_summary(file) for file in sorted(path.glob("*/summary.json"))}
    if not found:
        raise EvaluationError(f"{path} holds no summary.json: score the run first (geo-nav report)")
    return found


def read_summary(path: Path) -> dict[str, Any]:
    """One `summary.json`.

    Raises:
        EvaluationError: it cannot be read or is not a JSON object.
    """
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    if not isinstance(numbers, dict):
        raise EvaluationError(f"{path} is no summary of a run: it holds no JSON object")
    return numbers


def known_number(numbers: Numbers, metric: Metric) -> float | None:
    """The metric's value; None where it is not known."""
    value = numbers.get(metric.key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def parse_tolerance(text: str) -> tuple[str, Tolerance]:
    """``5%`` (of all metrics, key ""), ``KEY=5%`` or ``KEY=0.1`` in the metric's unit.

    Raises:
        EvaluationError: it is none of these, or negative.
    """
    match = re.fullmatch(r"(?:(\w+)=)?(\d*\.?\d+(?:e[+-]?\d+)?)\s*(%?)", text.strip())
    if match is None or (match[1] is None and not match[3]):
        raise EvaluationError(
            f"the tolerance '{text}' is neither a share of all metrics (5%) nor one of a metric (rms_3d_m=0.1, "
            "rms_3d_m=10%)"
        )
    number = float(match[2])
    return match[1] or "", Tolerance(relative=number / 100.0) if match[3] else Tolerance(absolute=number)


def as_dict(runs: Sequence[RunComparison]) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "regressions": sum(run.regressions for run in runs),
        "runs": [
            {
                "name": run.name,
                "regressions": run.regressions,
                "notes": list(run.notes),
                "metrics": None if run.rows is None else [_row_dict(row) for row in run.rows],
            }
            for run in runs
        ],
    }


def _row_dict(row: Row) -> dict[str, Any]:
    metric = {key: value for key, value in asdict(row.metric).items() if key != "tolerance"}
    return {**metric, "a": row.a, "b": row.b, "allowed": row.allowed, "verdict": row.verdict}


def _chosen(metrics: Sequence[str], tolerances: Mapping[str, Tolerance]) -> list[Metric]:
    by_key = {metric.key: metric for metric in (*METRICS, *FURTHER_METRICS)}
    if unknown := [key for key in (*metrics, *filter(None, tolerances)) if key not in by_key]:
        raise EvaluationError(f"no metric is called {', '.join(unknown)}; there are {', '.join(by_key)}")
    # Whoever names a tolerance for a metric wants it compared.
    extra = [by_key[key] for key in tolerances if key and key not in metrics]
    base = [by_key[key] for key in metrics] if metrics else list(METRICS)
    return list(dict.fromkeys([*base, *extra]))


def _row(metric: Metric, a: Numbers, b: Numbers, tolerances: Mapping[str, Tolerance]) -> Row:
    tolerance = tolerances.get(metric.key) or tolerances.get("") or metric.tolerance
    x, y = known_number(a, metric), known_number(b, metric)
    if x is None or y is None:
        return Row(metric, x, y, 0.0, "missing" if y is None else "new")
    reference, value = metric.badness(x), metric.badness(y)
    allowed = tolerance.allowed(reference)
    worse = value - reference if value != reference else 0.0
    verdict: Verdict = "worse" if worse > allowed else "better" if worse < -allowed else "same"
    return Row(metric, x, y, allowed, verdict)


def _notes(a: Numbers, b: Numbers) -> tuple[str, ...]:
    told = (("site", "the site model"), ("truth", "the truth"), ("matcher", "the matcher"))
    notes = [f"{name} differs: {a[key]} → {b[key]}" for key, name in told if key in a and key in b and a[key] != b[key]]
    x, y = a.get("outage_s"), b.get("outage_s")
    if isinstance(x, int | float) and isinstance(y, int | float) and abs(x - y) > _SAME_SECONDS:
        notes.append(f"the scored times differ: {x:.1f} s → {y:.1f} s")
    return tuple(notes)


def _names(runs: Mapping[str, Any]) -> str:
    return ", ".join(sorted(runs))
