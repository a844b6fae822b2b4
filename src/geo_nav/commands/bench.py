"""`geo-nav bench`: what is measured against what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

_T = TypeVar("_T", int, float)

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
    parts: Annotated[str, typer.Option(help="real, outages, faults, cost, endurance; all when empty.")] = "",
    sets: Annotated[str, typer.Option(help="real: sets of logs, separated by commas; all when empty.")] = "",
    intervals: Annotated[str, typer.Option(help="real: seconds between the fixes given.")] = "1,5,10,30",
    noise: Annotated[
        str, typer.Option(help="real: IMU noise, class (what is known of each IMU) or default (FusionConfig).")
    ] = "class",
    seeds: Annotated[str, typer.Option(help="outages: of the journeys, separated by commas.")] = "1,2,3,4,5",
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("build/bench/fusion"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A little of each part: whether it runs, not how well.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Fusion on real inertial logs, in simulated outages and faults, and what it costs.

    real: a fix every few seconds, those in between withheld and scored; beside it, from the same start and with the
    same fixes and noise, dead reckoning, gtsam's EKF and invariant EKF, and the batch optimum over the whole log.
    outages: 30 simulated minutes with registrations as recorded, and four times 60 s with none. faults: everything
    that can go wrong, once each. cost: in real time beside the worker. endurance: four hours. Parts may be made one
    after the other: results of the others in the folder stay, and simulated rows that are there are not made again.
    """
    from geo_nav.commands.progress import progress_bar
    from geo_nav.evaluation.inertial.report import content, markdown
    from geo_nav.evaluation.inertial.run import FusionBenchOptions, FusionBenchResults, run_fusion_bench
    from geo_nav.evaluation.outages.report import ORDER, join_results, write_part
    from geo_nav.evaluation.outages.run import SimulatedOptions, run_simulated

    chosen = _names(parts) or ORDER
    unknown = [name for name in chosen if name not in ORDER]
    if unknown:
        raise typer.BadParameter(f"there is no part {', '.join(unknown)}: use {', '.join(ORDER)}")
    options = FusionBenchOptions(output, _names(sets), _numbers(intervals, "intervals", float), noise, quick)
    simulated = tuple(name for name in ORDER if name in chosen and name != "real")
    simulated_options = SimulatedOptions(output, simulated, _numbers(seeds, "seeds", int), quick)

    def keep(results: FusionBenchResults) -> None:
        join_results(output, "real", markdown(results), content(results))

    skipped: list[str] = []
    with progress_bar(quiet) as bar:
        task = bar.add_task("", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        if "real" in chosen:
            results = run_fusion_bench(options, keep, progress)
            keep(results)
            skipped = results.skipped
        if simulated:
            run_simulated(
                simulated_options, lambda part, rows, complete: write_part(output, part, rows, complete), progress
            )
    for line in skipped:
        typer.echo(f"not made: {line}", err=True)
    typer.echo(f"{output / 'results.md'}, {output / 'results.json'}")


def _numbers(text: str, what: str, kind: Callable[[str], _T]) -> tuple[_T, ...]:
    try:
        return tuple(kind(name) for name in _names(text))
    except ValueError as error:
        raise typer.BadParameter(f"{what} are numbers, got '{text}'") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
