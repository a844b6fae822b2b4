"""What each sensor of the factor graph is worth while there is no fix, in simulation.

    python benchmark/sensors.py [--seeds 4]

An aircraft with a fix at 5 Hz for 20 s and then none for 60 s, with and without barometer and dual antenna; a ground
vehicle with 30 s and 60 s, with and without wheels and the detection of standstill. Errors are RMS over the last ten
seconds and all seeds, NEES is over all the time without fixes. The last column is the median time of an update.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("src", "test")]

from fusion_helpers import World, new_fusion  # noqa: E402
from geo_nav.fusion.sensors.heading import HeadingConfig  # noqa: E402
from geo_nav.fusion.sensors.standstill import StandstillConfig  # noqa: E402
from sensor_helpers import BAROMETER, Event, directions, drive, play, pressures, speeds  # noqa: E402

AIR: dict[str, Callable[[World], list[Event]]] = {
    "nothing": lambda world: [],
    "barometer": lambda world: pressures(world)[0],
    "dual antenna": lambda world: directions(world, "heading", HeadingConfig()),
    "barometer and dual antenna": lambda world: [
        *pressures(world)[0],
        *directions(world, "heading", HeadingConfig()),
    ],
}
GROUND: dict[str, tuple[bool, bool]] = {
    "nothing": (False, False),
    "standstill": (False, True),
    "wheels": (True, False),
    "wheels and standstill": (True, True),
}


def row(name: str, vehicle: str, worlds: list[World], fixes_until: float, wheels: bool, still: bool) -> None:
    """Fly or drive all worlds, and print one line of the table."""
    squares, nees, milliseconds = [], [], []
    for world in worlds:
        fusion = new_fusion(barometer=BAROMETER, standstill=StandstillConfig(enabled=still))
        fixes = [f for f in world.fixes if 0.6 < f.stamp < fixes_until]
        events = AIR[name](world) if vehicle == "aircraft" else speeds(world) if wheels else []
        trace = play(fusion, world, fixes, events)
        end = trace.after(world.duration - 10.0)
        horizontal = (end.position_errors[:, :2] ** 2).sum(axis=1).mean()
        squares.append([horizontal, (end.position_errors[:, 2] ** 2).mean(), (end.heading_errors**2).mean()])
        nees.append(trace.after(fixes_until + 2.0).nees(50).mean() / 6.0)
        milliseconds.append(fusion.status().update_milliseconds)
    horizontal, vertical, heading = np.sqrt(np.mean(squares, axis=0))
    print(
        f"| {vehicle} | {name} | {horizontal:.1f} | {vertical:.2f} | {np.degrees(heading):.2f} | {np.mean(nees):.2f} "
        f"| {np.median(milliseconds):.1f} |",
        flush=True,
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    seeds = range(60, 60 + parser.parse_args().seeds)
    print("| vehicle | sensors | horizontal, m | vertical, m | heading, ° | NEES/6 | update, ms |")
    print("|---|---|---|---|---|---|---|")
    air = [World(seed=seed, duration=80.0, rate=50.0) for seed in seeds]
    for name in AIR:
        row(name, "aircraft", air, 20.0, False, False)
    ground = [drive(seed, 90.0) for seed in seeds]
    for name, (wheels, still) in GROUND.items():
        row(name, "ground vehicle", ground, 30.0, wheels, still)


if __name__ == "__main__":
    main()
