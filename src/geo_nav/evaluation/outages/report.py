"""The tables and pictures of the simulated parts, and the files that join all parts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

import geo_nav
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.outages import laws
from geo_nav.evaluation.outages.faults import BEGIN
from geo_nav.evaluation.outages.figures import endurance_figure, faults_figure, outages_figure

Rows = Sequence[dict[str, Any]]

ORDER = ("real", "outages", "faults", "cost", "endurance")
"""Of the parts in the results."""

RMS_LIMIT = 1.0
NEES_LIMITS = (0.8, 1.3)
UPDATE_LIMITS = (15.0, 40.0)
CALLBACK_LIMIT = 2.0
GROWTH_LIMIT = 1.1
"""The last hour may cost so many times what the first did."""


def join_results(output: Path, part: str, text: str, content: dict[str, Any]) -> Path:
    """Puts a part into ``results.json`` and ``results.md``; the other parts that are there stay.

    Args:
        output: folder.
        part: of :data:`ORDER`.
        text: the part's tables, Markdown.
        content: the same as JSON.

    Returns:
        ``results.md``.

    Raises:
        EvaluationError: a file cannot be read as what it should be, or not written.
    """
    path, page = output / "results.json", output / "results.md"
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.is_file() else {}
        parts[part] = {"version": geo_nav.__version__, "text": text, **content}
        path.write_text(json.dumps({"parts": parts}, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        page.write_text("\n\n".join(parts[name]["text"] for name in ORDER if name in parts) + "\n", encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(f"the results in {output} cannot be joined ({error!r}): move them away") from error
    return page


def write_part(output: Path, part: str, rows: Rows, complete: bool) -> Path:
    """The files of one simulated part.

    Args:
        output: folder.
        part: of :data:`ORDER`.
        rows: that there are so far.
        complete: whether there are all; pictures are made then.

    Raises:
        EvaluationError: a file cannot be written.
    """
    page = join_results(output, part, _TABLES[part](rows), {"rows": [_finite(_without_series(r)) for r in rows]})
    if not complete:
        return page
    if part == "outages":
        outages_figure(rows, output / "outages.png")
    elif part == "faults":
        faults_figure(rows, output / "faults.png")
    elif part == "endurance":
        endurance_figure(rows[0], output / "endurance.png")
    return page


def _without_series(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != "series"}


def _finite(value: Any) -> Any:
    """NaN has no place in JSON."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------------- outages


def outages_tables(rows: Rows) -> str:
    """Summary by vehicle and IMU, every journey, every outage's end, and what was drawn."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in rows:
        groups.setdefault((r["vehicle"], r["imu"]), []).append(r)
    summary = [
        "| vehicle | IMU | seeds | 3D RMS m: mean, worst | NEES a dimension: position, pose | asked |",
        "|---|---|--:|--:|--:|---|",
    ]
    coasting = [
        "| vehicle | IMU | outages | error at the end m: median, worst | told 3D sigma at the end m, median "
        "| time inside 95 % | ends inside 99.9 % | NEES/3 over the outage |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for (vehicle, imu), group in groups.items():
        rms = [r["rms_m"] for r in group]
        position, pose = (float(np.mean([r[key] for r in group])) for key in ("nees_position", "nees_pose"))
        summary.append(
            f"| {vehicle} | {imu} | {len(group)} | {np.mean(rms):.2f}, {max(rms):.2f} | {position:.2f}, {pose:.2f} "
            f"| {_asked(max(rms), (position, pose))} |"
        )
        ends = [o for r in group for o in r["outages"]]
        if ends:
            errors, sigmas = ([o[key] for o in ends] for key in ("error_at_end_m", "sigma_at_end_m"))
            within = sum(o["normalised_at_end"] <= chi2.ppf(0.999, 3) for o in ends)
            coasting.append(
                f"| {vehicle} | {imu} | {len(ends)} | {np.median(errors):.1f}, {max(errors):.1f} "
                f"| {np.median(sigmas):.1f} | {np.mean([o['share_inside_95'] for o in ends]):.0%} "
                f"| {within} of {len(ends)} | {np.mean([o['nees_position'] for o in ends]):.2f} |"
            )
    spans = [f"{o['begin_s']:g} to {o['end_s']:g} s" for o in rows[0]["outages"]]
    return "\n\n".join(
        [
            "## Simulated outages",
            "Outside the outages, from 30 s on:",
            "\n".join(summary),
            f"In the outages (no fix, no track; {', '.join(spans)}):",
            "\n".join(coasting),
            "Each journey:",
            _journeys(rows),
            "What was drawn for the registrations:",
            _drawn(rows),
            "![errors](outages.png)",
        ]
    )


def _asked(rms: float, ratios: Sequence[float]) -> str:
    low, high = NEES_LIMITS
    missed = [] if rms < RMS_LIMIT else [f"RMS not under {RMS_LIMIT:g} m"]
    missed += [] if all(low <= ratio <= high for ratio in ratios) else [f"NEES not in {low:g}–{high:g}"]
    return "; ".join(missed) or "met"


def _journeys(rows: Rows) -> str:
    lines = [
        "| vehicle | IMU | seed | 3D RMS m | horizontal RMS m | worst m | heading RMS ° | NEES/3, /6 "
        "| fixes used, refused | tracks used, refused | rebuilds | states given up |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        c = r["counts"]
        lines.append(
            f"| {r['vehicle']} | {r['imu']} | {r['seed']} | {r['rms_m']:.2f} | {r['horizontal_rms_m']:.2f} "
            f"| {r['largest_m']:.1f} | {r['heading_rms_deg']:.3f} | {r['nees_position']:.2f}, {r['nees_pose']:.2f} "
            f"| {c['fixes_used']}, {c['fixes_refused']} | {c['tracks_used']}, {c['tracks_refused']} | {c['rebuilds']} "
            f"| {len(c['starts']) - 1} |"
        )
    return "\n".join(lines)


def _drawn(rows: Rows) -> str:
    lines = [
        "| seed | frames | accepted | position error m: RMS, median | rotation RMS ° | NEES | correlation at 1 s, 5 s "
        "| gaps over 0.5 s a minute | time in gaps | longest gap s |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        "| recorded | 2925 | 77% | 2.17, 1.35 | 0.53 | 1.33 | 0.82, 0.41 | 4.6 | 20% | 16.2 |",
    ]
    for seed, d in {r["seed"]: r["drawn"] for r in rows}.items():
        lines.append(
            f"| {seed} | {d['frames']:.0f} | {d['accepted_share']:.0%} | {d['position_rms_m']:.2f}, "
            f"{d['position_median_m']:.2f} | {d['rotation_rms_deg']:.2f} | {d['nees']:.2f} | "
            f"{d['correlation_1_s']:.2f}, {d['correlation_5_s']:.2f} | {d['gaps_per_minute']:.1f} "
            f"| {d['share_in_gaps']:.0%} | {d['longest_gap_s']:.1f} |"
        )
    note = (
        f"Latency of fixes {laws.LATENCY:g} s, of tracks {laws.TRACK_LATENCY:g} s; frames and tracks at "
        f"{laws.FRAME_RATE:g} Hz; correlation time of the errors {laws.ERROR_TIME:g} s."
    )
    return "\n".join(lines) + "\n\n" + note


# ---------------------------------------------------------------------- faults


def faults_table(rows: Rows) -> str:
    """One line for each fault."""
    lines = [
        "| fault | what fusion did | states from then on | error m: before (RMS), during (worst), after (worst), "
        "last 30 s (RMS) | TRACKING again s | error below 5 m for good s |",
        "|---|---|---|--:|--:|--:|",
    ]
    for r in rows:
        numbers = (r[k] for k in ("before_rms_m", "during_largest_m", "after_largest_m", "last_rms_m"))
        lines.append(
            f"| {r['fault']} | {_what_happened(r)} | {_states(r['passed'])} | {', '.join(map(_metres, numbers))} "
            f"| {_seconds(r['tracking_after_s'])} | {_seconds(r['settled_after_s'])} |"
        )
    reasons = [
        f"- {r['fault']}: " + "; ".join(f"{p['state']}: {p['reason']}" for p in r["passed"] if p["state"] != "TRACKING")
        for r in rows
        if any(p["state"] != "TRACKING" for p in r["passed"])
    ]
    refusals = [
        f"- {r['fault']}: "
        + "; ".join(f"{count} × {reason}" for reason, count in {**r["refusals"], **r["raised"]}.items())
        for r in rows
        if r["refusals"] or r["raised"]
    ]
    return "\n\n".join(
        [
            "## Faults",
            f"Aerial, MEMS at 100 Hz, three minutes, fixes at 5 Hz without gaps; each fault from {BEGIN:g} s on.",
            "\n".join(lines),
            _shuffle(rows),
            "Last reason of each state that was not TRACKING:",
            "\n".join(reasons),
            "Refused and raised (without numbers):",
            "\n".join(refusals),
            "![errors](faults.png)",
        ]
    )


def _what_happened(row: dict[str, Any]) -> str:
    words = [f"{count} IMU {verdict}" for verdict, count in row["imu_refused"].items()]
    words += [f"{count} calls raise" for count in [sum(row["raised"].values())] if count]
    for key, name in (
        ("fixes_refused", "fixes refused"),
        ("fixes_too_old", "fixes too old"),
        ("tracks_refused", "tracks refused"),
        ("rebuilds", "rebuilds"),
    ):
        words += [f"{row[key]} {name}"] if row[key] else []
    words += row["starts"][1:]
    return ", ".join(words) or "nothing refused"


def _states(passed: Sequence[dict[str, Any]]) -> str:
    shown = [f"{p['state']} {p['seconds']:g} s" for p in passed]
    if len(shown) > 7:
        shown = [*shown[:6], f"… ({len(shown) - 6} more)"]
    return " → ".join(shown)


def _shuffle(rows: Rows) -> str:
    """How far shuffled flights end from the ordered one."""
    ends = {r["fault"]: r["final_m"] for r in rows}
    ordered = ends.get("nothing")
    lines = []
    for name, end in ends.items():
        if "shuffled" in name and end is not None and ordered is not None:
            apart = 1e3 * float(np.linalg.norm(np.subtract(end, ordered)))
            lines.append(f"- {name}: ends {apart:.1f} mm from the ordered flight (asked: 10 mm).")
    return "\n".join(lines)


def _metres(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.0f}" if value >= 100.0 else f"{value:.2f}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


# ---------------------------------------------------------------------- cost


def cost_table(rows: Rows) -> str:
    """Of the run in real time."""
    (r,) = rows
    update, callback = r["update_ms"], r["callback_ms"]
    lines = [
        "| what | median ms | 99 % ms | worst ms | asked |",
        "|---|--:|--:|--:|---|",
        f"| update that solves, worker's thread | {update['median']:.2f} | {update['p99']:.2f} "
        f"| {update['largest']:.1f} "
        f"| {_limits((update['median'], update['p99']), UPDATE_LIMITS)} |",
        f"| IMU sample to state, beside it | {callback['median']:.3f} | {callback['p99']:.3f} "
        f"| {callback['largest']:.1f} "
        f"| {_limits((callback['p99'],), (CALLBACK_LIMIT,))} |",
    ]
    note = (
        f"{r['seconds']:g} s in real time, IMU {r['imu_rate']:g} Hz, {r['fixes_used']} fixes and {r['tracks_used']} "
        f"tracks used ({laws.FRAME_RATE:g} frames/s: both share the frame's state), {r['updates_per_s']:.1f} solves/s, "
        "lag 10 s. A track is the motion that all points of a frame (120 at most) give together, as the node hands "
        f"it to the graph. Load of the machine before and after: {r['load_before']:.1f}, {r['load_after']:.1f}; "
        f"{r['behind_at_end_s']:.2f} s behind at the end."
    )
    return "\n\n".join(["## Cost", "\n".join(lines), note])


def endurance_table(rows: Rows) -> str:
    """First hour beside the last."""
    (r,) = rows
    first, last = r["first"], r["last"]
    lines = ["| median over the minutes | first | last | times |", "|---|--:|--:|--:|"]
    for key, name in (
        ("update_median_ms", "update, median ms"),
        ("update_p99_ms", "update, 99 % ms"),
        ("callback_median_ms", "IMU sample, median ms"),
        ("callback_p99_ms", "IMU sample, 99 % ms"),
        ("memory_mib", "resident memory, MiB"),
        ("rms_m", "3D RMS, m"),
    ):
        lines.append(f"| {name} | {first[key]:.3g} | {last[key]:.3g} | {last[key] / first[key]:.2f} |")
    grown = max(last[k] / first[k] for k in ("update_median_ms", "callback_median_ms", "memory_mib"))
    met = "met" if grown <= GROWTH_LIMIT else f"grown by {grown:.2f}"
    note = (
        f"{r['seconds'] / 3600.0:.2f} h, IMU {r['imu_rate']:g} Hz, fixes and tracks as drawn for the outages, played "
        f"in one thread as fast as it goes ({r['wall_s']:.0f} s); first and last {r['compared_minutes']} minutes. "
        f"{r['fixes_used']} fixes used, {r['fixes_refused']} refused, {r['rebuilds']} rebuilds. Asked: the same in "
        f"time and memory: {met}."
    )
    return "\n\n".join(["## Four hours", "\n".join(lines), note, "![milliseconds and memory](endurance.png)"])


def _limits(values: Sequence[float], limits: Sequence[float]) -> str:
    asked = ", ".join(f"{limit:g}" for limit in limits)
    return f"under {asked}: " + (
        "met" if all(v < limit for v, limit in zip(values, limits, strict=True)) else "not met"
    )


_TABLES = {"outages": outages_tables, "faults": faults_table, "cost": cost_table, "endurance": endurance_table}
