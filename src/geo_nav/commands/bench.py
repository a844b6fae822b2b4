"""`geo-nav bench`: what is measured against what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Measures geo_nav against truth, and beside others.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """A bench is a subcommand even while there is only one."""


@app.command()
def registration(
    sets: Annotated[str, typer.Option(help="Frame sets, separated by commas; all when empty.")] = "",
    survey: Annotated[list[Path] | None, typer.Option(help="Surveyed folder; else those of GEO_NAV_DATA.")] = None,
    matchers: Annotated[str, typer.Option(help="Matchers, separated by commas; all when empty.")] = "",
    default_matcher: Annotated[
        str, typer.Option(help="Matcher of wrong places, comparisons, latency and pictures.")
    ] = "xfeat_orientation",
    priors: Annotated[str, typer.Option(help="tight (5 m, 3°), wide (50 m, 25°), separated by commas.")] = "tight,wide",
    parts: Annotated[str, typer.Option(help="accuracy, wrong-places, comparisons, latency; all when empty.")] = "",
    frames: Annotated[
        list[str] | None,
        typer.Option(help="Frames a set (25), or NAME=number for a matcher or for 'comparisons'; repeatable."),
    ] = None,
    tries: Annotated[int | None, typer.Option(help="At wrong places over all sets (2000).")] = None,
    other_tries: Annotated[
        int | None, typer.Option(help="The same of each other matcher, for its curve (100).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of priors and tries.")] = 0,
    world_seed: Annotated[int, typer.Option(min=0, help="Of the simulated worlds.")] = 1,
    worlds: Annotated[Path, typer.Option(help="Folder of the generated worlds.")] = Path("build/worlds"),
    threads: Annotated[int, typer.Option(min=1, help="Threads of a matcher.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("build/bench/registration"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A few frames and tries: whether it runs, not how well.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Registers frame sets with every matcher from tight and wide priors, and offers wrong places.

    What is there already in the output folder is not made again: an interrupted run goes on, and several processes may
    share it, each with its own --sets or --matchers; a last run with all of them joins the results.
    """
    from geo_nav.commands.progress import progress_bar
    from geo_nav.evaluation.bench.options import PARTS, BenchOptions, default_tries, parse_frames
    from geo_nav.evaluation.bench.report import write_report
    from geo_nav.evaluation.bench.run import run_bench

    most, others = default_tries(quick)
    options = BenchOptions(
        output=output,
        sets=_names(sets),
        surveys=tuple(survey or ()),
        matchers=_names(matchers),
        default_matcher=default_matcher,
        priors=_names(priors),
        parts=_names(parts) or PARTS,
        frames=parse_frames(frames or (), quick),
        tries=most if tries is None else tries,
        other_tries=others if other_tries is None else other_tries,
        seed=seed,
        world_seed=world_seed,
        threads=threads,
        worlds=worlds,
    )
    with progress_bar(quiet) as bar:
        task = bar.add_task("", total=None)
        results = run_bench(
            options, lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
        )
        page = write_report(results)
    for line in dict.fromkeys(results.skipped):
        typer.echo(f"not made: {line}", err=True)
    typer.echo(f"{page.parent / 'results.md'}, {page}")


@app.command()
def fusion(
    sets: Annotated[str, typer.Option(help="Sets of logs, separated by commas; all when empty.")] = "",
    intervals: Annotated[str, typer.Option(help="Seconds between the fixes given, separated by commas.")] = "1,5,10,30",
    noise: Annotated[
        str, typer.Option(help="IMU noise: class (what is known of each IMU) or default (FusionConfig).")
    ] = "class",
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("build/bench/fusion"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Two logs a set and one interval: whether it runs, not how well.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Fusion on real inertial logs: a fix every few seconds, those in between withheld and scored.

    Beside it, from the same start and with the same fixes and noise: dead reckoning, gtsam's EKF and invariant EKF,
    and the batch optimum over the whole log.
    """
    from geo_nav.commands.progress import progress_bar
    from geo_nav.evaluation.inertial.report import write_fusion_report
    from geo_nav.evaluation.inertial.run import FusionBenchOptions, run_fusion_bench

    try:
        seconds = tuple(float(text) for text in _names(intervals))
    except ValueError as error:
        raise typer.BadParameter(f"intervals are numbers of seconds, got '{intervals}'") from error
    options = FusionBenchOptions(output, _names(sets), seconds, noise, quick)
    with progress_bar(quiet) as bar:
        task = bar.add_task("", total=None)
        results = run_fusion_bench(
            options,
            write_fusion_report,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
        page = write_fusion_report(results)
    for line in results.skipped:
        typer.echo(f"not made: {line}", err=True)
    typer.echo(f"{page}, {page.with_name('results.json')}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
