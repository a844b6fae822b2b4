"""Bags one after the other, each into the folder of a run with its report; one that fails does not stop the others."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from geo_nav import GeoNavError
from geo_nav.evaluation import RunEvaluation, evaluate_run, print_table, summary, write_report, write_summary
from geo_nav.evaluation.bag_input import find_bags
from geo_nav.replay.ablations import require_ablations
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.parameters import default_parameter_file, read_parameters
from geo_nav.replay.preparation import ReplayOptions
from geo_nav.replay.run import replay_bag
from geo_nav.site import load_site

_COMPARED = (
    ("RMS 3D", "rms_3d_m", "m"),
    ("horizontal", "rms_horizontal_m", "m"),
    ("vertical", "rms_vertical_m", "m"),
    ("greatest", "max_3d_m", "m"),
    ("fixes", "fixes_accepted", ""),
    ("tried", "fixes_tried", ""),
    ("false", "false_fixes", ""),
)
"""Heading, key of the summary, unit: the table over several bags."""


def evaluate_bags(
    paths: Sequence[Path],
    site: Path,
    config: Path | None,
    truth: str | None,
    gps: str,
    start: str,
    topics: Sequence[str],
    matcher: str,
    info: Path | None,
    out: Path,
    ablations: Sequence[str],
    through_ros: bool,
    rate: float,
    quiet: bool,
    as_json: bool,
) -> int:
    """What `geo-nav evaluate` does; the options are the command's.

    Returns:
        exit status: 0 where every bag has been evaluated, 1 where one has not, 130 after Ctrl-C.

    Raises:
        GeoNavError: an option, the site or the parameter file cannot be used.
    """
    console = Console(stderr=as_json, quiet=quiet)
    require_ablations(ablations)
    if ablations and through_ros:
        raise ReplayError("--ablations are of the offline replay: leave --through-ros out")
    bags = [bag for path in paths for bag in find_bags(path)]
    parameters = read_parameters(config or default_parameter_file())
    if matcher:
        parameters = replace(parameters, camera=parameters.camera.model_copy(update={"matcher": matcher}))
    with _interruptible() as stopped, _bar(quiet) as bar:
        task = bar.add_task("", total=None, speed="")
        options = ReplayOptions(
            load_site(site), site, parameters, _roles(topics), truth, gps, start, info,
            lambda done, total: None, partial(_say, console), stopped.is_set, ablations, through_ros, rate,
        )  # fmt: skip
        found: dict[str, RunEvaluation] = {}
        failed: dict[str, str] = {}
        for bag, name in zip(bags, _names(bags), strict=True):
            folder = out / name if len(bags) > 1 else out
            _line(console, f"{bag} → {folder}", "bold")
            bar.reset(task, description=name)
            try:
                found[name] = _evaluated(bag, folder, replace(options, progress=_Speed(bar, task)), console)
            except GeoNavError as error:
                failed[name] = str(error)
                _line(Console(stderr=True), f"{bag}: {error}", "red")
            if stopped.is_set():
                break
    if as_json:
        results: dict[str, Any] = {name: summary(evaluation) for name, evaluation in found.items()}
        results |= {name: {"error": text} for name, text in failed.items()}
        print(json.dumps(results if len(bags) > 1 else next(iter(results.values()), {}), indent=2))
    elif len(bags) > 1:
        console.print(_table(bags, found, failed))
    return 130 if stopped.is_set() else int(bool(failed))


def _evaluated(bag: Path, folder: Path, options: ReplayOptions, console: Console) -> RunEvaluation:
    outcome = replay_bag(bag, folder, options)
    resources = outcome.resources
    for line in outcome.warnings:
        _line(console, line, "yellow")
    if outcome.interrupted:
        _line(console, "interrupted: what was replayed so far is scored", "yellow")
    _line(console, f"GPS fixes used {outcome.gps_used}, withheld {outcome.gps_withheld}")
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in list(resources["by_stage"].items())[:6])
    _line(console, f"replayed in {resources['wall_seconds']:.1f} s ({resources['cpu_seconds']:.1f} s of CPU): {stages}")
    for name in options.ablations:
        if (folder / "ablations" / name / "run.json").is_file():
            write_summary(evaluate_run(folder / "ablations" / name), folder / "ablations" / name / "summary.json")
    evaluation = evaluate_run(folder)
    path = write_report(evaluation, folder)
    print_table(evaluation, console)
    _line(console, f"report: {path}    numbers: {folder / 'summary.json'}")
    return evaluation


def _line(console: Console, text: str, style: str = "") -> None:
    """A line as it is: what stands in brackets is no markup, and its length is the terminal's business."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _say(console: Console, what: Any) -> None:
    if isinstance(what, str):
        _line(console, what)
    else:
        console.print(what)


class _Speed:
    """Moves the bar, and says how many times faster than real time it goes."""

    def __init__(self, bar: Progress, task: Any) -> None:
        self._bar, self._task = bar, task
        self._shown = 0.0

    def __call__(self, done: float, total: float) -> None:
        if abs(done - self._shown) < 0.25 and done < total:
            return
        self._shown = done
        elapsed = self._bar.tasks[0].elapsed or 0.0
        speed = f"{done / elapsed:.1f} × real time" if elapsed > 1.0 else ""
        self._bar.update(self._task, completed=done, total=total, speed=speed)


def _bar(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} s of the bag  {task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    )


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, at which a replay ends in order; the second one interrupts as usual."""
    stopped = threading.Event()

    def stop(number: int, frame: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _roles(told: Sequence[str]) -> dict[str, str]:
    roles: dict[str, str] = {}
    for text in told:
        role, separator, topic = text.partition(":=")
        if not separator or not role or not topic:
            raise ReplayError(f"--topic takes ROLE:=TOPIC, for example imu:=/imu/data, not '{text}'")
        roles[role] = topic
    return roles


def _names(bags: Sequence[Path]) -> list[str]:
    """A name for each bag: its own, with its folder's where that is shared with another."""
    plain = [bag.stem if bag.is_file() else bag.name for bag in bags]
    names = [
        f"{bag.parent.name}_{name}" if plain.count(name) > 1 else name for bag, name in zip(bags, plain, strict=True)
    ]
    return [name if names.count(name) == 1 else f"{k}_{name}" for k, name in enumerate(names)]


def _table(bags: Sequence[Path], found: dict[str, RunEvaluation], failed: dict[str, str]) -> Table:
    table = Table(title="All bags", title_style="bold", title_justify="left")
    table.add_column("bag")
    for heading, _, unit in _COMPARED:
        table.add_column(f"{heading}, {unit}" if unit else heading, justify="right")
    for name in _names(bags):
        if name in found:
            numbers = summary(found[name])
            values = (numbers[key] for _, key, _ in _COMPARED)
            cells = ("–" if v is None else f"{v:.2f}" if isinstance(v, float) else str(v) for v in values)
            table.add_row(name, *cells)
        else:
            table.add_row(name, failed.get(name, "not evaluated"))
    return table
