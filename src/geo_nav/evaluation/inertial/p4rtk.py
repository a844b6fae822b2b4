"""DJI P4-RTK flights with two Xsens DOT IMUs (Hurwitz & Klein 2023, arXiv 2310.13452)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.columns import csv_columns, file_text
from geo_nav.evaluation.inertial.mounting import Mounting, estimate_mounting
from geo_nav.evaluation.inertial.record import (
    Attitudes,
    Fixes,
    Imu,
    Record,
    enu_from_ned,
    noise_density,
    rotation_from_aircraft_angles,
)
from geo_nav.fusion import FusionConfig
from geo_nav.geodesy import LocalFrame, normal_gravity

Array = npt.NDArray[np.float64]

_SITE = LocalFrame(32.8257, 34.9559, 25.0)
"""Where the flights were made; the cut ones have no geodetic coordinates of their own."""

_RTK_SIGMAS = np.array([0.05, 0.05, 0.1])
"""m; heights are written to 0.1 m."""

_START_CUT, _START_RAW = 5.0, 10.0
_SEARCH_CUT, _SEARCH_RAW = 1.5, 5.0
"""The cut files begin within a second of one another; the raw ones are named by a wall clock of whole seconds, s."""

_LOCAL_TIME = 3 * 3600
"""The names of the raw IMU files are in Israel's summer time, s east of UTC."""

_ANGLES = ["roll(degrees)", "pitch(degrees)", "compass_heading(degrees)"]


def cut_flights(folder: Path) -> list[tuple[str, int]]:
    """(flight, IMU) of the files ``H??_IMU_?.csv.gz`` that there are."""
    found = sorted(folder.glob("H[0-9][0-9]_IMU_[12].csv.gz"))
    return [(path.name[:3], int(path.name[8])) for path in found]


def cut_flight(folder: Path, flight: str, number: int) -> Record:
    """One of the flights H01 to H27, 18 to 55 s long.

    Raises:
        EvaluationError: a file is missing or damaged, or clock and mounting cannot be found.
    """
    truth = csv_columns(folder / f"{flight}_GT.csv.gz", ["time", "North", "East", "Down", *_ANGLES])
    imu = _imu(folder / f"{flight}_IMU_{number}.csv.gz", "time", 1.0)
    positions = enu_from_ned(truth[:, 1:4])
    fixes = Fixes(truth[:, 0], positions, _RTK_SIGMAS)
    return _record(f"{flight}/{number}", imu, fixes, truth[:, 4:7], _START_CUT, _SEARCH_CUT)


def raw_flights(folder: Path) -> list[Path]:
    """The continuous IMU files that there are."""
    return sorted(folder.glob("RAW_Xsens_DOT*.csv.gz"))


def raw_flight(path: Path) -> Record:
    """What a continuous IMU file has of the long flight.

    Raises:
        EvaluationError: a file is missing or damaged, or clock and mounting cannot be found.
    """
    logs = sorted(path.parent.glob("RAW_*Airdata.csv.gz"))
    named = re.search(r"DOT(\d)_\w+_\d{8}_(\d\d)(\d\d)(\d\d)\.csv", path.name)
    if not logs or named is None:
        raise EvaluationError(f"{path}: no RAW_*Airdata.csv.gz beside it, or no time in its name")
    names = ["time(millisecond)", "latitude", "longitude", "height_above_takeoff(meters)", *_ANGLES]
    truth = csv_columns(logs[0], names)
    truth[:, 0] *= 1e-3
    imu = _imu(path, "SampleTimeFine", 1e-6)
    clock = 3600 * int(named[2]) + 60 * int(named[3]) + int(named[4]) - _LOCAL_TIME
    stamps = imu.stamps - imu.stamps[0] + truth[_row_at(logs[0], clock), 0]
    near = (truth[:, 0] > stamps[0] - _SEARCH_RAW) & (truth[:, 0] < stamps[-1] + _SEARCH_RAW)
    if near.sum() < 100:
        raise EvaluationError(f"{path}: the drone's log does not cover its time")
    truth = truth[near]
    fixes = Fixes(truth[:, 0], _SITE.from_geodetic(*(truth[:, k] for k in (1, 2, 3))), _RTK_SIGMAS)
    name = f"raw {named[2]}{named[3]}{named[4]}/{named[1]}"
    imu = Imu(stamps, imu.acceleration, imu.angular_velocity)
    return _record(name, imu, fixes, truth[:, 4:7], _START_RAW, _SEARCH_RAW).moving()


def _row_at(path: Path, second: int) -> int:
    """The row of the drone's log that was written at a second of the day (UTC): its stamps leave out pauses."""
    rows = file_text(path).splitlines()[1:]
    for number, row in enumerate(rows):
        hours, minutes, seconds = (int(x) for x in (re.findall(r" (\d\d):(\d\d):(\d\d)", row) or [(0, 0, 0)])[0])
        if 3600 * hours + 60 * minutes + seconds >= second:
            return number
    raise EvaluationError(f"{path}: nothing at second {second} of the day (UTC)")


def _imu(path: Path, time: str, unit: float) -> Imu:
    """Samples in the IMU's own axes; the raw files begin with a row of zeros, and some rows come twice."""
    table = csv_columns(path, [time, "Acc_X", "Acc_Y", "Acc_Z", "Gyr_X", "Gyr_Y", "Gyr_Z"])
    table = table[np.linalg.norm(table[:, 1:4], axis=1) > 0.0]
    later = np.append(True, np.diff(table[:, 0]) > 0.0)
    table = table[later]
    return Imu(table[:, 0] * unit, table[:, 1:4], np.radians(table[:, 4:7]))


def _record(name: str, imu: Imu, fixes: Fixes, angles: Array, start: float, search: float) -> Record:
    attitudes = Attitudes(fixes.stamps, rotation_from_aircraft_angles(*angles.T))
    gravity = float(normal_gravity(_SITE.latitude, _SITE.height))
    try:
        mounting = estimate_mounting(imu, attitudes, gravity, search)
    except EvaluationError as error:
        raise EvaluationError(f"{name}: {error}") from error
    imu = mounting.apply(imu)
    record = Record(
        name, _SITE, imu, fixes, attitudes, _config(imu, float(fixes.stamps[0]) + start), start, (_told(mounting),)
    )
    return record.between(float(imu.stamps[0]), float(imu.stamps[-1]))


def _config(imu: Imu, until: float) -> FusionConfig:
    """RTK, and an IMU on a frame that vibrates: its noise as it is in the time of the start."""
    first = imu.stamps < max(until, float(imu.stamps[0]) + 2.0)
    defaults = FusionConfig()
    return FusionConfig(
        accelerometer_noise=max(
            defaults.accelerometer_noise, noise_density(imu.acceleration[first], imu.stamps[first])
        ),
        gyroscope_noise=max(defaults.gyroscope_noise, noise_density(imu.angular_velocity[first], imu.stamps[first])),
        gps_sigma_floor=float(_RTK_SIGMAS.min()),
        gps_correlation_time=0.0,
    )


def _told(m: Mounting) -> str:
    return (
        f"clock {m.offset:+.3f} s, yaw {np.degrees(m.yaw):+.1f}°, tilt {np.degrees(m.tilt):.1f}°, "
        f"scale {m.scale:.3f}, correlation {m.agreement:.2f}"
    )
