"""`geo-nav compare`: is a run worse than another? For a team's own CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geo_nav.evaluation.compare import RunComparison

_COLOURS = {"worse": "red", "missing": "red", "better": "green", "new": "cyan", "same": "dim"}
_PIPE_WIDTH = 120


def compare(
    a: Annotated[Path, typer.Argument(help="The reference: a scored run, its summary.json, or a folder of runs.")],
    b: Annotated[Path, typer.Argument(help="What is judged, of the same kind.")],
    tolerance: Annotated[
        list[str] | None,
        typer.Option(help="What is not yet worse: 5% for all, KEY=5%, or KEY=0.1 in the metric's unit. Repeatable."),
    ] = None,
    metrics: Annotated[str, typer.Option(help="Keys of summary.json, with commas between; else the default.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the table to this HTML file too.")] = None,
) -> None:
    """Compares scored runs; exit status 1 where B is worse than A beyond the tolerance, 2 where nothing is compared."""
    from json import dumps

    from geo_nav.evaluation import compare as comparison

    tolerances = dict(comparison.parse_tolerance(text) for text in tolerance or ())
    keys = [key.strip() for key in metrics.split(",") if key.strip()]
    runs = comparison.compare(a, b, keys, tolerances)
    if html is not None:
        from geo_nav.evaluation.compare_page import write_comparison

        write_comparison(runs, html)
    if json:
        typer.echo(dumps(comparison.as_dict(runs), indent=2))
    else:
        _print(runs)
    if any(run.regressions for run in runs):
        raise typer.Exit(1)


def _print(runs: list[RunComparison]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from geo_nav.evaluation.compare_page import cells

    console = Console()
    # Into a file or a pipe, rich would fold the table to 80 columns.
    console = console if console.is_terminal else Console(width=_PIPE_WIDTH)
    for run in runs:
        table = Table(title=escape(run.name), title_style="bold")
        for name in ("", "A", "B", "change", "allowed", "verdict"):
            table.add_column(name, justify="left" if name in ("", "verdict") else "right")
        for row in run.rows or ():
            label, *numbers, verdict = cells(row)
            table.add_row(label, *numbers, f"[{_COLOURS[verdict]}]{verdict}[/]")
        if run.rows:
            console.print(table)
        for note in run.notes:
            console.print(f"[yellow]{escape(run.name)}: {escape(note)}[/]")
    total = sum(run.regressions for run in runs)
    console.print(f"{total} regression(s)" if total else "no regression", style="bold red" if total else "bold green")
