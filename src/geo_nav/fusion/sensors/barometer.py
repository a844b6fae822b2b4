"""Barometer: a height whose offset drifts with the weather."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.sensors.residual import AUXILIARY, POSITION, ResidualMeasurement

if TYPE_CHECKING:
    from geo_nav.fusion.belief import Belief
    from geo_nav.fusion.config import FusionConfig
    from geo_nav.geodesy import LocalFrame

Array = npt.NDArray[np.float64]

_SEA_LEVEL_PRESSURE = 101325.0
_SCALE_HEIGHT = 44330.77
_EXPONENT = 0.190263
"""Of the troposphere of the ISO 2533 standard atmosphere: Pa, m, no unit."""

_PRESSURES = (20_000.0, 115_000.0)
"""What can be air pressure below 11 km, Pa; a sensor that is broken or saturated says something else."""

_ALTITUDES = (-1_500.0, 12_000.0)
"""The altitudes of these, m."""


class BarometerConfig(BaseModel):
    """Settings of the barometer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma: float = Field(2.0, description="1 sigma of an altitude if not given: airflow, propellers, m", gt=0)
    offset: float = Field(0.0, description="expected offset of the altitudes from the ellipsoidal height, m")
    offset_sigma: float = Field(
        100.0, description="1 sigma of that: weather and geoid; 0 holds the offset at its value, m", ge=0
    )
    offset_walk: float = Field(0.3, description="random walk of the offset (weather, airspeed), m/√s", gt=0)
    correlation_time: float = Field(
        1.0, description="correlation time of the errors of altitudes: closer ones weigh less, s", ge=0, le=30.0
    )
    bucket: float = Field(5.0, description="the offset is a variable of its own for each such interval, s", ge=1.0)
    spacing: float = Field(0.5, description="altitudes closer than this to one in the graph are passed over, s", ge=0)

    @property
    def walk(self) -> GaussMarkov:
        """The offset: pressure altitude minus height above the ellipsoid, m."""
        return GaussMarkov("barometer offset", self.offset, self.offset_sigma, self.offset_walk, self.bucket)


@dataclass(frozen=True, eq=False, kw_only=True)
class PressureAltitude(ResidualMeasurement):
    """A height with an offset.

    Attributes:
        altitude: m.
        frame: the `map` frame, for the height above the ellipsoid.
        curvature: how much higher above the ellipsoid the vehicle is than its z in `map`, m.
    """

    kind: ClassVar[str] = "barometer"
    may_insist: ClassVar[bool] = True

    altitude: float
    frame: LocalFrame
    curvature: float = 0.0

    def correlation_time(self, config: FusionConfig) -> float:
        """As configured."""
        return config.barometer.correlation_time

    def placed(self, belief: Belief) -> Self:
        """With the Earth's curvature at the predicted place: 0.8 m at 3 km from the datum, 8 m at 10 km."""
        position = belief.nav.position()
        height = float(self.frame.to_geodetic(position)[2])
        return replace(self, curvature=height - self.frame.height - float(position[2]))

    def residual(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, Array]:
        """(1,) m."""
        jacobian = self.zero_jacobian(1)
        jacobian[0, POSITION] = nav.attitude().matrix()[2]
        jacobian[0, AUXILIARY] = 1.0
        height = self.frame.height + float(nav.position()[2]) + self.curvature
        return np.array([height - self.altitude]) + auxiliaries, jacobian


def standard_altitude(pressure: float) -> float:
    """Altitude in the standard atmosphere (ISO 2533, troposphere), m.

    Args:
        pressure: static, Pa.

    Raises:
        FusionError: no pressure of air below 11 km, or not finite.
    """
    low, high = _PRESSURES
    if not low <= pressure <= high:
        raise FusionError(f"a pressure of {pressure} Pa is not between {low:g} and {high:g} Pa")
    return float(_SCALE_HEIGHT * (1.0 - (pressure / _SEA_LEVEL_PRESSURE) ** _EXPONENT))


def pressure_altitude(
    config: BarometerConfig, frame: LocalFrame, stamp: float, altitude: float, sigma: float | None
) -> PressureAltitude:
    """The measurement.

    Args:
        config: settings.
        frame: the `map` frame.
        stamp: s.
        altitude: by any constant reference pressure, m.
        sigma: of it, m; None takes the configured one.

    Raises:
        FusionError: a value cannot be used.
    """
    low, high = _ALTITUDES
    if not low <= altitude <= high:
        raise FusionError(f"a pressure altitude of {altitude} m is not between {low:g} and {high:g} m")
    sigma = config.sigma if sigma is None else sigma
    if not 0.0 < sigma < np.inf:
        raise FusionError(f"the sigma of a pressure altitude must be positive, not {sigma}")
    return PressureAltitude(
        stamp=stamp,
        covariance=np.array([[sigma**2]]),
        walks=(config.walk,),
        spacing=config.spacing,
        altitude=float(altitude),
        frame=frame,
    )
