"""How often the protection levels are exceeded, and what each outlier policy is worth, in simulation.

    python benchmark/integrity.py levels [--seeds 20]
    python benchmark/integrity.py policies [--seeds 8]
    python benchmark/integrity.py fault [--seeds 8]
    python benchmark/integrity.py logs

`levels`: flights of 60 s with a fix at 5 Hz whose sigmas are right (its errors independent, or correlated over 2 s and
taken for that), too small by 1.4 and by 2, and with one fix in 20 or in 5 wrong; looked at five times a second from
10 s on. `policies`: flights of 30 s with shares of fixes that are wrong by 3 to 6 sigma, once in directions of their
own and once all in one; error and NEES from 5 s on, at 2.5 Hz.
`fault`: flights of 14 s in which one fix at 11 s is off to the north by the most that the gate lets pass, found by
bisection; how far that moves the output, beside the flight without it.
`logs`: real inertial logs of GEO_NAV_DATA with a GPS fix every second or five; the others are withheld and compared
with the levels.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("src", "test")]

from fusion_helpers import FIX_SIGMAS, Fix, World, give_fix, new_fusion, run  # noqa: E402
from geo_nav.evaluation.inertial.estimators import Ours  # noqa: E402
from geo_nav.evaluation.inertial.protocol import plan  # noqa: E402
from geo_nav.evaluation.inertial.record import Record  # noqa: E402
from geo_nav.evaluation.inertial.sources import data_folder, log_sets  # noqa: E402
from geo_nav.evaluation.inertial.start import Start, find_start  # noqa: E402
from geo_nav.fusion.config import RobustLoss  # noqa: E402
from geo_nav.geodesy import Pose  # noqa: E402

Array = npt.NDArray[np.float64]

LARGEST_FAULT = 32.0
"""Offset that no gate takes: where the search for its edge begins, m."""

LEVELS = ("horizontal_95", "horizontal_999", "vertical_95", "vertical_999")


def flown(
    seed: int,
    duration: float,
    claim: float = 1.0,
    wrong: float = 0.0,
    one_sided: bool = False,
    correlation_time: float = 0.0,
) -> World:
    """A flight whose fixes claim ``claim`` times their sigmas, and of which a share is 3 to 6 sigma off."""
    world = World(seed=seed, duration=duration, rate=50.0)
    rng = np.random.default_rng([seed, 99])
    side = rng.normal(size=3)
    if correlation_time > 0.0:
        world.correlate_fixes(correlation_time, rng)
    fixes = []
    for fix in world.fixes:
        direction = side if one_sided else rng.normal(size=3)
        offset = rng.uniform(3.0, 6.0) * FIX_SIGMAS[:3] * direction / np.linalg.norm(direction)
        # The first second is left alone: what a wrong start does is another question.
        offset *= rng.random() < wrong and fix.stamp > 1.0
        pose = Pose(fix.T_map_camera.rotation, fix.T_map_camera.translation + offset)
        fixes.append(Fix(fix.stamp, fix.arrival, pose, fix.covariance * claim**2))
    world.fixes = fixes
    return world


def watched(world: World, correlation_time: float) -> tuple[Array, Array, str]:
    """Errors (N, 2) horizontal and vertical, the levels (N, 4) beside them, and the last verdict."""
    fusion, waiting, next_update = new_fusion(fix_correlation_time=correlation_time), list(world.fixes), 0.0
    errors, levels = [], []
    for sample in world.imu:
        fusion.add_imu(sample)
        while waiting and waiting[0].arrival <= sample.stamp:
            give_fix(fusion, waiting.pop(0))
        if sample.stamp < next_update:
            continue
        fusion.update()
        next_update += 0.2
        state = fusion.state()
        if state is not None and sample.stamp > 10.0:
            error = state.T_map_base.translation - world.flight.position(state.stamp)
            errors.append([np.hypot(*error[:2]), abs(error[2])])
            levels.append([getattr(fusion.status().levels, name) for name in LEVELS])
    return np.array(errors), np.array(levels), fusion.status().consistency["pose"].verdict.name.lower()


def compare_levels(seeds: int) -> None:
    """Print the table of the levels."""
    print("| fixes | beyond 95 %: horizontal | vertical | beyond 99.9 %: horizontal | vertical | NIS verdicts |")
    print("|---|---|---|---|---|---|")
    cases = {
        "honest": {},
        "honest, errors correlate over 2 s": {"correlation_time": 2.0},
        "sigmas too small by 1.4": {"claim": 1.0 / 1.4},
        "sigmas too small by 2": {"claim": 0.5},
        "5 % wrong": {"wrong": 0.05},
        "20 % wrong": {"wrong": 0.2},
        "20 % wrong, to one side": {"wrong": 0.2, "one_sided": True},
    }
    for name, case in cases.items():
        tau = case.get("correlation_time", 0.0)
        flights = [watched(flown(seed, 60.0, **case), tau) for seed in range(1000, 1000 + seeds)]
        errors, levels = (np.concatenate([f[i] for f in flights]) for i in (0, 1))
        beyond = 100.0 * (np.repeat(errors, 2, axis=1) > levels).mean(axis=0)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(f[2] for f in flights).items())
        print(
            f"| {name} | {beyond[0]:.1f} % | {beyond[2]:.1f} % | {beyond[1]:.2f} % | {beyond[3]:.2f} % | {verdicts} |",
            flush=True,
        )


def worst_fault(seeds: int) -> None:
    """Print the table of the single fault."""
    print("| fixes | loss | offset of the fix, m: mean, most | output moves by, m: mean, most | 95 % level, m |")
    print("|---|---|---|---|---|")
    for rate in (5.0, 1.0):
        for loss in ("huber", "gnc"):
            offsets, shifts, levels = [], [], []
            for seed in range(40, 40 + seeds):
                world = World(seed=seed, duration=14.0, rate=50.0, fix_rate=rate)
                undisturbed, _, level = _disturbed(world, loss, 0.0)
                low, high, shift = 0.0, LARGEST_FAULT, 0.0
                for _ in range(7):
                    middle = 0.5 * (low + high)
                    moved, taken, _ = _disturbed(world, loss, middle)
                    low, high = (middle, high) if taken else (low, middle)
                    if taken:
                        shift = np.linalg.norm(moved - undisturbed, axis=1).max()
                offsets.append(low)
                shifts.append(shift)
                levels.append(level)
            print(
                f"| {rate:g} Hz | {loss} | {np.mean(offsets):.2f}, {max(offsets):.2f} "
                f"| {np.mean(shifts):.2f}, {max(shifts):.2f} | {np.mean(levels):.2f} |",
                flush=True,
            )


def _disturbed(world: World, loss: str, offset: float) -> tuple[Array, bool, float]:
    """Positions (N, 3) from 11.2 s on, whether the fix was taken, and the horizontal 95 % level at the end."""
    fixes = list(world.fixes)
    k = next(i for i, fix in enumerate(fixes) if fix.stamp > 11.0)
    pose = fixes[k].T_map_camera
    pose = Pose(pose.rotation, pose.translation + np.array([0.0, offset, 0.0]))
    fixes[k] = Fix(fixes[k].stamp, fixes[k].arrival, pose, fixes[k].covariance)
    fusion, taken, next_update, positions = new_fusion(robust_loss=loss), False, 0.0, []
    for sample in world.imu:
        state = fusion.add_imu(sample)
        while fixes and fixes[0].arrival <= sample.stamp:
            give_fix(fusion, fixes.pop(0))
        if sample.stamp >= next_update:
            taken |= any(o.used and o.stamp == world.fixes[k].stamp for o in fusion.update().fixes)
            next_update += 0.1
        if state is not None and sample.stamp > 11.2:
            positions.append(state.T_map_base.translation)
    return np.array(positions), taken, fusion.status().levels.horizontal_95


def compare_logs() -> None:
    """Print the table of the real logs."""
    print("| log | interval, s | beyond 95 %: horizontal | vertical | beyond 99.9 %: horizontal | vertical "
          "| without bound | NIS at the end |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    sets, absent = log_sets(("plane", "quad106", "quadOptFlowLogData"), data_folder())
    for line in absent:
        print(line, file=sys.stderr)
    for log_set in sets:
        record = log_set.readers[0]()
        start = find_start(record)
        for interval in (1.0, 5.0):
            beyond, unbounded, verdict = _against_withheld(record, start, interval)
            shares = " | ".join(f"{100.0 * share:.1f} %" for share in beyond[[0, 2, 1, 3]])
            print(f"| {log_set.name} | {interval:g} | {shares} | {100.0 * unbounded:.1f} % | {verdict} |", flush=True)


def _against_withheld(record: Record, start: Start, interval: float) -> tuple[Array, float, str]:
    """Shares (4,) of the withheld fixes beyond each level that has a bound, the share without, and the last NIS."""
    chosen = plan(record, start, interval)
    given, scored, ours = set(chosen.given.tolist()), set(chosen.scored.tolist()), Ours(record, start)
    imu, fixes = record.imu, record.fixes
    following = int(np.searchsorted(fixes.stamps, start.belief.stamp, side="right"))
    beyond, unbounded = [], []
    for sample in range(start.sample, len(imu.stamps) - 1):
        ours.imu(float(imu.stamps[sample]), imu.acceleration[sample], imu.angular_velocity[sample])
        while following < len(fixes.stamps) and fixes.stamps[following] < imu.stamps[sample + 1]:
            if following in scored:
                ahead = float(fixes.stamps[following] - imu.stamps[sample])
                error = ours.estimate().after(ahead).position - fixes.positions[following]
                found = ours.fusion.status().levels
                levels = np.array([getattr(found, name) for name in LEVELS])
                unbounded.append(np.isinf(levels[0]))
                if not unbounded[-1]:
                    beyond.append(np.repeat([np.hypot(*error[:2]), abs(error[2])], 2) > levels)
            if following in given:
                ours.fix(following)
            following += 1
    gps = ours.fusion.status().consistency.get("gps")
    told = "no fix was compared" if gps is None else f"{gps.verdict.name.lower()} ({gps.nis:.2f})"
    return np.mean(beyond, axis=0), float(np.mean(unbounded)), told


def compare_policies(seeds: int) -> None:
    """Print the table of the policies."""
    cases = {
        "none wrong": {},
        "5 %": {"wrong": 0.05},
        "20 %": {"wrong": 0.2},
        "20 %, to one side": {"wrong": 0.2, "one_sided": True},
    }
    print("| loss | " + " | ".join(f"{name}: RMS, m | NEES/6" for name in cases) + " | update, ms |")
    print("|---" * (2 * len(cases) + 2) + "|")
    for loss in get_args(RobustLoss):
        cells, milliseconds = [], []
        for case in cases.values():
            squares, nees = [], []
            for seed in range(2000, 2000 + seeds):
                fusion = new_fusion(robust_loss=loss)
                trace = run(fusion, flown(seed, 30.0, **case), update_every=0.2).after(5.0)
                squares.append(trace.rms**2)
                nees.append(trace.nees(20).mean() / 6.0)
                milliseconds.append(fusion.status().update_milliseconds)
            cells.append(f"{np.sqrt(np.mean(squares)):.3f} | {np.mean(nees):.2f}")
        print(f"| {loss} | {' | '.join(cells)} | {np.median(milliseconds):.1f} |", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["levels", "policies", "fault", "logs"])
    parser.add_argument("--seeds", type=int)
    arguments = parser.parse_args()
    if arguments.what == "levels":
        compare_levels(arguments.seeds or 20)
    elif arguments.what == "policies":
        compare_policies(arguments.seeds or 8)
    elif arguments.what == "fault":
        worst_fault(arguments.seeds or 8)
    else:
        compare_logs()


if __name__ == "__main__":
    main()
