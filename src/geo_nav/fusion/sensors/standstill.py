"""Standstill: found in the IMU, it makes a measurement of no velocity and of the gyroscopes' bias.

The detector is the generalised likelihood ratio of Skog, Händel, Nilsson and Rantakokko, "Zero-velocity detection: an
algorithm evaluation" (IEEE T-BME 57, 2010), known as SHOE: over a window, how far specific force and angular velocity
are from a constant force of the size of gravity and no rotation, in units of their noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from geo_nav.fusion.sensors.residual import GYROSCOPE_BIAS, ROTATION, VELOCITY, ResidualMeasurement, skew

if TYPE_CHECKING:
    from geo_nav.fusion.belief import Belief
    from geo_nav.fusion.config import FusionConfig
    from geo_nav.fusion.imu_buffer import ImuBuffer
    from geo_nav.fusion.imu_model import ImuModel

Array = npt.NDArray[np.float64]

_LEAST_SAMPLES = 10
"""A window with fewer samples is not judged."""


class StandstillConfig(BaseModel):
    """Settings of the detection of standstill."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        False, description="look for standstill in the IMU; not for what hovers or flies straight and level"
    )
    window: float = Field(0.5, description="length of the IMU that is judged, s", ge=0.1, le=5.0)
    spacing: float = Field(1.0, description="standstill is looked for once in such an interval, s", ge=0.1)
    threshold: float = Field(
        12.0, description="greatest test statistic of a standstill; that of pure noise is 6 on average", gt=6.0
    )
    vibration_acceleration: float = Field(
        0.05, description="rms of an accelerometer axis with the engine running, beside the noise, m/s²", ge=0
    )
    vibration_rate: float = Field(
        0.005, description="rms of a gyroscope axis with the engine running, beside noise and bias, rad/s", ge=0
    )
    velocity_sigma: float = Field(0.05, description="1 sigma of the velocity of what stands still, m/s", gt=0)
    rate_sigma: float = Field(
        0.002, description="1 sigma of the angular velocity of what stands still, mean of the window, rad/s", gt=0
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Standstill(ResidualMeasurement):
    """No velocity, and no rotation but the Earth's: what the gyroscopes say beyond that is bias.

    Attributes:
        angular_velocity: (3,) mean of the gyroscopes over the window, rad/s.
        earth_rate: (3,) rotation of the Earth in `map`, rad/s; zeros where it is not modelled.
    """

    kind: ClassVar[str] = "standstill"

    angular_velocity: Array
    earth_rate: Array

    def residual(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, Array]:
        """(6,) velocity in `base_link`, m/s; angular velocity as predicted minus as measured, rad/s."""
        to_body = nav.attitude().matrix().T
        velocity, earth = to_body @ nav.velocity(), to_body @ self.earth_rate
        jacobian = self.zero_jacobian(6)
        jacobian[:3, ROTATION] = skew(velocity)
        jacobian[:3, VELOCITY] = np.eye(3)
        jacobian[3:, ROTATION] = skew(earth)
        jacobian[3:, GYROSCOPE_BIAS] = np.eye(3)
        return np.concatenate([velocity, bias.gyroscope() + earth - self.angular_velocity]), jacobian


class StandstillDetector:
    """Looks for standstill at even stamps, whenever it is asked: the result does not depend on when that is.

    Args:
        config: settings of the whole graph; the noise densities tell what a sample may scatter.
        imu: the samples.
        model: for gravity and the Earth's rotation.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel) -> None:
        self._config = config
        self._imu = imu
        self._model = model
        self._judged: int | None = None

    def clear(self) -> None:
        """Forget what has been judged."""
        self._judged = None

    def find(self, anchor: Belief) -> list[Standstill]:
        """The standstills since the last call, one in each ``spacing``.

        Args:
            anchor: the last solved state, for gravity and the bias of the gyroscopes.
        """
        c, span = self._config.standstill, self._imu.span
        if not c.enabled or span is None:
            return []
        if self._judged is None:
            # Only now: other sensors may keep the newest state ahead of what can be judged for ever.
            self._judged = math.ceil(anchor.stamp / c.spacing - 1e-9) - 1
        last = span[1] - 0.5 * c.window
        found = []
        for k in range(self._judged + 1, math.floor(last / c.spacing) + 1):
            self._judged = k
            standstill = self._judge(k * c.spacing, anchor)
            if standstill is not None:
                found.append(standstill)
        return found

    def _judge(self, stamp: float, anchor: Belief) -> Standstill | None:
        c = self._config.standstill
        begin, end = stamp - 0.5 * c.window, stamp + 0.5 * c.window
        stamps, force, rate = self._imu.samples(begin, end)
        steps = np.diff([begin, *stamps, end])
        if len(stamps) < _LEAST_SAMPLES or steps.max() > self._config.imu_gap:
            return None
        if self._statistic(force, rate, anchor) > c.threshold:
            return None
        sigmas = np.repeat([c.velocity_sigma, c.rate_sigma], 3)
        return Standstill(
            stamp=stamp,
            covariance=np.diag(sigmas**2),
            spacing=0.5 * c.spacing,
            angular_velocity=rate.mean(axis=0),
            earth_rate=self._model.earth_rate() if self._config.earth_rotation else np.zeros(3),
        )

    def _statistic(self, force: Array, rate: Array, anchor: Belief) -> float:
        """SHOE's, of (N, 3) specific forces and angular velocities; 6 on average for what is noise only."""
        c = self._config
        frequency = len(force) / c.standstill.window
        force_variance = c.accelerometer_noise**2 * frequency + c.standstill.vibration_acceleration**2
        bias_variance = float(np.trace(anchor.covariance[12:15, 12:15])) / 3.0
        rate_variance = c.gyroscope_noise**2 * frequency + c.standstill.vibration_rate**2 + bias_variance
        mean = force.mean(axis=0)
        gravity = np.linalg.norm(self._model.gravity(anchor.nav.position()))
        at_rest = mean * gravity / max(float(np.linalg.norm(mean)), 1e-9)
        turn = rate - anchor.bias.gyroscope()
        deviation = ((force - at_rest) ** 2).sum(axis=1) / force_variance + (turn**2).sum(axis=1) / rate_variance
        return float(deviation.mean())
