"""The sets of logs by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial import autopilot_logs, kitti, p4rtk
from geo_nav.evaluation.inertial.record import Record

Reader = Callable[[], Record]


@dataclass(frozen=True)
class LogSet:
    """Logs that make one row.

    Attributes:
        name: of the set.
        readers: one for each log; reading may raise an ``EvaluationError``.
    """

    name: str
    readers: tuple[Reader, ...]


def data_folder() -> Path:
    """GEO_NAV_DATA, or `../shared/data` beside the checkout."""
    return Path(os.environ.get("GEO_NAV_DATA") or "../shared/data")


def log_sets(names: Sequence[str], data: Path) -> tuple[list[LogSet], list[str]]:
    """The sets that there are.

    Args:
        names: of the sets wanted; empty for all.
        data: folder with ``flight_logs`` and ``p4rtk``.

    Returns:
        the sets, and a line for each that is absent.

    Raises:
        EvaluationError: there is no set of a name.
    """
    logs, rtk = data / "flight_logs", data / "p4rtk"
    cut = tuple(partial(p4rtk.cut_flight, rtk, *which) for which in p4rtk.cut_flights(rtk))
    raw = tuple(partial(p4rtk.raw_flight, path) for path in p4rtk.raw_flights(rtk))
    known = [
        LogSet("plane", (partial(autopilot_logs.plane, logs),) if logs.is_dir() else ()),
        *(
            LogSet(path.stem, (partial(autopilot_logs.quad, path),) if path.is_file() else ())
            for path in autopilot_logs.quads(logs)
        ),
        LogSet("p4rtk", cut),
        LogSet("p4rtk_raw", raw),
        LogSet("kitti", (partial(kitti.drive, kitti.folder()),)),
    ]
    unknown = [name for name in names if name not in {s.name for s in known}]
    if unknown:
        raise EvaluationError(f"there is no set {', '.join(unknown)}: use {', '.join(s.name for s in known)}")
    wanted = [s for s in known if not names or s.name in names]
    absent = [f"{s.name}: there are no logs in {data} (GEO_NAV_DATA)" for s in wanted if not s.readers]
    return [s for s in wanted if s.readers], absent
