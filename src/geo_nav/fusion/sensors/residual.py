"""A measurement that is given by its residual: factor, innovation and all else follow from that one function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.loss import robust

if TYPE_CHECKING:
    from geo_nav.fusion.belief import Belief
    from geo_nav.fusion.config import FusionConfig
    from geo_nav.fusion.imu_buffer import ImuBuffer

Array = npt.NDArray[np.float64]

ROTATION, POSITION, VELOCITY, GYROSCOPE_BIAS, AUXILIARY = slice(0, 3), slice(3, 6), slice(6, 9), slice(12, 15), 15
"""Columns of a residual's Jacobian: the tangent of `Belief`, then from ``AUXILIARY`` on the auxiliary variables."""


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
        walks: the auxiliary variables that the residual takes.
        spacing: least interval to others of its kind in the graph, s.
        shift: (m,) added to the residual; what :meth:`moved` makes up for.
    """

    kind: ClassVar[str]
    is_fix: ClassVar[bool] = False
    is_inflated: ClassVar[bool] = True
    may_insist: ClassVar[bool] = False

    stamp: float
    covariance: Array
    walks: tuple[GaussMarkov, ...] = ()
    spacing: float = 0.0
    shift: Array | float = 0.0

    @abstractmethod
    def residual(self, nav: Any, bias: Any, auxiliaries: Array) -> tuple[Array, Array]:
        """Predicted minus measured.

        Args:
            nav: ``gtsam.NavState``.
            bias: ``gtsam.imuBias.ConstantBias``.
            auxiliaries: (n,) values of the auxiliary variables.

        Returns:
            (m,), and its (m, 15 + n) Jacobian by the tangent of :class:`~geo_nav.fusion.belief.Belief` and the
            auxiliary variables; :meth:`zero_jacobian` is one to fill.
        """

    def zero_jacobian(self, rows: int) -> Array:
        """A Jacobian of a residual (rows,) that depends on nothing."""
        return np.zeros((rows, AUXILIARY + len(self.walks)))

    def correlation_time(self, config: FusionConfig) -> float:
        """The errors count as independent."""
        return 0.0

    def with_imu(self, imu: ImuBuffer) -> Self:
        """The IMU is not needed."""
        return self

    def placed(self, belief: Belief) -> Self:
        """Nothing is to be taken from the prediction."""
        return self

    def factors(self, keys: StateKeys, config: FusionConfig) -> list[Any]:
        """One factor on pose, velocity, bias and the auxiliary variables that are estimated."""
        model = robust(gtsam.noiseModel.Gaussian.Covariance(self.covariance), config, self.is_fix)
        on = [keys.pose, keys.velocity, keys.bias, *keys.auxiliaries]
        return [gtsam.CustomFactor(model, on, self._error)]

    def _error(self, factor: Any, values: Any, jacobians: Any) -> Array:
        """What GTSAM calls. Its Python layer keeps this object alive as long as the factor."""
        keys = factor.keys()
        pose = values.atPose3(keys[0])
        nav = gtsam.NavState(pose, values.atVector(keys[1]))
        estimated = [k for k, walk in enumerate(self.walks) if walk.estimated]
        auxiliaries = np.array([walk.start for walk in self.walks])
        for k, key in zip(estimated, keys[3:], strict=True):
            auxiliaries[k] = values.atVector(key)[0]
        error, jacobian = self.residual(nav, values.atConstantBias(keys[2]), auxiliaries)
        if jacobians is not None:
            jacobians[0] = jacobian[:, :6]
            # The velocity of the graph is in `map`, that of a belief's tangent in the body.
            jacobians[1] = jacobian[:, VELOCITY] @ pose.rotation().matrix().T
            jacobians[2] = jacobian[:, 9:15]
            for i, k in enumerate(estimated):
                jacobians[3 + i] = jacobian[:, AUXILIARY + k : AUXILIARY + k + 1]
        return error + self.shift

    def innovation(self, belief: Belief) -> tuple[Array, Array]:
        """(m,) measured minus predicted, and its covariance with all correlations of state and auxiliary variables."""
        error, jacobian = self._at(belief)
        auxiliaries = belief.by_auxiliaries(jacobian[:, AUXILIARY:], self.walks)
        jacobian = np.hstack([jacobian[:, :AUXILIARY], auxiliaries])
        covariance = jacobian @ belief.covariance @ jacobian.T + self.covariance
        return -(error + self.shift), covariance

    def _at(self, belief: Belief) -> tuple[Array, Array]:
        return self.residual(belief.nav, belief.bias, belief.values_of(self.walks))

    def moved(self, before: Belief, after: Belief) -> Self:
        """At another stamp, where the residual would be the same for the predicted motion."""
        return replace(self, stamp=after.stamp, shift=self.shift + self._at(before)[0] - self._at(after)[0])

    def inflated(self, factor: float) -> Self:
        """With the covariance multiplied."""
        return replace(self, covariance=factor * self.covariance)
