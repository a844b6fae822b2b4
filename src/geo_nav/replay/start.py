"""A start from a pose that is given, in place of GPS."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.fusion import Fusion
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.replay.config import ReplayConfig
from geo_nav.replay.errors import ReplayError

Array = npt.NDArray[np.float64]

_VELOCITY_SPAN = 0.2
"""Seconds of truth over which its velocity is taken."""


@dataclass(frozen=True, eq=False)
class GivenStart:
    """A state to start from.

    Attributes:
        stamp: s; None takes the first IMU sample's.
        T_map_base: `base_link` in `map`.
        covariance: (6, 6) ROS order, m and rad.
        velocity: (3,) in `map`, m/s; None where nobody knows it.
        velocity_sigma: 1 sigma of an axis of it, m/s.
    """

    stamp: float | None
    T_map_base: Pose
    covariance: Array
    velocity: Array | None = None
    velocity_sigma: float = math.nan

    def give(self, fusion: Fusion, first_imu: float) -> float:
        """Has fusion start from it; its stamp.

        Args:
            fusion: that has no state yet.
            first_imu: stamp of the first IMU sample, s.
        """
        stamp = first_imu if self.stamp is None else self.stamp
        spread = None if self.velocity is None else np.eye(3) * self.velocity_sigma**2
        fusion.set_pose(stamp, self.T_map_base, self.covariance, self.velocity, spread)
        return stamp


def start_from_truth(truth: TimedPoses, first_imu: float, config: ReplayConfig) -> GivenStart:
    """The true pose and velocity at the first of the truth's stamps that the IMU has.

    Args:
        truth: `base_link` in `map`, with orientation.
        first_imu: stamp of the first IMU sample, s.
        config: the sigmas that are claimed for it.

    Raises:
        ReplayError: truth does not reach there.
    """
    stamps = truth.stamps[truth.stamps >= first_imu]
    if len(stamps) < 2:
        raise ReplayError(f"there is no truth after the first IMU sample, {first_imu:.3f} s: nothing to start from")
    begin = float(stamps[0])
    end = min(begin + _VELOCITY_SPAN, float(stamps[-1]))
    poses = truth.at([begin, end])
    velocity = (poses.positions[1] - poses.positions[0]) / (end - begin)
    sigma = np.repeat([config.start_position_sigma, config.start_rotation_sigma], 3)
    return GivenStart(begin, poses.pose(0), np.diag(sigma**2), velocity, config.start_velocity_sigma)


def start_by_hand(text: str, frame: LocalFrame, config: ReplayConfig) -> GivenStart:
    """A level vehicle at the first IMU sample.

    Args:
        text: ``latitude,longitude,height,heading``: degrees, degrees, m above the WGS84 ellipsoid, degrees clockwise
            from north.
        frame: of the site.
        config: the sigmas that are claimed for it.

    Raises:
        ReplayError: it is not four such numbers.
        GeodesyError: the place lies nowhere near the site.
    """
    try:
        latitude, longitude, height, heading = (float(part) for part in text.split(","))
    except ValueError:
        raise ReplayError(
            "--start is gps, truth, or LATITUDE,LONGITUDE,HEIGHT,HEADING (degrees, m above the ellipsoid), "
            f"not '{text}'"
        ) from None
    if not (abs(latitude) <= 90.0 and abs(longitude) <= 180.0 and math.isfinite(height) and math.isfinite(heading)):
        raise ReplayError(f"--start {text}: this is no place on the Earth")
    yaw = math.pi / 2.0 - math.radians(heading)
    T_map_base = Pose.from_rotation_vector([0.0, 0.0, yaw], frame.from_geodetic(latitude, longitude, height))
    sigma = np.repeat([config.given_position_sigma, config.given_rotation_sigma], 3)
    return GivenStart(None, T_map_base, np.diag(sigma**2))
