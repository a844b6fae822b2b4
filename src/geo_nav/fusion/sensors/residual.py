"""A measurement that is given by its residual: factor, innovation and all else follow from that one function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.auxiliary import RandomWalk
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.loss import robust

if TYPE_CHECKING:
    from geo_nav.fusion.belief import Belief
    from geo_nav.fusion.config import FusionConfig

Array = npt.NDArray[np.float64]

ROTATION, POSITION, VELOCITY, GYROSCOPE_BIAS, AUXILIARY = slice(0, 3), slice(3, 6), slice(6, 9), slice(12, 15), 15
"""Columns of a residual's Jacobian: the tangent of `Belief`, then the auxiliary variable."""

COLUMNS = 16
"""Number of them."""


def skew(vector: npt.ArrayLike) -> Array:
    """(3, 3) matrix of the cross product with a vector (3,)."""
    x, y, z = np.asarray(vector, dtype=np.float64)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


@dataclass(frozen=True, eq=False, kw_only=True)
class ResidualMeasurement(ABC):
    """What a sensor said at one stamp. Satisfies :class:`~geo_nav.fusion.measurements.Measurement`.

    Attributes:
        stamp: s.
        covariance: (m, m) of the residual.
        walk: the auxiliary variable; None where there is none.
        spacing: least interval to others of its kind in the graph, s.
        shift: (m,) added to the residual; what :meth:`moved` makes up for.
    """

    kind: ClassVar[str]
    is_fix: ClassVar[bool] = False
    may_insist: ClassVar[bool] = False

    stamp: float
    covariance: Array
    walk: RandomWalk | None = None
    spacing: float = 0.0
    shift: Array | float = 0.0

    @abstractmethod
    def residual(self, nav: Any, bias: Any, auxiliary: float) -> tuple[Array, Array]:
        """Predicted minus measured.

        Args:
            nav: ``gtsam.NavState``.
            bias: ``gtsam.imuBias.ConstantBias``.
            auxiliary: value of the auxiliary variable; 0 where there is none.

        Returns:
            (m,), and its (m, 16) Jacobian by the tangent of :class:`~geo_nav.fusion.belief.Belief` and the auxiliary
            variable.
        """

    def correlation_time(self, config: FusionConfig) -> float:
        """The errors count as independent."""
        return 0.0

    def with_rate(self, angular_velocity: Array) -> Self:
        """The angular velocity is not needed."""
        return self

    def placed(self, belief: Belief) -> Self:
        """Nothing is to be taken from the prediction."""
        return self

    def factors(self, keys: StateKeys, config: FusionConfig) -> list[Any]:
        """One factor on pose, velocity, bias and the auxiliary variable, if that is estimated."""
        model = robust(gtsam.noiseModel.Gaussian.Covariance(self.covariance), config)
        on = [keys.pose, keys.velocity, keys.bias]
        if keys.auxiliary is not None:
            on.append(keys.auxiliary)
        return [gtsam.CustomFactor(model, on, self._error)]

    def _error(self, factor: Any, values: Any, jacobians: Any) -> Array:
        """What GTSAM calls. Its Python layer keeps this object alive as long as the factor."""
        keys = factor.keys()
        pose = values.atPose3(keys[0])
        nav = gtsam.NavState(pose, values.atVector(keys[1]))
        auxiliary = values.atVector(keys[3])[0] if len(keys) == 4 else self._start
        error, jacobian = self.residual(nav, values.atConstantBias(keys[2]), auxiliary)
        if jacobians is not None:
            jacobians[0] = jacobian[:, :6]
            # The velocity of the graph is in `map`, that of a belief's tangent in the body.
            jacobians[1] = jacobian[:, VELOCITY] @ pose.rotation().matrix().T
            jacobians[2] = jacobian[:, 9:15]
            if len(keys) == 4:
                jacobians[3] = jacobian[:, AUXILIARY:]
        return error + self.shift

    @property
    def _start(self) -> float:
        return 0.0 if self.walk is None else self.walk.start

    def innovation(self, belief: Belief) -> tuple[Array, Array]:
        """(m,) measured minus predicted, and its covariance with all correlations of state and auxiliary variable."""
        column = None if self.walk is None else belief.column(self.walk)
        error, jacobian = self._at(belief)
        columns = [*range(15)] if column is None else [*range(15), column]
        jacobian = jacobian[:, : len(columns)]
        covariance = jacobian @ belief.covariance[np.ix_(columns, columns)] @ jacobian.T + self.covariance
        return -(error + self.shift), covariance

    def _at(self, belief: Belief) -> tuple[Array, Array]:
        auxiliary = 0.0 if self.walk is None else belief.value(self.walk)
        return self.residual(belief.nav, belief.bias, auxiliary)

    def moved(self, before: Belief, after: Belief) -> Self:
        """At another stamp, where the residual would be the same for the predicted motion."""
        return replace(self, stamp=after.stamp, shift=self.shift + self._at(before)[0] - self._at(after)[0])

    def inflated(self, factor: float) -> Self:
        """With the covariance multiplied."""
        return replace(self, covariance=factor * self.covariance)
