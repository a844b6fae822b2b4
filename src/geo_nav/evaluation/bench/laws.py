"""How priors err: the laws that random priors are drawn from, and the covariance that the registrar is told."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.geodesy import Pose
from geo_nav.registration.linearization import moved

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PriorErrorLaw:
    """How a prior errs.

    Horizontally evenly over a disc of radius ``position``; vertically evenly within ± a third of it (a barometer
    is better than dead reckoning), or within ± ``height`` of the height above ground; heading evenly within
    ± ``heading``; the vertical axis tilted by an angle evenly over a disc of radius ``tilt``. All are independent.

    Attributes:
        position: metres.
        heading: rad.
        tilt: rad.
        height: share of the height above ground; None for a third of ``position``, in metres.
    """

    position: float
    heading: float
    tilt: float
    height: float | None = None

    def __post_init__(self) -> None:
        numbers = (self.position, self.heading, self.tilt, 0.0 if self.height is None else self.height)
        if not all(math.isfinite(v) and v >= 0.0 for v in numbers):
            raise EvaluationError(f"a prior's error must be numbers ≥ 0, got {self}")

    @property
    def limits(self) -> tuple[float, float, float]:
        """Metres, degrees of heading, degrees of tilt."""
        return self.position, math.degrees(self.heading), math.degrees(self.tilt)

    def describe(self) -> str:
        """In words."""
        position, heading, tilt = self.limits
        height = f"{position / 3.0:.3g} m" if self.height is None else f"{self.height:.0%} of the height above ground"
        return f"{position:g} m, {heading:g}° of heading, {tilt:g}° of tilt, height {height}"

    def draw(self, truth: Pose, rng: np.random.Generator, height_above_ground: float = 0.0) -> Pose:
        """A prior for a true pose.

        Args:
            truth: camera optical frame in `map`.
            rng: source of the error.
            height_above_ground: of the camera, metres; used where the law has a ``height``.
        """
        east, north = _in_disc(self.position, rng)
        reach = self._vertical(height_above_ground)
        up = rng.uniform(-reach, reach)
        tilt_east, tilt_north = _in_disc(self.tilt, rng)
        heading = rng.uniform(-self.heading, self.heading)
        return moved(truth, np.array([east, north, up, tilt_east, tilt_north, heading]))

    def covariance(self, height_above_ground: float = 0.0) -> Array:
        """(6, 6) of the law at a height above ground (m), ROS order: what the registrar is told."""
        disc, vertical = self.position**2 / 4.0, self._vertical(height_above_ground) ** 2 / 3.0
        tilt, heading = self.tilt**2 / 4.0, self.heading**2 / 3.0
        return np.diag(np.maximum([disc, disc, vertical, tilt, tilt, heading], 1e-8))

    def _vertical(self, height_above_ground: float) -> float:
        return self.position / 3.0 if self.height is None else self.height * height_above_ground


LAWS = {
    "tight": PriorErrorLaw(5.0, math.radians(3.0), math.radians(1.0), 0.02),
    "wide": PriorErrorLaw(50.0, math.radians(25.0), math.radians(5.0), 0.20),
}
"""The priors of the bench by name: in flight, and after a long time without a fix."""


def named_law(name: str) -> PriorErrorLaw:
    """One of :data:`LAWS`.

    Raises:
        EvaluationError: there is none of this name.
    """
    if name not in LAWS:
        raise EvaluationError(f"there is no prior '{name}': use one of {', '.join(LAWS)}")
    return LAWS[name]


def _in_disc(radius: float, rng: np.random.Generator) -> tuple[float, float]:
    r, angle = radius * math.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * math.pi)
    return r * math.cos(angle), r * math.sin(angle)
