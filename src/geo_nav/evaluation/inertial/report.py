"""The tables of a run."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import geo_nav
from geo_nav.evaluation.inertial.estimators import BATCH, CAUSAL, OURS
from geo_nav.evaluation.inertial.run import FusionBenchResults
from geo_nav.evaluation.inertial.scores import LIMIT, Row


def markdown(results: FusionBenchResults) -> str:
    """The tables of a run."""
    parts = [
        "## Real inertial logs",
        f"`geo-nav bench fusion`, geo_nav {geo_nav.__version__}, noise: {results.options.noise}.",
        "### 3D RMS at the scored fixes, m",
        _summary(results.rows),
        "### Each estimator",
        _details(results.rows),
        "### Logs",
        "\n".join(f"- {name}: {line}" for name, lines in results.notes.items() for line in lines),
    ]
    failures = [f"{r.name}, {r.interval:g} s: {text}" for r in results.rows for text in r.failures]
    if results.skipped or failures:
        parts += ["### Not made", "\n".join(f"- {line}" for line in [*results.skipped, *failures])]
    if results.pictures:
        parts += ["### Pictures", "\n\n".join(f"![{caption}]({file})" for caption, file in results.pictures)]
    return "\n\n".join(parts)


def verdict(row: Row) -> str:
    """Whether ours is the most accurate causal one, and within the limit of the batch optimum."""
    best = "best" if row.best_causal == OURS else f"behind {row.best_causal}"
    if math.isnan(row.to_batch):
        return f"{best}; no batch"
    return f"{best}; {row.to_batch:.1f}×" + ("" if row.to_batch <= LIMIT else f" > {LIMIT:g}")


def _summary(rows: list[Row]) -> str:
    names = (*CAUSAL, BATCH)
    lines = [
        f"| set | fix every | logs | scored | {' | '.join(names)} | ours: causal; to batch | refused / given |",
        "|---|--:|--:|--:|" + "--:|" * len(names) + "---|--:|",
    ]
    for r in rows:
        values = " | ".join(_number(r.scores[n].rms) if n in r.scores else "–" for n in names)
        lines.append(
            f"| {r.name} | {r.interval:g} s | {r.logs} | {r.scores[OURS].number} | {values} | {verdict(r)} "
            f"| {r.refused} / {r.given} |"
        )
    return "\n".join(lines)


def _details(rows: list[Row]) -> str:
    lines = [
        "| set | fix every | estimator | horizontal RMS | 3D RMS | 95 % | max | NEES/3 |",
        "|---|--:|---|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        for name, s in r.scores.items():
            numbers = (s.horizontal_rms, s.rms, s.percentile_95, s.largest, s.nees)
            lines.append(f"| {r.name} | {r.interval:g} s | {name} | {' | '.join(map(_number, numbers))} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 100.0 else f"{value:.2f}"


def content(results: FusionBenchResults) -> dict[str, Any]:
    """The same as JSON."""
    rows = []
    for r in results.rows:
        scores = {
            name: {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(s).items()}
            for name, s in r.scores.items()
        }
        ratio = None if math.isnan(r.to_batch) else r.to_batch
        rows.append({**asdict(r), "scores": scores, "best_causal": r.best_causal, "to_batch": ratio})
    return {
        "noise": results.options.noise,
        "rows": rows,
        "logs": results.notes,
        "skipped": results.skipped,
        "pictures": [{"caption": caption, "file": file} for caption, file in results.pictures],
    }
