"""A bag replayed into the folder of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from geo_nav import GeoNavError
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.messages import BagWriter
from geo_nav.replay.ablations import ABLATIONS, replay_fixes
from geo_nav.replay.engine import Replay
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.gps import GpsPlan, GpsUse
from geo_nav.replay.journey import Outcome
from geo_nav.replay.live import play, played
from geo_nav.replay.preparation import Prepared, ReplayOptions, prepare
from geo_nav.replay.run_folder import make_room, write_run_info


def replay_bag(path: Path, out: Path, options: ReplayOptions) -> Outcome:
    """Replays a bag, and writes ``out/bag`` and ``out/run.json``; the same in ``out/ablations/NAME`` of each ablation.

    Args:
        path: of the bag.
        out: folder of the run; that of an earlier evaluation is replaced.
        options: how.

    Raises:
        GeoNavError: the bag cannot be replayed.
    """
    with open_bag(path) as bag:
        prepared = prepare(bag, options)
        make_room(out, path)

        def progress(done: float) -> None:
            options.progress(done, bag.end - bag.begin)

        if options.through_ros:
            outcome = _through_ros(path, out, prepared, options, progress)
        else:
            with BagWriter(out / "bag") as output:
                outcome = Replay(prepared.journey, output, options.stopped).run(progress)
        problems = list(dict.fromkeys(bag.problems))  # every pass over the bag tells them
    write_run_info(out, path, prepared, outcome, options, problems)
    if outcome.begun is None:
        raise ReplayError("\n  ".join([f"fusion has not started: {outcome.reason}", *problems, *outcome.warnings]))
    failed: list[str] = []
    for name in options.ablations:
        if not options.stopped():
            try:
                _ablate(name, path, out, prepared, outcome, options)
            except GeoNavError as error:
                failed.append(f"ablation {name}: {error}")
    return replace(outcome, warnings=[*problems, *outcome.warnings, *failed])


def _ablate(name: str, path: Path, out: Path, prepared: Prepared, whole: Outcome, options: ReplayOptions) -> None:
    """The run once more without something, in a folder of its own; GPS ends when it did in the whole one."""
    folder = out / "ablations" / name
    folder.mkdir(parents=True)
    ablation = ABLATIONS[name]
    options.say(f"ablation {name}: {ablation.text}")
    journey = prepared.journey
    if whole.gps_seconds is not None:
        journey = replace(journey, gps=GpsPlan(GpsUse.UNTIL, whole.gps_seconds))
    outcome = replay_fixes(journey, [path], out / "bag", folder / "bag", options.stopped, ablation.apply)
    write_run_info(folder, path, prepared, outcome, options, [], ablation={"name": name, "text": ablation.text})


def _through_ros(
    path: Path, out: Path, prepared: Prepared, options: ReplayOptions, progress: Callable[[float], object]
) -> Outcome:
    journey = prepared.journey
    resources = play(journey, path, out, options.rate, progress, options.stopped)
    return played(out, journey, resources, options.stopped())
