"""Absolute poses of a camera that is being calibrated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from geo_nav.fusion.auxiliary import RandomWalk
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.camera import CameraCalibrationConfig, CameraPose
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.measurements import PoseFix
from geo_nav.fusion.sensors.residual import AUXILIARY

Array = npt.NDArray[np.float64]

_RATE_WINDOW = 0.1
"""The angular velocity is a mean over this time, s: the noise of a single sample is that of its whole bandwidth."""

_SIGNIFICANT = float(chi2.ppf(0.999, 3))
"""Squared angular velocity over its noise that is more than noise."""


@dataclass(frozen=True, eq=False)
class CalibratedPose(PoseFix):
    """A pose fix that depends on the camera's time offset and mounting; ``pose`` is that by the mounting as given.

    Attributes:
        camera: settings of the calibration.
        T_base_camera: ``gtsam.Pose3``, as given.
        angular_velocity: (3,) of the IMU about the stamp, bias and all, rad/s.
        rate_sigma: 1 sigma of the noise of that, rad/s.
        turning: whether it is more than noise.
    """

    camera: CameraCalibrationConfig
    T_base_camera: Any
    angular_velocity: Array
    rate_sigma: float
    turning: bool = True

    @property
    def walks(self) -> tuple[RandomWalk, ...]:
        """All of the camera's, those that are held as well."""
        return self.camera.walks

    def with_imu(self, imu: ImuBuffer) -> CalibratedPose:
        """The body turns between stamp and exposure."""
        angular_velocity, sigma = imu.mean_rate(self.stamp, _RATE_WINDOW)
        return replace(self, angular_velocity=angular_velocity, rate_sigma=sigma)

    def placed(self, belief: Belief) -> CalibratedPose:
        """With the turning left out where it is not significant.

        A camera that is late while nothing turns shows no rotation. Multiplied by the noise of the gyroscopes, that
        would tell the time offset to be small a little more surely with every fix.
        """
        rate = self.angular_velocity - belief.bias.gyroscope()
        return replace(self, turning=bool(rate @ rate > _SIGNIFICANT * self.rate_sigma**2))

    def _residual(self) -> CameraPose:
        return CameraPose(
            stamp=self.stamp,
            covariance=self.covariance,
            walks=self.walks,
            pose=self.pose,
            T_base_camera=self.T_base_camera,
            angular_velocity=self.angular_velocity,
            turning=self.turning,
        )

    def factors(self, keys: StateKeys, config: FusionConfig) -> list[Any]:
        """One factor on pose, velocity, bias and the variables of the camera that are estimated."""
        return self._residual().factors(keys, config)

    def innovation(self, belief: Belief) -> tuple[Array, Array]:
        """(6,) rotation and position in the body frame; the covariance knows that of the calibration."""
        return self._residual().innovation(belief)

    def seat(self, belief: Belief) -> tuple[Any, Array, Array]:
        """With the calibration as the belief knows it."""
        residual = self._residual()
        auxiliaries = np.array([belief.value(walk) for walk in self.walks])
        pose = residual.base(belief.nav, belief.bias, auxiliaries)
        turn = pose.rotation().compose(belief.nav.attitude().inverse())
        nav = gtsam.NavState(pose, turn.rotate(belief.nav.velocity()))
        jacobian = residual.residual(nav, belief.bias, auxiliaries)[1]
        to_pose = np.linalg.inv(jacobian[:, :6])
        by_auxiliaries = np.zeros((6, len(belief.walks)))
        for k, walk in enumerate(self.walks):
            column = belief.column(walk)
            if column is not None:
                by_auxiliaries[:, column - AUXILIARY] = -to_pose @ jacobian[:, AUXILIARY + k]
        return pose, to_pose @ self.covariance @ to_pose.T, by_auxiliaries


def calibrated(fix: PoseFix, camera: CameraCalibrationConfig, T_base_camera: Any) -> PoseFix:
    """A fix that lets its camera be calibrated; the fix itself where all of that is held.

    Args:
        fix: by the mounting as given; its stamp is the image's less the expected time offset, s.
        camera: settings.
        T_base_camera: ``gtsam.Pose3``, as given.
    """
    if not any(walk.estimated for walk in camera.walks):
        return fix
    return CalibratedPose(fix.stamp, fix.pose, fix.covariance, camera, T_base_camera, np.zeros(3), math.inf)
