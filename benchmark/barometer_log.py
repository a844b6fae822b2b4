"""What the barometer of a real aircraft is worth while GPS is withheld: the ArduPlane log of shared/data.

    python benchmark/barometer_log.py [--seconds 60] [--from 290 330 400 470]

Forty seconds with GPS, then none. The height is compared with the GPS that is withheld, which is good to a few metres
itself (on the ground it drifted by 3.3 m RMS against the barometer). Defaults throughout.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from geo_nav.fusion import Fusion, FusionConfig, ImuSample
from geo_nav.geodesy import LocalFrame, Pose

FOLDER = Path(os.environ.get("GEO_NAV_DATA", "../shared/data")) / "flight_logs"
FLIP = np.diag([1.0, -1.0, -1.0])
ENU_FROM_NED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
GPS_LAG = 0.32

Event = tuple[float, Callable[[Fusion], None]]


def read(name: str) -> np.ndarray:
    """A table of the log, (N, columns)."""
    return np.genfromtxt(FOLDER / f"TestLog2_{name}.csv.gz", delimiter=",", skip_header=1)


def events(begin: float, out: float, end: float, gps: np.ndarray, enu: np.ndarray, barometer: bool) -> list[Event]:
    """GPS until ``out``, the autopilot's attitude for the start, pressure altitudes; in order of arrival."""
    found: list[Event] = []
    for row, place in zip(gps, enu, strict=True):
        if begin < row[0] < out:
            course = np.radians(row[8])
            velocity = np.array([row[7] * np.sin(course), row[7] * np.cos(course), -row[9]])
            found.append(
                (
                    row[0] + GPS_LAG,
                    lambda f, t=row[0], p=place, v=velocity: f.add_gps(t, p, np.diag([2.0, 2.0, 4.0]) ** 2, v),
                )
            )
    for t, roll, pitch, yaw in read("att")[::25]:
        if begin < t < begin + 10.0:
            body = Rotation.from_euler("ZYX", [yaw, pitch, roll], degrees=True).as_matrix()
            found.append((t, lambda f, t=t, R=ENU_FROM_NED @ body @ FLIP: f.add_attitude(t, R)))
    if barometer:
        for t, _, altitude in read("baro_airspeed"):
            if begin < t < end:
                found.append((t + 0.05, lambda f, t=t, a=altitude: f.add_pressure_altitude(t, a)))
    return sorted(found, key=lambda event: event[0])


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--from", dest="starts", type=float, nargs="+", default=[290.0, 330.0, 400.0, 470.0])
    arguments = parser.parse_args()
    imu, gps = read("imu"), read("gps")
    gps = gps[gps[:, 1] >= 3]
    gps[:, 0] -= GPS_LAG
    frame = LocalFrame(*(float(x) for x in gps[0, 4:7]))
    enu = np.array([frame.from_geodetic(*row) for row in gps[:, 4:7]])
    print("| from, s | barometer | height RMS, m | of the last 10 s, m | claimed at the end, m | used, refused |")
    print("|---|---|---|---|---|---|")
    for out in arguments.starts:
        for barometer in (False, True):
            fusion = Fusion(FusionConfig(), frame, Pose.identity())
            end, heights, due = out + arguments.seconds, [], 0.0
            waiting = events(out - 40.0, out, end, gps, enu, barometer)[::-1]
            for row in imu[(imu[:, 0] > out - 40.0) & (imu[:, 0] < end)]:
                state = fusion.add_imu(ImuSample(float(row[0]), FLIP @ row[4:7], FLIP @ row[1:4]))
                if state is not None and row[0] > out:
                    heights.append((state.stamp, state.T_map_base.translation[2]))
                while waiting and waiting[-1][0] <= row[0]:
                    waiting.pop()[1](fusion)
                if row[0] >= due:
                    fusion.update()
                    due = row[0] + 0.2
            stamps, z = np.array(heights).T
            scored = (gps[:, 0] > stamps[0]) & (gps[:, 0] < stamps[-1])
            error = np.interp(gps[scored, 0], stamps, z) - enu[scored, 2]
            status = fusion.status()
            count = status.measurements.get("barometer")
            last = error[gps[scored, 0] > end - 10.0]
            print(
                f"| {out:g} | {'with' if barometer else 'without'} | {np.sqrt((error**2).mean()):.1f} "
                f"| {np.sqrt((last**2).mean()):.1f} | {status.vertical_sigma:.1f} "
                f"| {f'{count.used}, {count.refused}' if count else '–'} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
