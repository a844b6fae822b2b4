"""A comparison of runs as cells of a table, and as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geo_nav
from geo_nav.evaluation.compare import Row, RunComparison
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.report_page import render_page

_MISSING = "–"


def cells(row: Row) -> tuple[str, str, str, str, str, str]:
    """Label, A, B, change, allowed change for the worse, verdict."""
    unit = row.metric.unit
    change = _MISSING
    if row.a is not None and row.b is not None:
        share = f" ({(row.b - row.a) / abs(row.a):+.1%})" if row.a else ""
        change = f"{shown(row.b - row.a, unit, '+')}{share}"
    allowed = _MISSING if row.a is None or row.b is None else shown(row.allowed, unit)
    return row.metric.label, shown(row.a, unit), shown(row.b, unit), change, allowed, row.verdict


def write_comparison(runs: Sequence[RunComparison], path: Path) -> None:
    """Writes the tables as one self-contained HTML page.

    Raises:
        EvaluationError: the file cannot be written.
    """
    tables = [(run.name, [cells(row) for row in run.rows or ()], run.notes, run.regressions) for run in runs]
    page = render_page(
        "compare.html.j2", runs=tables, total=sum(run.regressions for run in runs), version=geo_nav.__version__
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror}") from error


def shown(value: float | None, unit: str, sign: str = "") -> str:
    """Four significant digits and the unit, a dash for what is not known."""
    if value is None:
        return _MISSING
    separator = "" if unit in ("", "°") else "\u00a0"
    return f"{value:{sign},.4g}{separator}{unit}"
