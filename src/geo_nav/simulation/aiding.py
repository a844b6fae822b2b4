"""The other sensors: GPS while there is one, and the autopilot's attitude."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.imu import gauss_markov
from geo_nav.simulation.trajectory import Trajectory

Array = npt.NDArray[np.float64]

_ATTITUDE_RATE = 10.0
_GPS_TIME = 60.0
_GPS_SLOW = 0.9
_TILT_TIME = 45.0
_HEADING_TIME = 120.0


class GpsReceiver:
    """A single-frequency receiver: most of its error wanders over a minute, little is white.

    Args:
        trajectory: of the antenna, which is at `base_link`.
        config: errors and rate.
        rng: source of randomness.
    """

    def __init__(self, trajectory: Trajectory, config: SimulationConfig, rng: np.random.Generator) -> None:
        self._trajectory, self._rate = trajectory, config.gps_rate
        count = int(np.ceil((trajectory.end - trajectory.start) * config.gps_rate)) + 2
        sigma = np.array([config.gps_horizontal_error] * 2 + [config.gps_vertical_error])
        slow = gauss_markov(rng, count, 1.0 / config.gps_rate, _GPS_SLOW * sigma, _GPS_TIME)
        self._error = slow + rng.standard_normal((count, 3)) * sigma * np.sqrt(1.0 - _GPS_SLOW**2)
        self._covariance = np.diag(sigma**2)

    def fix(self, time: float) -> tuple[Array, Array]:
        """The fix nearest to a time (s): position (3,) in `map`, m, and covariance (3, 3), m².

        Raises:
            SimulationError: the time lies outside the trajectory.
        """
        k = round((time - self._trajectory.start) * self._rate)
        return self._trajectory.motion(time).position + self._error[
            min(max(k, 0), len(self._error) - 1)
        ], self._covariance


class AttitudeReference:
    """What the autopilot's own filter says: tilt within a degree, a compass heading within a few.

    Args:
        trajectory: of `base_link`.
        config: errors.
        rng: source of randomness.
    """

    def __init__(self, trajectory: Trajectory, config: SimulationConfig, rng: np.random.Generator) -> None:
        self._trajectory = trajectory
        count = int(np.ceil((trajectory.end - trajectory.start) * _ATTITUDE_RATE)) + 2
        dt = 1.0 / _ATTITUDE_RATE
        sigma = np.radians([config.tilt_error, config.tilt_error, config.heading_error])
        self._times = trajectory.start + np.arange(count) * dt
        self._error = gauss_markov(rng, count, dt, sigma, _TILT_TIME)
        self._error[:, 2] = gauss_markov(rng, count, dt, sigma, _HEADING_TIME)[:, 2]
        self._covariance = np.diag(sigma**2)

    def at(self, time: float) -> tuple[Array, Array]:
        """The attitude at a time (s): rotation (3, 3) of T_map_base, and covariance (3, 3) about the fixed axes, rad².

        Raises:
            SimulationError: the time lies outside the trajectory.
        """
        error = np.array([np.interp(time, self._times, self._error[:, axis]) for axis in range(3)])
        return Rotation.from_rotvec(error).as_matrix() @ self._trajectory.motion(time).rotation, self._covariance
