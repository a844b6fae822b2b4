"""`geo-nav report`: a recorded run against its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run_dir: Annotated[Path, typer.Argument(help="Folder of the run: bag/ and, optionally, run.json.")],
    info: Annotated[Path | None, typer.Option(help="Another run.json, as make-bag writes one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of report.html and summary.json; else the run's.")] = None,
    false_fix_distance: Annotated[
        float, typer.Option(min=0.01, help="An accepted fix that is off by more is false, m.")
    ] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of the tables.")] = False,
) -> None:
    """Scores a run from the GPS cut to its end: tables, summary.json and an HTML report with pictures."""
    from json import dumps

    from geo_nav.evaluation import EvaluationConfig, evaluate_run, print_table, summary, write_report

    evaluation = evaluate_run(run_dir, EvaluationConfig(false_fix_distance=false_fix_distance), info)
    path = write_report(evaluation, out or run_dir)
    if json:
        typer.echo(dumps(summary(evaluation), indent=2))
        return
    print_table(evaluation)
    typer.echo(f"report: {path}    numbers: {path.parent / 'summary.json'}")
