"""A simulated log in the form of the real ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from fusion_helpers import CONFIG, FRAME, World
from geo_nav.evaluation.inertial.record import Attitudes, Fixes, Imu, Record

SIGMAS = np.array([0.8, 0.8, 1.2])


def simulated_record(seed: int = 0, duration: float = 90.0, rate: float = 100.0, velocities: bool = True) -> Record:
    """The figure of eight of the fusion tests with 5 GPS fixes a second, white by their sigmas."""
    world = World(seed=seed, duration=duration, rate=rate)
    rng = np.random.default_rng([seed, 1])
    imu = Imu(
        world.stamps,
        np.array([s.acceleration for s in world.imu]),
        np.array([s.angular_velocity for s in world.imu]),
    )
    stamps = np.arange(0.1013, duration - 0.1, 0.2)
    positions = world.flight.position(stamps) + rng.normal(0.0, SIGMAS, (len(stamps), 3))
    velocity = world.flight.velocity(stamps) + rng.normal(0.0, 0.5, (len(stamps), 3))
    attitude = world.flight.rotation(stamps) * Rotation.from_rotvec(rng.normal(0.0, 0.03, (len(stamps), 3)))
    return Record(
        name="simulated",
        frame=FRAME,
        imu=imu,
        fixes=Fixes(stamps, positions, SIGMAS, velocity if velocities else None),
        attitudes=Attitudes(stamps, attitude),
        config=CONFIG.model_copy(update={"gps_correlation_time": 0.0}),
        start_seconds=10.0,
    )


def write_plane_log(record: Record, folder: Path) -> None:
    """The record as the ArduPlane's files have it: forward-right-down, degrees, GPS 0.32 s late."""
    folder.mkdir(parents=True)
    imu, fixes, flip = record.imu, record.fixes, np.array([1.0, -1.0, -1.0])
    _write(
        folder / "TestLog2_imu.csv.gz",
        "t,gx,gy,gz,ax,ay,az",
        np.column_stack([imu.stamps, imu.angular_velocity * flip, imu.acceleration * flip]),
    )
    # ENU ← FLU to NED ← FRD, then heading, pitch, roll.
    ned = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    rotations = Rotation.from_matrix(ned @ record.attitudes.rotations.as_matrix() @ np.diag(flip))
    angles = rotations.as_euler("ZYX", degrees=True)[:, ::-1]
    _write(
        folder / "TestLog2_att.csv.gz",
        "t,roll,pitch,yaw",
        np.column_stack([record.attitudes.stamps, angles]),
    )
    assert fixes.velocities is not None
    latitude, longitude, height = record.frame.to_geodetic(fixes.positions)
    east, north, up = fixes.velocities.T
    course = np.degrees(np.arctan2(east, north)) % 360.0
    _write(
        folder / "TestLog2_gps.csv.gz",
        "t,lat,lon,alt,speed,course,vd",
        np.column_stack([fixes.stamps + 0.32, latitude, longitude, height, np.hypot(east, north), course, -up]),
    )


def _write(path: Path, header: str, table: npt.NDArray[np.float64]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        np.savetxt(file, table, delimiter=",", header=header, comments="", fmt="%.10f")
