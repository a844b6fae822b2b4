"""The simulated parts of `geo-nav bench fusion`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import geo_nav
from geo_nav.evaluation.bench.cells import CellStore
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.outages.cost import ENDURANCE, REAL_TIME, run_cost, run_endurance
from geo_nav.evaluation.outages.faults import FAULTS, Fault, run_fault
from geo_nav.evaluation.outages.journey import JourneyOptions
from geo_nav.evaluation.outages.outages import DURATION, OUTAGES, run_outages

PARTS = ("outages", "faults", "cost", "endurance")

_ROWS = tuple((vehicle, imu) for vehicle in ("aerial", "ground") for imu in ("mems", "tactical"))
_QUICK_DURATION, _QUICK_OUTAGES = 120.0, ((60.0, 70.0),)
_QUICK_FAULTS, _QUICK_COST, _QUICK_ENDURANCE = 2, 20.0, 240.0

Progress = Callable[[str, int, int], None]
Content = dict[str, Any]


@dataclass(frozen=True)
class SimulatedOptions:
    """All that a run depends on.

    Attributes:
        output: folder of the results.
        parts: of :data:`PARTS`.
        seeds: of the outages.
        quick: short journeys, one seed, two faults.
    """

    output: Path
    parts: tuple[str, ...] = PARTS
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    quick: bool = False

    def __post_init__(self) -> None:
        if not self.seeds or min(self.seeds) < 0:
            raise EvaluationError("the seeds must be numbers of 0 or more")


@cache
def fusion_digest() -> str:
    """Of the source that the cells depend on beside what the cell store knows."""
    digest = hashlib.sha256()
    root = Path(geo_nav.__file__).parent
    for room in ("fusion", "evaluation/outages"):
        for path in sorted((root / room).rglob("*.py")):
            if path.stem not in ("figures", "report", "run"):
                digest.update(str(path.relative_to(root)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run_simulated(
    options: SimulatedOptions,
    keep: Callable[[str, list[Content], bool], object] = lambda *_: None,
    progress: Progress = lambda *_: None,
) -> None:
    """Every part's rows; what is there already in the folder is not made again.

    Args:
        options: of the run.
        keep: called with a part's name, its rows so far, and whether these are all, whenever there is a new row.
        progress: called with what is being done, how much is done, and of how much.

    Raises:
        EvaluationError: the folder cannot be written.
    """
    store = CellStore(options.output / "cells")
    cells = [cell for part in options.parts for cell in _cells(part, options)]
    rows: dict[str, list[Content]] = {part: [] for part in options.parts}
    for done, (part, label, what, make) in enumerate(cells):
        progress(f"{part}: {' '.join(str(v) for v in label.values())}", done, len(cells))
        content = store.get(part, {"fusion": fusion_digest(), **what}, make)
        rows[part].append({**label, **content})
        keep(part, rows[part], done + 1 == len(cells) or cells[done + 1][0] != part)
    progress("", len(cells), len(cells))


_Cell = tuple[str, Content, Content, Callable[[], Content]]


def _cells(part: str, options: SimulatedOptions) -> list[_Cell]:
    """(part, what the row is called, what it depends on, how it is made) of each row."""
    if part == "outages":
        duration, blackouts = (_QUICK_DURATION, _QUICK_OUTAGES) if options.quick else (DURATION, OUTAGES)
        seeds = options.seeds[:1] if options.quick else options.seeds
        return [
            _outage_cell(JourneyOptions(vehicle, imu, seed, duration, blackouts=blackouts))
            for seed in seeds
            for vehicle, imu in _ROWS
        ]
    if part == "faults":
        return [_fault_cell(fault) for fault in (FAULTS[:_QUICK_FAULTS] if options.quick else FAULTS)]
    if part == "cost":
        seconds = _QUICK_COST if options.quick else REAL_TIME
        return [(part, {}, {"seconds": seconds}, lambda: run_cost(seconds))]
    seconds = _QUICK_ENDURANCE if options.quick else ENDURANCE
    return [(part, {}, {"seconds": seconds}, lambda: run_endurance(seconds))]


def _outage_cell(journey: JourneyOptions) -> _Cell:
    label = {"vehicle": journey.vehicle, "imu": journey.imu, "seed": journey.seed}
    return "outages", label, {**label, "duration": journey.duration}, lambda: run_outages(journey)


def _fault_cell(fault: Fault) -> _Cell:
    return "faults", {"fault": fault.name}, {"fault": fault.name}, lambda: run_fault(fault)
