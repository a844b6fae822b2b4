"""The ArduPlane log and the two quads of https://github.com/priseborough/InertialNav."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.inertial.columns import csv_columns, text_columns
from geo_nav.evaluation.inertial.record import (
    Attitudes,
    Fixes,
    Imu,
    Record,
    flu_from_frd,
    rotation_from_aircraft_angles,
)
from geo_nav.fusion import FusionConfig
from geo_nav.geodesy import LocalFrame

Array = npt.NDArray[np.float64]

_START = 10.0
_PLANE_GPS_LAG = 0.32
"""Of the ArduPlane's GPS, s: data README."""

_GPS_SIGMAS = np.array([1.5, 1.5, 3.0])
"""Of a consumer GPS with a dilution of precision of 1.5 to 2, m."""

_EKF3_STEP = 0.012
"""Time step of ArduPilot's EKF3, s."""

AUTOPILOT = FusionConfig(
    accelerometer_noise=0.35 * math.sqrt(_EKF3_STEP),
    gyroscope_noise=0.015 * math.sqrt(_EKF3_STEP),
    accelerometer_bias_walk=0.02 * math.sqrt(_EKF3_STEP),
    gyroscope_bias_walk=1e-3 * math.sqrt(_EKF3_STEP),
)
"""The noise class of an autopilot's IMU in flight: the defaults of ArduPilot's EKF3 (EK3_ACC_P_NSE, EK3_GYRO_P_NSE,
EK3_ABIAS_P_NSE, EK3_GBIAS_P_NSE: a standard deviation a step of 12 ms) as densities.
"""

_QUAD_FILES = ("quad106.zip", "quadOptFlowLogData.zip")


def plane(folder: Path) -> Record:
    """`TestLog2_*.csv.gz`: ArduPlane, IMU 50 Hz, GPS 5 Hz with velocity.

    Raises:
        EvaluationError: a file is missing or damaged.
    """
    imu = csv_columns(folder / "TestLog2_imu.csv.gz", ["t", "ax", "ay", "az", "gx", "gy", "gz"])
    gps = csv_columns(folder / "TestLog2_gps.csv.gz", ["t", "lat", "lon", "alt", "speed", "course", "vd"])
    angles = csv_columns(folder / "TestLog2_att.csv.gz", ["t", "roll", "pitch", "yaw"])
    gps[:, 0] -= _PLANE_GPS_LAG
    return _record("plane", imu, gps, angles, (f"GPS lag {_PLANE_GPS_LAG:g} s (data README)",))


def quad(archive: Path) -> Record:
    """A quad's zip: IMU and GPS as the columns of the README beside it, stamps in milliseconds.

    Raises:
        EvaluationError: the archive is missing or damaged.
    """
    imu = text_columns(archive, 8, "IMU.txt")[:, [1, 5, 6, 7, 2, 3, 4]]
    gps = text_columns(archive, 14, "GPS.txt")[:, [2, 6, 7, 8, 10, 11, 12]]
    angles = text_columns(archive, 7, "ATT.txt")[:, [1, 2, 3, 4]]
    for table in (imu, gps, angles):
        table[:, 0] *= 1e-3
    # One row: start of alignment, start, end (s), delays of GPS velocity, GPS position and other sensors (ms).
    timing = np.array(text_columns(archive, 1, "timing.txt")).ravel()
    lag = 1e-3 * float(timing[4])
    gps[:, 0] -= lag
    return _record(archive.stem, imu, gps, angles, (f"GPS lag {lag:g} s (timing.txt)",))


def quads(folder: Path) -> list[Path]:
    """Where the archives lie, if they are there."""
    return [folder / name for name in _QUAD_FILES]


def _record(name: str, imu: Array, gps: Array, angles: Array, notes: tuple[str, ...]) -> Record:
    imu, gps, angles = (table[_advancing(table[:, 0])] for table in (imu, gps, angles))
    frame = LocalFrame(*(float(x) for x in gps[0, 1:4]))
    course = np.radians(gps[:, 5])
    velocities = np.column_stack([gps[:, 4] * np.sin(course), gps[:, 4] * np.cos(course), -gps[:, 6]])
    return Record(
        name=name,
        frame=frame,
        imu=Imu(imu[:, 0], flu_from_frd(imu[:, 1:4]), flu_from_frd(imu[:, 4:7])),
        fixes=Fixes(gps[:, 0], frame.from_geodetic(gps[:, 1], gps[:, 2], gps[:, 3]), _GPS_SIGMAS, velocities),
        attitudes=Attitudes(angles[:, 0], rotation_from_aircraft_angles(*angles[:, 1:4].T)),
        config=AUTOPILOT,
        start_seconds=_START,
        notes=notes,
    ).moving()


def _advancing(stamps: Array) -> npt.NDArray[np.bool_]:
    """(N,) which stamps are later than all before: loggers write a row twice now and then."""
    latest = np.maximum.accumulate(stamps)
    return np.append(True, stamps[1:] > latest[:-1])
