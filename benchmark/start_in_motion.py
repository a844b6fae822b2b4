"""How long a vehicle that moves takes to start from GPS alone, with no attitude: the real logs of shared/data.

    python benchmark/start_in_motion.py [--sets plane,quad106] [--from 30 60 100 150]

From each of these seconds of a log on, IMU and GPS as they come (the logs' own rates). Heading and tilt are compared
with the autopilot's at the start and 40 s later (KITTI: with that of its reference), positions with the GPS itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from geo_nav.evaluation.inertial.record import Record
from geo_nav.evaluation.inertial.sources import data_folder, log_sets
from geo_nav.evaluation.inertial.start import give
from geo_nav.fusion import Fusion, ImuSample, NavState
from geo_nav.geodesy import Pose

WATCHED = 40.0
PERIOD = 0.2


def play(record: Record, begin: float, fusion: Fusion) -> Iterator[float]:
    """Give everything from a stamp on; yields the stamp after every update."""
    imu, fixes = record.imu, record.fixes
    k, due = int(np.searchsorted(fixes.stamps, begin)), begin
    for i in range(int(np.searchsorted(imu.stamps, begin)), len(imu.stamps)):
        t = float(imu.stamps[i])
        if t > begin + WATCHED:
            return
        fusion.add_imu(ImuSample(t, imu.acceleration[i], imu.angular_velocity[i]))
        while k < len(fixes.stamps) and fixes.stamps[k] <= t:
            give(fusion, fixes, k)
            k += 1
        if t >= due:
            fusion.update()
            due += PERIOD
            yield t


def errors(record: Record, state: NavState) -> tuple[float, float]:
    """Of heading and tilt against the log's attitude, degrees."""
    j = int(np.argmin(np.abs(record.attitudes.stamps - state.stamp)))
    E = state.T_map_base.rotation @ record.attitudes.rotations[j].as_matrix().T
    return float(np.degrees(np.arctan2(E[1, 0], E[0, 0]))), float(np.degrees(np.arccos(min(1.0, E[2, 2]))))


def row(record: Record, second: float) -> str:
    """Of the table."""
    begin = float(record.imu.stamps[0]) + second
    fusion = Fusion(record.config, record.frame, Pose.identity())
    started = ""
    for t in play(record, begin, fusion):
        state = fusion.state()
        if state is not None and not started:
            heading, tilt = errors(record, state)
            sigma = np.degrees(np.sqrt(state.pose_covariance[5, 5]))
            started = f"{t - begin:.1f} | {heading:+.1f} ± {sigma:.1f} | {tilt:.1f}"
    state = fusion.state()
    if state is None:
        return f"| {record.name} | {second:g} | – | – | – | – | – |"
    k = int(np.argmin(np.abs(record.fixes.stamps - state.stamp)))
    distance = np.linalg.norm(record.fixes.positions[k] - state.T_map_base.translation)
    return f"| {record.name} | {second:g} | {started} | {errors(record, state)[0]:+.1f} | {distance:.1f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="plane,quad106,quadOptFlowLogData,kitti")
    parser.add_argument("--from", dest="seconds", type=float, nargs="+", default=[30.0, 60.0, 100.0, 150.0])
    arguments = parser.parse_args()
    sets, absent = log_sets(arguments.sets.split(","), data_folder())
    print(
        "| log | from s | started after s | heading error ± sigma ° | tilt error ° | heading after 40 s ° | to GPS m |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    for log_set in sets:
        for reader in log_set.readers:
            record = reader()
            for second in arguments.seconds:
                print(row(record, second), flush=True)
    print("\n".join(absent))


if __name__ == "__main__":
    main()
