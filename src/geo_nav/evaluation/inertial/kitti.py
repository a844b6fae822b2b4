"""The KITTI drive that comes inside the gtsam wheel."""

from __future__ import annotations

from pathlib import Path

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.columns import text_columns
from geo_nav.evaluation.inertial.record import Attitudes, Fixes, Imu, Record
from geo_nav.fusion import FusionConfig
from geo_nav.geodesy import LocalFrame

Array = npt.NDArray[np.float64]

_KARLSRUHE = LocalFrame(49.01, 8.42, 115.0)
"""The drive is in local metres; for gravity and the Earth's rotation this is near enough."""

_START = 10.0
_SIGMAS = np.array([0.5, 0.5, 1.0])
"""Of the fixes, m: a GPS with corrections."""

_COURSE_STEP = 2.0
"""Between two fixes as far apart as this a course is taken, m."""


def folder() -> Path:
    """`Data` of the installed gtsam."""
    return Path(gtsam.__file__).parent / "Data"


def drive(data: Path) -> Record:
    """IMU 100 Hz, 470 s, GPS 1 Hz, 3.7 km; noise as in the metadata beside it.

    There is no autopilot: the attitude of the start is that of a car that drives along its course on level ground.

    Raises:
        EvaluationError: a file is missing or damaged.
    """
    imu = text_columns(data / "KittiEquivBiasedImu.txt", 8, skip=1)[1:]  # the first row is a dummy
    gps = text_columns(data / "KittiGps_converted.txt", 4, skip=1, delimiter=",")
    noise = _metadata(data / "KittiEquivBiasedImu_metadata.txt")
    origin = float(imu[0, 0])
    stamps, positions = gps[:, 0] - origin, gps[:, 1:4]
    inside = (stamps >= 0.0) & (stamps < imu[-1, 0] - origin)
    stamps, positions = stamps[inside], positions[inside]
    config = FusionConfig(
        accelerometer_noise=noise["AccelerometerSigma"],
        gyroscope_noise=noise["GyroscopeSigma"],
        accelerometer_bias_walk=noise["AccelerometerBiasSigma"],
        gyroscope_bias_walk=noise["GyroscopeBiasSigma"],
    )
    return Record(
        name="kitti",
        frame=_KARLSRUHE,
        imu=Imu(imu[:, 0] - origin, imu[:, 2:5], imu[:, 5:8]),
        fixes=Fixes(stamps, positions, _SIGMAS),
        attitudes=_course(stamps, positions),
        config=config,
        start_seconds=_START,
        notes=("attitude of the start: level, along the course",),
    )


def _metadata(path: Path) -> dict[str, float]:
    """The named numbers of the metadata file.

    Raises:
        EvaluationError: the file cannot be read, or names and numbers do not pair up.
    """
    try:
        names, numbers = (line.split() for line in path.read_text(encoding="ascii").strip().splitlines())
        found = dict(zip(names, map(float, numbers), strict=True))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    wanted = ("AccelerometerSigma", "GyroscopeSigma", "AccelerometerBiasSigma", "GyroscopeBiasSigma")
    missing = [name for name in wanted if name not in found]
    if missing:
        raise EvaluationError(f"{path}: no {', '.join(missing)}")
    return found


def _course(stamps: Array, positions: Array) -> Attitudes:
    """Level attitudes half-way between fixes, by the course between them."""
    step = np.diff(positions, axis=0)
    moved = np.linalg.norm(step[:, :2], axis=1) > _COURSE_STEP
    yaw = np.arctan2(step[moved, 1], step[moved, 0])
    return Attitudes(((stamps[1:] + stamps[:-1]) / 2.0)[moved], Rotation.from_euler("z", yaw[:, None]))
