"""`geo-nav evaluate-site`: the photographs of a survey registered from random priors, against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geo_nav import GeoNavError

if TYPE_CHECKING:
    from rich.console import Console

    from geo_nav.evaluation.bench.results import QueryResult
    from geo_nav.evaluation.site_evaluation import SiteEvaluation

_PIPE_WIDTH = 150


def evaluate_site(
    folder: Annotated[Path, typer.Argument(help="Survey: images/, camera.json, datum.json, truth.csv, site/.")],
    matcher: Annotated[str, typer.Option(help="Name of the matcher: docs/matching.md.")] = "sift",
    prior_error: Annotated[
        str, typer.Option(help="Limits of the priors' random errors: metres, degrees of heading, degrees of tilt.")
    ] = "30,10,3",
    seed: Annotated[int, typer.Option(min=0, help="Of the priors.")] = 0,
    repeat: Annotated[int, typer.Option(min=1, help="Random priors for each query.")] = 1,
    max_width: Annotated[int, typer.Option(help="Width to which larger photographs are reduced, pixels.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the matcher.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all numbers to this file.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Write each query's match picture to this folder.")] = None,
    impostors: Annotated[
        Path | None, typer.Option(help="Offer this survey's photographs instead: every accept is then false.")
    ] = None,
    described: Annotated[
        bool, typer.Option("--described", help="Take the site model's error as described, do not measure it.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Registers every query of a survey from random priors and prints errors, verdicts, NEES and times."""
    from rich.console import Console

    from geo_nav.commands.progress import progress_bar
    from geo_nav.evaluation import site_evaluation

    law = site_evaluation.parse_prior_error(prior_error)
    config = site_evaluation.photo_config() if max_width == 0 else site_evaluation.photo_config(max_width)
    with progress_bar(quiet) as bar:
        task = bar.add_task(
            f"{folder.name} · {'' if described else 'measuring the site model, then '}{matcher}", total=None
        )

        def advance(_: QueryResult, total: int) -> None:
            bar.update(task, total=total, advance=1)

        evaluation = site_evaluation.evaluate_site(
            folder,
            matcher,
            law.limits,
            seed,
            repeat,
            config,
            {"threads": threads},
            pictures,
            impostors,
            not described,
            advance,
        )
    terminal = Console()
    # Into a file or a pipe, rich would fold the table to 80 columns.
    _print(evaluation, terminal if terminal.is_terminal else Console(width=_PIPE_WIDTH))
    if json_file is not None:
        try:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.write_text(json.dumps(evaluation.as_dict(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise GeoNavError(f"{json_file} cannot be written: {error.strerror}") from error


def _print(evaluation: SiteEvaluation, console: Console) -> None:
    from rich.table import Table

    from geo_nav.evaluation.bench.results import FALSE_ACCEPT, RADII

    position, heading, tilt = evaluation.law.limits
    table = Table(
        title=f"{evaluation.site} · {evaluation.matcher} · prior error up to {position:g} m, {heading:g}°, {tilt:g}° "
        f"· seed {evaluation.seed}"
    )
    for name in ("query", "prior off", "error m", "error °", "inliers", "px", "NEES", "ms", "verdict"):
        table.add_column(name, justify="left" if name in ("query", "verdict") else "right", no_wrap=name != "verdict")
    for q in evaluation.queries:
        colour = "red" if q.is_false_accept else "green" if q.accepted else "yellow"
        table.add_row(
            q.name if q.draw == 0 else f"{q.name} #{q.draw}",
            f"{q.prior_error_m:.1f} m {q.prior_error_deg:.1f}°",
            f"{q.error_m:.3f}",
            f"{q.error_deg:.3f}",
            f"{q.inliers}/{q.matches}",
            f"{q.reprojection_rms:.2f}",
            f"{q.nees:.1f}",
            f"{q.milliseconds.get('total', 0.0):.0f}",
            f"[{colour}]{'FALSE ACCEPT' if q.is_false_accept else 'accepted' if q.accepted else q.reason}[/]",
        )
    console.print(table)
    shares = ", ".join(f"{evaluation.within(radius):.0%} within {radius:g} m" for radius in RADII)
    console.print(
        f"{len(evaluation.accepted)} of {len(evaluation.queries)} accepted; {shares}; "
        f"false accepts (over {FALSE_ACCEPT:g} m): {evaluation.false_accepts}"
    )
    console.print(
        f"medians of the accepted: {evaluation.median('error_m'):.3f} m, {evaluation.median('error_deg'):.3f}°, "
        f"{evaluation.median('inliers'):.0f} inliers; NEES per degree of freedom {evaluation.mean_nees / 6.0:.2f} "
        "(1 is honest)"
    )
    console.print(
        "median ms: " + ", ".join(f"{stage} {spent:.0f}" for stage, spent in evaluation.stage_medians().items())
    )
