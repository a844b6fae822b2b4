"""Calibration of the camera while moving: the time offset of its images and the errors of its mounting.

Conventions: an image with the stamp t was exposed at t - δ by the IMU's clock. The camera sits in the body at
``T_base_camera · Exp(ξ)``, a right perturbation: ξ is rotation (rad), then translation (m), about and along the axes of
`camera_optical` (the order of GTSAM; ROS messages have the translation first).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import gtsam
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy.stats import chi2

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.sensors.residual import (
    AUXILIARY,
    GYROSCOPE_BIAS,
    ROTATION,
    VELOCITY,
    ResidualMeasurement,
    skew,
)

if TYPE_CHECKING:
    from geo_nav.fusion.imu_buffer import ImuBuffer
    from geo_nav.fusion.tie_points import Reprojection

Array = npt.NDArray[np.float64]

_RATE_WINDOW = 0.1
"""The angular velocity is a mean over this time, s: the noise of a single sample is that of its whole bandwidth."""

_SIGNIFICANT = float(chi2.ppf(0.999, 3))
"""Squared angular velocity over its noise that is more than noise."""


class CameraCalibrationConfig(BaseModel):
    """Settings of the calibration of the camera; a sigma of 0 holds what it belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_offset: float = Field(
        0.0, description="image stamps are late by this against the IMU's clock, s", ge=-0.5, le=0.5
    )
    time_offset_sigma: float = Field(
        0.0, description="1 sigma of that; 0 holds the offset at its value, s", ge=0, le=0.2
    )
    time_offset_walk: float = Field(1e-5, description="random walk of the time offset, s/√s", gt=0)
    rotation_sigma: list[float] = Field(
        [0.0, 0.0, 0.0],
        description="1 sigma of the rotation of T_base_camera about the camera's axes; 0 holds that axis as given, rad",
        min_length=3,
        max_length=3,
    )
    rotation_walk: float = Field(1e-5, description="random walk of that rotation (flex, temperature), rad/√s", gt=0)
    translation_sigma: list[float] = Field(
        [0.0, 0.0, 0.0],
        description="1 sigma of the translation of T_base_camera along the camera's axes; 0 holds that axis, m",
        min_length=3,
        max_length=3,
    )
    translation_walk: float = Field(1e-5, description="random walk of that translation, m/√s", gt=0)
    bucket: float = Field(10.0, description="each is a variable of its own for each such interval, s", ge=1.0)

    @field_validator("rotation_sigma", "translation_sigma")
    @classmethod
    def _are_small(cls, value: list[float]) -> list[float]:
        if not all(0.0 <= sigma <= 1.0 for sigma in value):
            raise ValueError("the sigmas of the mounting must be from 0 to 1, rad and m: measure it first")
        return value

    @property
    def estimated(self) -> bool:
        """Whether anything of the camera is a variable of the graph."""
        return any(walk.estimated for walk in self.walks)

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """Time offset, s; rotation about x, y, z, rad; translation along x, y, z, m."""
        return (
            GaussMarkov(
                "camera time offset", self.time_offset, self.time_offset_sigma, self.time_offset_walk, self.bucket
            ),
            *(
                GaussMarkov(f"camera rotation {axis}", 0.0, sigma, self.rotation_walk, self.bucket)
                for axis, sigma in zip("xyz", self.rotation_sigma, strict=True)
            ),
            *(
                GaussMarkov(f"camera translation {axis}", 0.0, sigma, self.translation_walk, self.bucket)
                for axis, sigma in zip("xyz", self.translation_sigma, strict=True)
            ),
        )


@dataclass(frozen=True, eq=False)
class CameraView:
    """How a camera at one stamp sees the body, given its time offset and the error of its mounting.

    The body moves between the stamp and the exposure with the velocity of the state and the angular velocity of the
    IMU, which is exact enough for some ten milliseconds (Li and Mourikis, Online temporal calibration for camera-IMU
    systems, IJRR 2014).

    Attributes:
        walks: of the camera; the expected time offset has been taken off the stamp.
        T_base_camera: ``gtsam.Pose3``, as given.
        angular_velocity: (3,) of the IMU about the stamp, bias and all, rad/s.
        rate_sigma: 1 sigma of the noise of that, rad/s.
        turning: whether the body is known to turn; otherwise it counts as not turning.
    """

    walks: tuple[GaussMarkov, ...]
    T_base_camera: Any
    angular_velocity: Array
    rate_sigma: float
    turning: bool = True

    def with_imu(self, imu: ImuBuffer, stamp: float) -> CameraView:
        """With the angular velocity at a stamp."""
        angular_velocity, sigma = imu.mean_rate(stamp, _RATE_WINDOW)
        return replace(self, angular_velocity=angular_velocity, rate_sigma=sigma)

    def placed(self, bias: Any) -> CameraView:
        """With the turning left out where it is not significant.

        A camera that is late while nothing turns shows no rotation. Multiplied by the noise of the gyroscopes, that
        would tell the time offset to be small a little more surely with every image.

        Args:
            bias: ``gtsam.imuBias.ConstantBias``.
        """
        rate = self.angular_velocity - bias.gyroscope()
        return replace(self, turning=bool(rate @ rate > _SIGNIFICANT * self.rate_sigma**2))

    def _motions(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, float, Any, Any]:
        """Twist of the body, time from the stamp to the exposure, and what both make; the error of the mounting."""
        in_body = nav.attitude().matrix().T @ nav.velocity()
        twist = np.concatenate([self.turning * (self.angular_velocity - bias.gyroscope()), in_body])
        dt = self.walks[0].start - float(auxiliaries[0])
        mounting = gtsam.Pose3.Expmap(self.T_base_camera.AdjointMap() @ auxiliaries[1:])
        return twist, dt, gtsam.Pose3.Expmap(twist * dt), mounting

    def seen(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Any, Array]:
        """The pose of `base_link` in `map` that follows from the image by the mounting as given.

        Args:
            nav: ``gtsam.NavState`` at the stamp.
            bias: ``gtsam.imuBias.ConstantBias``.
            auxiliaries: (7,) in the order of the walks.

        Returns:
            ``gtsam.Pose3``, and its (6, 22) derivatives in its own tangent.
        """
        twist, dt, motion, mounting = self._motions(nav, bias, auxiliaries)
        by_motion = mounting.inverse().AdjointMap()
        by_twist = by_motion @ gtsam.Pose3.ExpmapDerivative(twist * dt)
        jacobian = np.zeros((6, AUXILIARY + 7))
        jacobian[:, :6] = by_motion @ motion.inverse().AdjointMap()
        jacobian[:, ROTATION] += dt * by_twist[:, 3:] @ skew(twist[3:])
        jacobian[:, VELOCITY] = dt * by_twist[:, 3:]
        jacobian[:, GYROSCOPE_BIAS] = -dt * self.turning * by_twist[:, :3]
        jacobian[:, AUXILIARY] = -by_twist @ twist
        jacobian[:, AUXILIARY + 1 :] = self.T_base_camera.AdjointMap() @ gtsam.Pose3.ExpmapDerivative(auxiliaries[1:])
        return nav.pose().compose(motion).compose(mounting), jacobian

    def base(self, seen: Any, nav: Any, bias: Any, auxiliaries: Array) -> Any:
        """Where `base_link` is at the stamp if it is seen at a pose, ``gtsam.Pose3``; ``nav`` tells the velocity."""
        _, _, motion, mounting = self._motions(nav, bias, auxiliaries)
        return seen.compose(motion.compose(mounting).inverse())


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraPose(ResidualMeasurement):
    """An absolute pose as a camera says it whose time offset and mounting are variables.

    Attributes:
        pose: ``gtsam.Pose3`` of `base_link` in `map`, by the mounting as given.
        view: of the camera at the stamp.
    """

    kind: ClassVar[str] = "pose"
    is_fix: ClassVar[bool] = True

    pose: Any
    view: CameraView

    def residual(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, Array]:
        """(6,) rotation, rad, and translation, m, of the pose by the mounting as given, in its own axes."""
        seen, jacobian = self.view.seen(nav, bias, auxiliaries)
        difference = self.pose.between(seen)
        return gtsam.Pose3.Logmap(difference), gtsam.Pose3.LogmapDerivative(difference) @ jacobian


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraPoints(ResidualMeasurement):
    """The tie points of a frame of such a camera.

    Attributes:
        reprojection: of the points by the mounting as given; its errors have unit variance.
        view: of the camera at the stamp.
    """

    kind: ClassVar[str] = "pose"
    is_fix: ClassVar[bool] = True

    reprojection: Reprojection
    view: CameraView

    def residual(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, Array]:
        """(6,) the reprojection's errors."""
        seen, by_state = self.view.seen(nav, bias, auxiliaries)
        error, jacobian = self.reprojection.at(seen)
        return error, jacobian @ by_state
