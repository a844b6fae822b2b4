"""The folder of a run that was made of a bag."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geo_nav.replay.errors import ReplayError
from geo_nav.replay.journey import Outcome
from geo_nav.replay.preparation import Prepared, ReplayOptions

_OURS = ("bag", "ablations", "run.json", "summary.json", "report.html", "errors.csv", "launch.log", "parameters.yaml")
"""What an evaluation writes into its folder."""

_KEPT = ("name", "score_stamps", "antenna", "accelerometer_bias", "gyroscope_bias")
"""What a given `run.json` says of the new run, beside its truth."""


def make_room(out: Path, bag: Path) -> None:
    """Makes the folder of a run; what an earlier evaluation wrote into it is deleted, nothing else.

    Raises:
        ReplayError: it holds a bag that no evaluation wrote, or the bag that is to be replayed.
    """
    ours = out / "bag"
    if bag.resolve() == ours.resolve() or ours.resolve() in bag.resolve().parents:
        raise ReplayError(f"{bag} is to be replayed, and would be overwritten: name another folder with --out")
    old = [out / name for name in _OURS if (out / name).exists()]
    if old and not _is_evaluation(out):
        raise ReplayError(f"{old[0]} was not written by an evaluation: name another folder with --out")
    for path in old:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    # Should the replay fail, the next one may go on here.
    (out / "run.json").write_text(json.dumps({"inputs": [_relative(bag, out)]}) + "\n", encoding="utf-8")


def _is_evaluation(out: Path) -> bool:
    try:
        return "inputs" in json.loads((out / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def write_run_info(
    out: Path,
    bag: Path,
    prepared: Prepared,
    outcome: Outcome,
    options: ReplayOptions,
    problems: Sequence[str],
    **more: Any,
) -> None:
    """Writes `run.json` of a replay.

    Args:
        out: folder of the run.
        bag: with the sensors.
        prepared: what was replayed.
        outcome: what came of it.
        options: how it was replayed.
        problems: of reading the bag.
        more: further keys.
    """
    given = json.loads(options.info.read_text(encoding="utf-8")) if options.info else {}
    kept = {key: given[key] for key in _KEPT if key in given}
    journey = prepared.journey
    node = journey.parameters.fusion_node
    mounting = journey.mountings.lookup(node.base_frame, node.camera_frame)
    info: dict[str, Any] = {
        "name": _title(bag),
        **kept,
        "inputs": [_relative(bag, out)],
        "topics": prepared.choice.topics,
        "site": str(options.descriptor.resolve()),
        "gps_cut": outcome.gps_cut,
        "gps": {
            "plan": options.gps,
            "start": options.start,
            "used": outcome.gps_used,
            "withheld": outcome.gps_withheld,
        },
        "through_ros": options.through_ros,
        "interrupted": outcome.interrupted,
        "warnings": [*problems, *outcome.warnings],
        "resources": outcome.resources,
        **more,
    }
    if mounting is not None:
        info["T_base_camera"] = [*mounting.translation.tolist(), *mounting.quaternion.tolist()]
    if prepared.truth_file is not None:
        info["truth"] = _relative(prepared.truth_file, out)
    (out / "run.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def _title(bag: Path) -> str:
    """The bag's name, or its folder's where it is called no more than `bag`, as `make-bag` and `record` call it."""
    return bag.resolve().parent.name if bag.stem == "bag" else bag.stem


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path.resolve(), folder.resolve())
