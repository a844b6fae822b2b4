"""The tables of a run, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from geo_nav.evaluation.bench.laws import LAWS
from geo_nav.evaluation.bench.results import QueryResult, Tally

_STAGES = ("undistort", "render", "extract", "match", "resect")
"""Stages that every registration has, in the order in which they are told; what else it has been through follows."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers are set right by the reader's program."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float | None, digits: int, unit: str = "") -> str:
    """A number with a fixed count of decimals, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}{unit}"


def accuracy_table(tallies: Mapping[tuple[str, str], Tally]) -> str:
    """One row a set and matcher, of one prior."""
    head = (
        "set", "matcher", "frames", "within 1 m", "within 5 m", "accepted", "false", "median m", "median °",
        "largest m", "largest σ", "NEES a dimension", "ms",
    )  # fmt: skip
    rows = []
    for (name, matcher), tally in tallies.items():
        rows.append(
            (
                name,
                matcher,
                str(len(tally.queries)),
                f"{tally.within(1.0):.0%}",
                f"{tally.within(5.0):.0%}",
                str(len(tally.accepted)),
                str(tally.false_accepts),
                number(tally.median("error_m"), 2),
                number(tally.median("error_deg"), 2),
                number(tally.largest("error_m"), 2),
                number(tally.largest("error_sigmas"), 1),
                number(tally.mean_nees / 6.0, 2),
                number(tally.stage_medians().get("total"), 0),
            )
        )
    return table(head, rows)


def nees_table(tallies: Mapping[tuple[str, str], Tally]) -> str:
    """NEES a dimension, one row a set, one column a matcher; accepted and right frames of all priors together."""
    matchers = list(dict.fromkeys(matcher for _, matcher in tallies))
    rows = []
    for name in dict.fromkeys(name for name, _ in tallies):
        row = [name]
        for matcher in matchers:
            tally = tallies.get((name, matcher))
            count = 0 if tally is None else sum(not q.is_false_accept for q in tally.accepted)
            row.append("–" if tally is None or not count else f"{tally.mean_nees / 6.0:.2f} ({count})")
        rows.append(row)
    return table(["set", *matchers], rows)


def stage_table(tallies: Mapping[tuple[str, str], Tally]) -> str:
    """Median milliseconds of each stage."""
    medians = {key: tally.stage_medians() for key, tally in tallies.items()}
    stages = stages_told(medians.values())
    rows = [(*key, *(number(spent.get(stage), 0) for stage in stages)) for key, spent in medians.items()]
    return table(("set", "matcher", *stages), rows)


def stages_told(spent: Iterable[Mapping[str, float]]) -> list[str]:
    """Names of all stages, the total last."""
    others = sorted({stage for one in spent for stage in one} - {*_STAGES, "total"})
    return [*_STAGES, *others, "total"]


def wrong_table(results: Mapping[tuple[str, str, str], Sequence[QueryResult]], limit: float) -> str:
    """Tries at wrong places: one row a matcher and kind, and the sum of each matcher."""
    rows = []
    for matcher in dict.fromkeys(matcher for matcher, _, _ in results):
        kinds = list(dict.fromkeys(kind for m, _, kind in results if m == matcher))
        everything: list[QueryResult] = []
        for kind in kinds:
            tries = [q.at_limit(limit) for (m, _, k), qs in results.items() if (m, k) == (matcher, kind) for q in qs]
            everything += tries
            rows.append((matcher, kind, *_wrong_row(tries)))
        rows.append((matcher, "**all**", *_wrong_row(everything)))
    return table(("matcher", "offered", "tries", "found at its true place", "false accepts", "strongest refused"), rows)


def _wrong_row(tries: Sequence[QueryResult]) -> tuple[str, str, str, str]:
    true = sum(q.accepted and not q.is_false_accept for q in tries)
    refused = [q.log10_false_alarms for q in tries if not q.accepted and not math.isnan(q.log10_false_alarms)]
    strongest = min(refused, default=math.nan)
    return str(len(tries)), str(true), str(sum(q.is_false_accept for q in tries)), number(strongest, 1)


def false_accepts(results: Mapping[tuple[str, str, str], Sequence[QueryResult]], limit: float) -> str:
    """Each false accept with its evidence; a line that says so where there is none."""
    rows = []
    for (matcher, name, kind), queries in results.items():
        for query in (q.at_limit(limit) for q in queries):
            if query.is_false_accept:
                rows.append(
                    (matcher, name, kind, query.name, number(query.log10_false_alarms, 1), number(query.error_m, 1))
                )
    head = ("matcher", "set", "offered", "picture", "log10 false alarms", "off by m")
    return table(head, rows) if rows else "No false accept."


def comparison_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a method."""
    head = (
        "method", "frames", "answered", "within 1 m", "within 5 m", "within 5 m in plan", "median m",
        "median m in plan", "median °", "false (> 5 m)", "false in plan", "largest m", "ms",
    )  # fmt: skip
    return table(
        head,
        [
            (
                name,
                str(row["frames"]),
                str(row["answered"]),
                f"{row['within_1_m']:.0%}",
                f"{row['within_5_m']:.0%}",
                f"{row['within_5_m_horizontal']:.0%}",
                number(row["median_error_m"], 2),
                number(row["median_error_horizontal_m"], 2),
                number(row["median_error_deg"], 2),
                str(row["false_accepts"]),
                str(row["false_accepts_horizontal"]),
                number(row["largest_error_m"], 1),
                number(row["median_milliseconds"], 0),
            )
            for name, row in rows.items()
        ],
    )


def latency_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a set."""
    stages = stages_told(row["median_milliseconds"] for row in rows.values())
    return table(
        ("set", "frames come as", "frames", *(f"{stage} ms" for stage in stages), "90 % ms"),
        [
            (
                name,
                "x".join(str(v) for v in row["size"]),
                str(row["frames"]),
                *(number(row["median_milliseconds"].get(stage), 0) for stage in stages),
                number(row["total_90_percent"], 0),
            )
            for name, row in rows.items()
        ],
    )


def law_line(name: str) -> str:
    """A law in words."""
    return f"**{name}**: wrong by up to {LAWS[name].describe()}"
