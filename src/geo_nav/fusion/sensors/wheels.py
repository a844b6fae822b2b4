"""Wheel odometry: the forward speed with its scale, and that wheels do not move sideways or off the ground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.sensors.residual import (
    AUXILIARY,
    GYROSCOPE_BIAS,
    ROTATION,
    VELOCITY,
    ResidualMeasurement,
    skew,
)

if TYPE_CHECKING:
    from geo_nav.fusion.config import FusionConfig
    from geo_nav.fusion.imu_buffer import ImuBuffer

Array = npt.NDArray[np.float64]

_FASTEST = 100.0
"""No vehicle on wheels goes faster, m/s; an encoder that is broken or saturated says something else."""


class WheelConfig(BaseModel):
    """Settings of wheel odometry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed_sigma: float = Field(0.1, description="1 sigma of the forward speed if not given, m/s", gt=0)
    lateral_sigma: float = Field(0.2, description="1 sigma of the sideways velocity: sideslip, mounting, m/s", gt=0)
    vertical_sigma: float = Field(0.3, description="1 sigma of the velocity off the ground: suspension, m/s", gt=0)
    reference: list[float] = Field(
        [0.0, 0.0, 0.0],
        description="point in base_link whose velocity the wheels tell and that does not slip sideways: the middle of "
        "the axle that does not steer, m",
        min_length=3,
        max_length=3,
    )
    scale: float = Field(1.0, description="speed of the wheels over true speed, as expected", gt=0)
    scale_sigma: float = Field(0.03, description="1 sigma of that; 0 holds the scale at its value", ge=0)
    scale_walk: float = Field(1e-4, description="random walk of the scale (load, pressure, temperature), 1/√s", gt=0)
    bucket: float = Field(5.0, description="the scale is a variable of its own for each such interval, s", ge=1.0)
    correlation_time: float = Field(
        0.2, description="correlation time of slip and sideslip: speeds closer than this weigh less, s", ge=0, le=30.0
    )
    spacing: float = Field(0.2, description="speeds closer than this to one in the graph are passed over, s", ge=0)

    @property
    def walk(self) -> GaussMarkov:
        """The scale: measured over true speed."""
        return GaussMarkov("wheel scale", self.scale, self.scale_sigma, self.scale_walk, self.bucket)


@dataclass(frozen=True, eq=False, kw_only=True)
class WheelSpeed(ResidualMeasurement):
    """The velocity of a point of the vehicle in `base_link`: forward as measured, none sideways and none upwards.

    Attributes:
        speed: forward, negative backwards, m/s.
        reference: (3,) the point in `base_link`, m.
        angular_velocity: (3,) of the IMU at the stamp, bias and all, rad/s.
    """

    kind: ClassVar[str] = "wheels"

    speed: float
    reference: Array
    angular_velocity: Array

    def correlation_time(self, config: FusionConfig) -> float:
        """As configured."""
        return config.wheels.correlation_time

    def with_imu(self, imu: ImuBuffer) -> Self:
        """The point moves with the vehicle's turning."""
        return replace(self, angular_velocity=imu.sample_at(self.stamp)[1])

    def residual(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, Array]:
        """(3,) forward, left, up, m/s."""
        (scale,) = auxiliaries
        in_body = nav.attitude().matrix().T @ nav.velocity()
        arm = skew(self.reference)
        velocity = in_body - arm @ (self.angular_velocity - bias.gyroscope())
        jacobian = self.zero_jacobian(3)
        jacobian[:, ROTATION] = skew(in_body)
        jacobian[:, VELOCITY] = np.eye(3)
        jacobian[:, GYROSCOPE_BIAS] = arm
        jacobian[0] *= scale
        jacobian[0, AUXILIARY] = velocity[0]
        return velocity * [scale, 1.0, 1.0] - [self.speed, 0.0, 0.0], jacobian


def wheel_speed(config: WheelConfig, stamp: float, speed: float, sigma: float | None) -> WheelSpeed:
    """The measurement.

    Args:
        config: settings.
        stamp: s.
        speed: forward, negative backwards, m/s.
        sigma: of it, m/s; None takes the configured one.

    Raises:
        FusionError: a value cannot be used.
    """
    if not abs(speed) <= _FASTEST:
        raise FusionError(f"a wheel speed of {speed} m/s is not within {_FASTEST:g} m/s")
    sigma = config.speed_sigma if sigma is None else sigma
    if not 0.0 < sigma < np.inf:
        raise FusionError(f"the sigma of a wheel speed must be positive, not {sigma}")
    return WheelSpeed(
        stamp=stamp,
        covariance=np.diag(np.square([sigma, config.lateral_sigma, config.vertical_sigma])),
        walks=(config.walk,),
        spacing=config.spacing,
        speed=float(speed),
        reference=np.array(config.reference),
        angular_velocity=np.zeros(3),
    )
