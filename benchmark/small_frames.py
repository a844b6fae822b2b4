"""What small frames can tell: those of simulated sets at several widths, at their own places and at wrong ones.

    python benchmark/small_frames.py [--sets flight same_day …] [--widths 320 240] [--frames 50] [--tries 40]

Tight priors (see docs/benchmarks.md) and the flight's defaults, frames reduced by area. For each set and width: how
many frames are accepted at their own place, of how many the evidence suffices, whatever other gates say, and the worst
of those accepted; then the tries at wrong places, how many of them are accepted, and the strongest evidence (log10
of the false alarms, 0 where no pose was agreed on). Wrong places are tried twice: as they are, and with all windows,
whether they stand out or not (``ratio`` 1), so that there is something to agree by chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from geo_nav.evaluation.bench.accuracy import at_limit, opened
from geo_nav.evaluation.bench.frame_sets import BenchFrame, FrameSet
from geo_nav.evaluation.bench.laws import LAWS
from geo_nav.evaluation.bench.results import QueryResult
from geo_nav.evaluation.bench.simulated_sets import FLIGHT, FlightSet, open_condition_set
from geo_nav.evaluation.bench.station import Query, Station, frame_queries
from geo_nav.evaluation.bench.wrong_places import KINDS, wrong_queries
from geo_nav.geodesy import Pose
from geo_nav.registration import RegistrationConfig
from geo_nav.site import SiteModel

LAW = LAWS["tight"]
MATCHER = "xfeat_orientation"


def main() -> None:
    """Measures every set at every width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=[FLIGHT, "same_day", "oblique"])
    parser.add_argument("--widths", nargs="+", type=int, default=[320, 240])
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--tries", type=int, default=40, help="of each kind of wrong place; half have tight priors")
    parser.add_argument("--seed", type=int, default=3, help="of priors and tries")
    parser.add_argument("--world-seed", type=int, default=7)
    parser.add_argument("--worlds", type=Path, default=Path("build/worlds"))
    given = parser.parse_args()
    table = Table(
        "set", "width", "accepted", "evidence", "worst m", "worst σ", "wrong: tries", "accepted", "log10", "all windows"
    )
    for name in given.sets:
        full = (
            FlightSet(False, given.world_seed, given.worlds)
            if name == FLIGHT
            else open_condition_set(name, given.world_seed, given.worlds)
        )
        for width in given.widths:
            table.add_row(name, str(width), *measured(Reduced(full, width), given.frames, given.tries, given.seed))
        full.close()
    Console(width=120).print(table)


class Reduced:
    """A frame set at a smaller width; the set that it is made from stays open.

    Args:
        full: the set.
        width: of its frames, pixels.
    """

    def __init__(self, full: FrameSet, width: int) -> None:
        self._full = full
        self.name, self.description, self.config = full.name, full.description, full.config
        self.camera = full.camera.resized(width)

    def load_site(self) -> SiteModel:
        """That of the full set."""
        return self._full.load_site()

    def frames(self, count: int) -> Sequence[BenchFrame]:
        """Those of the full set, reduced."""
        size = (self.camera.width, self.camera.height)
        return [
            replace(frame, source=cv2.resize(frame.read(), size, interpolation=cv2.INTER_AREA))
            for frame in self._full.frames(count)
        ]

    def places(self) -> Sequence[Pose]:
        """Those of the full set."""
        return self._full.places()

    def close(self) -> None:
        """Nothing of its own is held."""


def measured(frames: FrameSet, count: int, tries: int, seed: int) -> list[str]:
    """The cells of a row."""
    limit = RegistrationConfig().max_log10_false_alarms
    with Station(frames) as station:
        own = registered(station, frame_queries(list(frames.frames(count)), LAW, seed))
        offered = [q for kind in KINDS for q in wrong_queries(station, kind, tries, count, seed, []) if q.law is LAW]
        wrong = registered(station, offered)
        loose = registered(station, offered, ratio=1.0)
    right, false = at_limit(own, limit), at_limit([*wrong, *loose], limit)
    return [
        f"{len(right.accepted)} of {len(own)}",
        str(sum(result.log10_false_alarms <= limit for result in own)),
        f"{right.largest('error_m'):.1f}",
        f"{right.largest('error_sigmas'):.1f}",
        str(len(wrong)),
        str(len(false.accepted)),
        f"{min(result.log10_false_alarms for result in wrong):.1f}",
        f"{min(result.log10_false_alarms for result in loose):.1f}",
    ]


def registered(station: Station, queries: Sequence[Query], **options: float) -> list[QueryResult]:
    """What becomes of queries with the gate on false alarms open."""
    registrar = station.registrar(MATCHER, opened(station.frame_set.config), {"threads": 1, **options})
    return [station.register(registrar, query)[1] for query in queries]


if __name__ == "__main__":
    main()
