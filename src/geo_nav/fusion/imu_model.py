"""IMU noise, gravity and Earth rotation as GTSAM's preintegration takes them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.imu_buffer import ImuSegment
from geo_nav.geodesy import LocalFrame, normal_gravity

Array = npt.NDArray[np.float64]

EARTH_RATE = 7.292115e-5
"""Rotation rate of the Earth, rad/s (WGS84)."""

_CELL = 500.0
"""Gravity is taken at the centre of cells of this size, m: the direction is then right to 0.05 mrad."""


class ImuModel:
    """Preintegration of IMU segments in a local frame.

    Args:
        config: noise densities and bias walks.
        frame: the `map` frame; gravity follows the ellipsoid's normal at the vehicle, not at the datum.

    Attributes:
        noise_scale: factor of the noise densities and the bias walks of what is preintegrated from now on; see
            :mod:`geo_nav.fusion.adaptation`.
    """

    def __init__(self, config: FusionConfig, frame: LocalFrame) -> None:
        self._config = config
        self._frame = frame
        self.noise_scale = 1.0
        self._R_map_earth = frame.T_earth_map.rotation.T
        self._params = lru_cache(maxsize=64)(self._make_params)

    def gravity(self, position: npt.ArrayLike) -> Array:
        """Gravity vector (3,) in `map`, m/s², at a position (3,) in `map`, m."""
        latitude, longitude, height = (float(x) for x in self._frame.to_geodetic(position))
        lat, lon = np.radians([latitude, longitude])
        up = self._R_map_earth @ [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
        gravity: Array = -normal_gravity(latitude, height) * up
        return gravity

    def earth_rate(self) -> Array:
        """Rotation of the Earth (3,) in `map`, rad/s."""
        rate: Array = self._R_map_earth @ [0.0, 0.0, EARTH_RATE]
        return rate

    def _make_params(self, cell: tuple[int, int, int], gap: bool, scale: float) -> Any:
        c = self._config
        params = gtsam.PreintegrationCombinedParams(self.gravity(np.array(cell) * _CELL))
        accelerometer = c.gap_acceleration_noise if gap else scale * c.accelerometer_noise
        gyroscope = c.gap_rotation_noise if gap else scale * c.gyroscope_noise
        params.setAccelerometerCovariance(np.eye(3) * accelerometer**2)
        params.setGyroscopeCovariance(np.eye(3) * gyroscope**2)
        params.setBiasAccCovariance(np.eye(3) * (scale * c.accelerometer_bias_walk) ** 2)
        params.setBiasOmegaCovariance(np.eye(3) * (scale * c.gyroscope_bias_walk) ** 2)
        # The error of integrating sampled data; small beside the noise, but it keeps the factor well conditioned.
        params.setIntegrationCovariance(np.eye(3) * 1e-8)
        if c.earth_rotation:
            params.setOmegaCoriolis(self.earth_rate())
        return params

    def preintegration(self, bias: Any, position: Array, gap: bool) -> Any:
        """An empty ``gtsam.PreintegratedCombinedMeasurements``.

        Args:
            bias: ``gtsam.imuBias.ConstantBias`` to linearise about.
            position: (3,) in `map`, where gravity is taken.
            gap: whether the samples bridge a gap and carry the gap's noise.
        """
        east, north, up = (int(x) for x in np.round(np.asarray(position) / _CELL))
        return gtsam.PreintegratedCombinedMeasurements(self._params((east, north, up), gap, self.noise_scale), bias)

    def preintegrate(self, segment: ImuSegment, bias: Any, position: Array) -> Any:
        """The preintegrated measurements of one segment."""
        pim = self.preintegration(bias, position, segment.gap)
        for acceleration, angular_velocity, dt in segment.rows:
            pim.integrateMeasurement(acceleration, angular_velocity, dt)
        return pim
