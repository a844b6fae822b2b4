"""The numbers of a run: `summary.json` and the table on the console."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.fixes import FixStatistics, quantile
from geo_nav.evaluation.metrics import ErrorStatistics

Array = npt.NDArray[np.float64]

_MISSING = "–"


def summary(evaluation: RunEvaluation) -> dict[str, Any]:
    """Plain keys and JSON values; a number that cannot be known is None. Units are in the keys' endings."""
    s, c, f, t = evaluation.statistics, evaluation.consistency, evaluation.fix_statistics, evaluation.timing
    recording, status = evaluation.recording, evaluation.recording.status
    out: dict[str, Any] = {
        "outage_s": evaluation.end - evaluation.begin,
        **asdict(s),
        **_relative(evaluation),
        "max_error_m": s.max_3d_m,
        **{f"imu_only_{key}": value for key, value in _statistics(evaluation.imu_only_statistics).items()},
        "nees_position": c.nees_position,
        "nees_pose": c.nees_pose,
        "inside_3_sigma_east": c.inside_3_sigma[0],
        "inside_3_sigma_north": c.inside_3_sigma[1],
        "inside_3_sigma_up": c.inside_3_sigma[2],
        "inside_3_sigma_all": c.inside_3_sigma_all,
        "camera_frames": f.camera_frames,
        "fixes_tried": f.tried,
        "fixes_accepted": f.accepted,
        "fixes_rejected": f.rejected,
        "rejected_by_gate": f.rejected_by_gate,
        "fixes_judged": f.judged,
        "false_fixes": f.false_fixes if f.judged or not f.accepted else None,
        "registered_share": f.registered_share,
        "fix_median_error_m": f.median_error_m,
        "fix_p95_error_m": f.p95_error_m,
        "fix_max_error_m": f.max_error_m,
        "fix_alone_median_error_m": f.median_alone_error_m,
        "fix_alone_max_error_m": f.max_alone_error_m,
        "fix_median_error_deg": f.median_error_deg,
        "fix_nees": f.nees,
        "fix_inliers_median": f.inliers_median,
        "fix_longest_gap_s": f.longest_gap_s,
        "fix_latency_s_median": f.latency_s_median,
        "fix_age_s_median": quantile(_fix_ages(evaluation), 0.5),
        "fix_age_s_max": quantile(_fix_ages(evaluation), 1.0),
        "registration_ms_median": f.registration_ms_median,
        "registration_ms_p90": f.registration_ms_p90,
        "registration_stage_ms_median": f.stage_ms_median,
        "fixes_refused_by_graph": status.refused,
        "fixes_too_old": status.too_old,
        "graph_rebuilds": status.rebuilds,
        "graph_update_ms_median": status.update_milliseconds,
        **asdict(t),
        "first_fix_after_cut_s": evaluation.first_fix_after_cut_s,
        "first_fix_after_start_s": evaluation.first_fix_after_start_s,
        "state_share": evaluation.states,
        **{
            f"protection_{level}_{key}": value
            for level, p in evaluation.protection.items()
            for key, value in asdict(p).items()
        },
        "innovations": {kind: asdict(said) for kind, said in evaluation.innovations.items()},
        "by_time": [asdict(part) for part in evaluation.by_time],
        "by_path": [asdict(part) for part in evaluation.by_path],
        **_resources(evaluation),
        "truth": recording.truth_source,
        "truth_has_orientation": recording.truth_has_orientation,
        "truth_sigma_m_median": _truth_sigma(evaluation),
        "problems": recording.problems,
        "matcher": _matcher(evaluation),
        "site": recording.site_name,
    }
    cleaned: dict[str, Any] = _without_nan(out)
    return cleaned


def write_summary(evaluation: RunEvaluation, path: Path) -> None:
    """Writes :func:`summary` as JSON."""
    path.write_text(json.dumps(summary(evaluation), indent=2) + "\n", encoding="utf-8")


def print_table(evaluation: RunEvaluation, console: Console | None = None) -> None:
    """Prints IMU only beside geo_nav, and below how it was done."""
    console = console or Console()
    console.print(_comparison(evaluation))
    console.print(_work(evaluation))
    for problem in evaluation.recording.problems:
        console.print(f"[yellow]problem:[/] {escape(problem)}")


COMPARISON: tuple[tuple[str, str, str], ...] = (
    ("3D error, RMS", "rms_3d_m", "m"),
    ("horizontal error, RMS", "rms_horizontal_m", "m"),
    ("vertical error, RMS", "rms_vertical_m", "m"),
    ("horizontal error, 95 % (R95)", "r95_horizontal_m", "m"),
    ("greatest 3D error", "max_3d_m", "m"),
    ("3D error at the end", "final_3d_m", "m"),
    ("drift (final error a km flown)", "drift_per_km_m", "m/km"),
    ("orientation error, RMS", "rms_rotation_deg", "°"),
    ("heading error, RMS", "rms_heading_deg", "°"),
)
"""Label, name in :class:`ErrorStatistics`, unit: what IMU only and geo_nav are compared by."""


def work_rows(evaluation: RunEvaluation) -> list[tuple[str, str]]:
    """Label and value of what the registration and the nodes did."""
    f, t = evaluation.fix_statistics, evaluation.timing
    gates = ", ".join(f"{count} {gate.replace('_', ' ')}" for gate, count in f.rejected_by_gate.items())
    status, ages = evaluation.recording.status, _fix_ages(evaluation)
    share = "" if math.isnan(f.registered_share) else f" ({f.registered_share:.0%})"
    return [
        ("fixes accepted", f"{f.accepted} of {f.camera_frames} frames sent{share}"),
        ("fixes rejected", f"{f.rejected} of {f.tried} tried" + (f": {gates}" if gates else "")),
        (f"false fixes (accepted, off by > {evaluation.config.false_fix_distance:g} m)", _false_fixes(f)),
        ("error of accepted fixes", f"median {number(f.median_error_m, 'm')}, greatest {number(f.max_error_m, 'm')}"),
        (
            "without the prior's tilt",
            f"median {number(f.median_alone_error_m, 'm')}, greatest {number(f.max_alone_error_m, 'm')}",
        ),
        ("first fix, after the cut / the start", " / ".join(number(x, "s") for x in _first_fixes(evaluation))),
        ("longest time without a fix", number(f.longest_gap_s, "s")),
        (
            "age of the last fix used",
            f"median {number(quantile(ages, 0.5), 's')}, greatest {number(quantile(ages, 1.0), 's')}",
        ),
        ("fixes refused by the graph, too old", f"{status.refused}, {status.too_old}"),
        (
            "registration",
            f"median {number(f.registration_ms_median, 'ms')}, 90 % {number(f.registration_ms_p90, 'ms')}",
        ),
        ("fix latency, median", number(f.latency_s_median, "s")),
        ("odometry rate (IMU rate)", f"{number(t.odometry_hz, 'Hz')} ({number(t.imu_hz, 'Hz')})"),
        (
            "odometry latency",
            f"median {number(t.odometry_latency_ms_median, 'ms')}, 99 % {number(t.odometry_latency_ms_p99, 'ms')}",
        ),
        ("longest gap in the odometry", number(t.odometry_longest_gap_s, "s")),
        (
            "time in each state",
            ", ".join(f"{name} {share:.1%}" for name, share in evaluation.states.items()) or _MISSING,
        ),
        *_relative_rows(evaluation),
        *_resource_rows(evaluation),
    ]


def honesty_rows(evaluation: RunEvaluation) -> list[tuple[str, str]]:
    """Label and value of how well errors and claimed covariance agree."""
    c = evaluation.consistency
    return [
        ("errors inside 3σ, east / north / up", " / ".join(percent(x) for x in c.inside_3_sigma)),
        ("NEES a dimension (1 is honest), position / pose", f"{number(c.nees_position)} / {number(c.nees_pose)}"),
        ("NEES a dimension of the accepted fixes", number(evaluation.fix_statistics.nees)),
        (
            "NIS over its expectation (1 is honest)",
            ", ".join(f"{kind} {number(i.nis_median)}" for kind, i in evaluation.innovations.items()) or _MISSING,
        ),
        ("error beyond the 95 % level, horizontal / vertical", _exceeded(evaluation, "95")),
        ("error beyond the 99.9 % level, horizontal / vertical", _exceeded(evaluation, "999")),
    ]


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits and the unit, a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return _MISSING
    magnitude = abs(value)
    digits = 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 0.095 or magnitude == 0 else 3
    separator = "" if unit in ("", "°") else "\u00a0"
    return f"{value:,.{digits}f}{separator}{unit}"


def percent(value: float) -> str:
    """A share in percent."""
    return f"{value:.1%}" if math.isfinite(value) else _MISSING


def _comparison(evaluation: RunEvaluation) -> Table:
    seconds = evaluation.end - evaluation.begin
    km = evaluation.statistics.distance_m / 1000.0
    table = Table(title=f"Without GPS for {seconds:.0f} s and {km:.2f} km", title_style="bold")
    table.add_column("")
    table.add_column("IMU only", justify="right")
    table.add_column("geo_nav", justify="right", style="bold green")
    for label, name, unit in COMPARISON:
        alone = evaluation.imu_only_statistics
        table.add_row(
            label,
            number(getattr(alone, name), unit) if alone else _MISSING,
            number(getattr(evaluation.statistics, name), unit),
        )
    return table


def _work(evaluation: RunEvaluation) -> Table:
    table = Table(show_header=False)
    table.add_column("")
    table.add_column("")
    for label, value in [*work_rows(evaluation), *honesty_rows(evaluation)]:
        table.add_row(label, value)
    return table


def _false_fixes(statistics: FixStatistics) -> str:
    if statistics.accepted and not statistics.judged:
        return _MISSING
    unjudged = statistics.accepted - statistics.judged
    return f"{statistics.false_fixes}" + (f" ({unjudged} without truth)" if unjudged else "")


def _first_fixes(evaluation: RunEvaluation) -> tuple[float, float]:
    return evaluation.first_fix_after_cut_s, evaluation.first_fix_after_start_s


def _relative(evaluation: RunEvaluation) -> dict[str, Any]:
    return {
        f"rpe_{r.delta:g}_{r.unit}_{key}": value
        for r in evaluation.relative
        for key, value in asdict(r).items()
        if key not in ("delta", "unit")
    }


def _relative_rows(evaluation: RunEvaluation) -> list[tuple[str, str]]:
    return [
        (
            f"RPE over {r.delta:g} {r.unit}, RMS",
            f"{number(r.translation_rms_m, 'm')}, {number(r.rotation_rms_deg, '°')}",
        )
        for r in evaluation.relative
    ]


def _exceeded(evaluation: RunEvaluation, probability: str) -> str:
    return " / ".join(
        percent(evaluation.protection[f"{axis}_{probability}"].exceeded_share) for axis in ("horizontal", "vertical")
    )


def _resources(evaluation: RunEvaluation) -> dict[str, Any]:
    """What the run took of the machine; None where `run.json` does not say."""
    told = evaluation.recording.info.resources
    return {
        "run_cpu_s": told.cpu_seconds if told else None,
        "run_wall_s": told.wall_seconds if told else None,
        "run_peak_rss_mb": told.peak_rss_mb if told else None,
        "run_stage_wall_s": told.by_stage if told else None,
    }


def _resource_rows(evaluation: RunEvaluation) -> list[tuple[str, str]]:
    told = evaluation.recording.info.resources
    if told is None:
        return []
    values = (number(told.cpu_seconds, "s"), number(told.wall_seconds, "s"), number(told.peak_rss_mb, "MB"))
    return [("processor time, wall time, greatest memory", ", ".join(values))]


def _truth_sigma(evaluation: RunEvaluation) -> list[float] | None:
    """The truth's own 1 sigma east, north, up."""
    sigma = evaluation.recording.truth_sigma
    return None if sigma is None or len(sigma) == 0 else [float(x) for x in np.median(sigma, axis=0)]


def _statistics(statistics: ErrorStatistics | None) -> dict[str, Any]:
    """The same keys whether or not an IMU was recorded."""
    names = [name for name in ErrorStatistics.__dataclass_fields__ if name not in ("samples", "distance_m")]
    return {name: getattr(statistics, name) if statistics else None for name in names}


def _matcher(evaluation: RunEvaluation) -> str:
    return next((s.fix.matcher for s in evaluation.fixes if s.fix.matcher), "")


def _fix_ages(evaluation: RunEvaluation) -> Array:
    """(N,) age of the last fix that fusion had used, at every status of the outage, s."""
    status = evaluation.recording.status
    inside = (status.stamps >= evaluation.begin) & (status.stamps <= evaluation.end)
    ages = status.seconds_since_fix[inside]
    return ages[np.isfinite(ages)]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
