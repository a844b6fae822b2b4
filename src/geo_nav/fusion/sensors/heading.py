"""Heading: the direction of a dual-antenna baseline, or of the Earth's magnetic field.

Both say the same: in which horizontal direction an axis points that is known in `base_link`. The axis of a baseline is
its mounting, the axis of a magnetometer is the field as measured, and that points to magnetic north. The tilt is the
state's own; what its error does to the direction is in the Jacobian.

Convention: directions are counted as in REP-103, counter-clockwise from east, about the up axis of `map`; north is true
north. A compass counts clockwise from magnetic north: ``yaw = π/2 - (heading + declination)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.sensors.residual import ROTATION, ResidualMeasurement, skew

if TYPE_CHECKING:
    from geo_nav.fusion.belief import Belief
    from geo_nav.fusion.config import FusionConfig
    from geo_nav.geodesy import LocalFrame

Array = npt.NDArray[np.float64]

_STRENGTHS = (15e-6, 90e-6)
"""Strengths of the Earth's field, T, with room for what the vehicle adds."""

_LEAST_HORIZONTAL = 0.1
"""An axis whose horizontal part is a smaller share of it than this has no direction: within 6° of the vertical."""

_UNKNOWN = 1e3
"""1 sigma of no direction, rad."""


class HeadingConfig(BaseModel):
    """Settings of dual antenna and magnetometer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma: float = Field(0.02, description="1 sigma of the direction of the baseline if not given, rad", gt=0)
    baseline: list[float] = Field(
        [1.0, 0.0, 0.0],
        description="from the first antenna to the second in base_link, any length; forward: its direction is the yaw",
        min_length=3,
        max_length=3,
    )
    magnetic_sigma: float = Field(
        0.1, description="1 sigma of the field's horizontal direction, the vehicle's own fields included, rad", gt=0
    )
    declination: float = Field(0.0, description="magnetic north is east of true north by this, rad", ge=-3.15, le=3.15)
    correlation_time: float = Field(
        2.0, description="correlation time of the errors of directions: closer ones weigh less, s", ge=0, le=30.0
    )
    spacing: float = Field(0.5, description="directions closer than this to one in the graph are passed over, s", ge=0)

    @field_validator("baseline")
    @classmethod
    def _has_direction(cls, value: list[float]) -> list[float]:
        if not 1e-3 < np.linalg.norm(value) < np.inf:
            raise ValueError("the baseline needs a length")
        return value


@dataclass(frozen=True, eq=False, kw_only=True)
class Direction(ResidualMeasurement):
    """The horizontal direction of an axis.

    Attributes:
        axis: (3,) unit vector in `base_link`.
        direction: of its horizontal part, counter-clockwise from the vehicle's east, rad.
        frame: the `map` frame.
        convergence: of the meridians: true north at the vehicle lies so much counter-clockwise of the datum's, rad.
    """

    kind: ClassVar[str] = "heading"

    axis: Array
    direction: float
    frame: LocalFrame
    convergence: float = 0.0

    def correlation_time(self, config: FusionConfig) -> float:
        """As configured."""
        return config.heading.correlation_time

    def placed(self, belief: Belief) -> Self:
        """With the convergence at the predicted place; an axis that stands upright says next to nothing."""
        latitude, longitude, _ = (float(x) for x in self.frame.to_geodetic(belief.nav.position()))
        convergence = math.radians(longitude - self.frame.longitude) * math.sin(math.radians(latitude))
        x, y, _ = belief.nav.attitude().matrix() @ self.axis
        covariance = self.covariance if math.hypot(x, y) >= _LEAST_HORIZONTAL else np.array([[_UNKNOWN**2]])
        return replace(self, convergence=convergence, covariance=covariance)

    def residual(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, Array]:
        """(1,) rad, from -π to π."""
        R = nav.attitude().matrix()
        x, y, _ = R @ self.axis
        turned = -R @ skew(self.axis)  # of the axis in `map` by a rotation in the body
        jacobian = self.zero_jacobian(1)
        # Upright, the axis has no direction; the floor keeps the Jacobian finite there.
        jacobian[0, ROTATION] = (x * turned[1] - y * turned[0]) / max(x * x + y * y, 1e-6)
        error = math.atan2(y, x) - self.direction - self.convergence
        return np.array([math.remainder(error, 2.0 * math.pi)]), jacobian


class MagneticDirection(Direction):
    """The same of the Earth's field; counted and spaced for itself."""

    kind: ClassVar[str] = "magnetometer"


def yaw_from_compass(heading: float, declination: float) -> float:
    """The yaw of REP-103, counter-clockwise from east, rad.

    Args:
        heading: clockwise from magnetic north, rad.
        declination: of magnetic north from true north, positive to the east, rad.
    """
    return 0.5 * math.pi - heading - declination


def baseline_direction(
    config: HeadingConfig, frame: LocalFrame, stamp: float, direction: float, sigma: float | None
) -> Direction:
    """The measurement of a dual antenna.

    Args:
        config: settings.
        frame: the `map` frame.
        stamp: s.
        direction: of the baseline, counter-clockwise from east, rad.
        sigma: of it, rad; None takes the configured one.

    Raises:
        FusionError: a value cannot be used.
    """
    if not abs(direction) < 100.0:
        raise FusionError(f"a direction of {direction} is no angle in radians")
    sigma = config.sigma if sigma is None else sigma
    if not 0.0 < sigma < math.inf:
        raise FusionError(f"the sigma of a direction must be positive, not {sigma}")
    axis = np.array(config.baseline)
    return Direction(
        stamp=stamp,
        covariance=np.array([[sigma**2]]),
        spacing=config.spacing,
        axis=axis / np.linalg.norm(axis),
        direction=direction,
        frame=frame,
    )


def magnetic_direction(config: HeadingConfig, frame: LocalFrame, stamp: float, field: Array) -> MagneticDirection:
    """The measurement of a magnetometer.

    Args:
        config: settings.
        frame: the `map` frame.
        stamp: s.
        field: (3,) in `base_link`, hard and soft iron removed, T.

    Raises:
        FusionError: the field is not that of the Earth.
    """
    strength = float(np.linalg.norm(field))
    low, high = _STRENGTHS
    if not low <= strength <= high:
        raise FusionError(f"a field of {1e6 * strength:.1f} µT is not the Earth's, {1e6 * low:g} to {1e6 * high:g} µT")
    return MagneticDirection(
        stamp=stamp,
        covariance=np.array([[config.magnetic_sigma**2]]),
        spacing=config.spacing,
        axis=field / strength,
        direction=yaw_from_compass(0.0, config.declination),
        frame=frame,
    )
