"""State with covariance, and its propagation through preintegrated IMU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from geo_nav.fusion.auxiliary import GaussMarkov, columns, means
from geo_nav.fusion.imu_buffer import ImuSegment
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.geodesy import Pose, covariance_ros_from_gtsam

Array = npt.NDArray[np.float64]

_BRIDGE_STEP = 0.02
"""Step of the constant-velocity bridge, s."""


def rot3(matrix: npt.ArrayLike) -> Any:
    """A rotation matrix as ``gtsam.Rot3``, made orthonormal: GTSAM takes the matrix as it is."""
    return gtsam.Rot3.ClosestTo(np.asarray(matrix, dtype=np.float64))


def pose3(pose: Pose) -> Any:
    """A :class:`~geo_nav.geodesy.Pose` as ``gtsam.Pose3``."""
    return gtsam.Pose3(rot3(pose.rotation), pose.translation)


def pose_from_pose3(pose: Any) -> Pose:
    """A ``gtsam.Pose3`` as :class:`~geo_nav.geodesy.Pose`."""
    return Pose(pose.rotation().matrix(), pose.translation())


@dataclass(frozen=True, eq=False)
class Belief:
    """What is known of the state at one instant.

    Attributes:
        stamp: seconds.
        nav: ``gtsam.NavState``: attitude, position and velocity of `base_link` in `map`.
        bias: ``gtsam.imuBias.ConstantBias``.
        covariance: (15 + n, 15 + n) in the tangent space of ``gtsam.NavState`` and the bias: rotation (rad), position
            (m) and velocity (m/s) in the body frame, accelerometer bias (m/s²), gyroscope bias (rad/s); then the
            auxiliary variables.
        walks: the auxiliary variables, n numbers in all.
        values: (n,) these.
    """

    stamp: float
    nav: Any
    bias: Any
    covariance: Array
    walks: tuple[GaussMarkov, ...] = ()
    values: Array = field(default_factory=lambda: np.zeros(0))

    def place(self, walk: GaussMarkov) -> slice | None:
        """Where an auxiliary variable stands in ``values``; None where it is not part of this belief."""
        places = zip(self.walks, columns(self.walks), strict=True)
        return next((place for known, place in places if known.name == walk.name), None)

    def value(self, walk: GaussMarkov) -> Array:
        """Of an auxiliary variable: as estimated, or as expected before any measurement."""
        place = self.place(walk)
        return walk.mean if place is None else self.values[place]

    def by_auxiliaries(self, jacobian: Array, walks: Sequence[GaussMarkov]) -> Array:
        """(m, n) derivatives by this belief's auxiliary variables, from those (m, k) by some walks.

        What is by a walk that is not part of this belief is left out.
        """
        out = np.zeros((len(jacobian), len(self.values)))
        for walk, column in zip(walks, columns(walks), strict=True):
            place = self.place(walk)
            if place is not None:
                out[:, place] = jacobian[:, column]
        return out

    def values_of(self, walks: Sequence[GaussMarkov]) -> Array:
        """(k,) values of auxiliary variables, see :meth:`value`."""
        return np.concatenate([np.zeros(0), *(self.value(walk) for walk in walks)])

    def joined(self, walks: Sequence[GaussMarkov]) -> Belief:
        """This belief with auxiliary variables, as they are before any measurement unless they are known already."""
        new = [walk for walk in walks if walk.estimated and self.place(walk) is None]
        if not new:
            return self
        return replace(
            self,
            covariance=block_diag(self.covariance, *(walk.sigma**2 * np.eye(walk.dimension) for walk in new)),
            walks=(*self.walks, *new),
            values=np.concatenate([self.values, means(new)]),
        )

    def renewed(self, walks: Sequence[GaussMarkov]) -> Belief:
        """This belief with the stationary ones of some walks as they are before any measurement."""
        belief = self.joined(walks)
        covariance, values = belief.covariance.copy(), belief.values.copy()
        for walk in (walk for walk in walks if walk.is_stationary):
            place = belief.place(walk)
            assert place is not None
            numbers = np.arange(15 + place.start, 15 + place.stop)
            covariance[numbers, :] = covariance[:, numbers] = 0.0
            covariance[numbers, numbers], values[place] = walk.sigma**2, walk.start
        return replace(belief, covariance=covariance, values=values)

    @property
    def pose_covariance(self) -> Array:
        """(6, 6) of the pose in the ROS order."""
        return covariance_ros_from_gtsam(self.covariance[:6, :6], self.nav.attitude().matrix())

    @property
    def velocity_covariance(self) -> Array:
        """(3, 3) of the velocity in `map`, (m/s)²."""
        R = self.nav.attitude().matrix()
        out: Array = R @ self.covariance[6:9, 6:9] @ R.T
        return out

    def through(self, pim: Any, stamp: float) -> Belief:
        """This belief propagated through preintegrated measurements that end at ``stamp``."""
        nav, jacobian = predict(self.nav, self.bias, pim)
        transition = np.eye(len(self.covariance))
        transition[:9, :15] = jacobian
        steps = np.array([walk.step(stamp - self.stamp) for walk in self.walks for _ in walk.mean]).reshape(-1, 2)
        transition[range(15, len(transition)), range(15, len(transition))] = steps[:, 0]
        covariance = transition @ self.covariance @ transition.T
        covariance[:15, :15] += pim.residualCovariance()
        covariance[15:, 15:] += np.diag(steps[:, 1] ** 2)
        mean = means(self.walks)
        values = mean + steps[:, 0] * (self.values - mean)
        return replace(self, stamp=stamp, nav=nav, covariance=0.5 * (covariance + covariance.T), values=values)

    def with_attitude(self, rotation: Array, covariance: Array) -> Belief:
        """This belief joined with a measured attitude (Kalman update).

        Args:
            rotation: (3, 3) R_map_base as measured.
            covariance: (3, 3) of it about the axes of `base_link`, rad².
        """
        P = self.covariance
        residual = gtsam.Rot3.Logmap(self.nav.attitude().between(rot3(rotation)))
        gain = P[:, :3] @ np.linalg.inv(P[:3, :3] + covariance)
        step = gain @ residual
        rest = np.eye(len(P))
        rest[:, :3] -= gain
        updated = rest @ P @ rest.T + gain @ covariance @ gain.T
        bias = gtsam.imuBias.ConstantBias(self.bias.accelerometer() + step[9:12], self.bias.gyroscope() + step[12:15])
        return replace(
            self,
            nav=self.nav.retract(step[:9]),
            bias=bias,
            covariance=0.5 * (updated + updated.T),
            values=self.values + step[15:],
        )

    def propagated(self, segments: list[ImuSegment], model: ImuModel) -> Belief:
        """This belief propagated through IMU segments that start at its stamp."""
        belief = self
        for segment in segments:
            pim = model.preintegrate(segment, belief.bias, belief.nav.position())
            belief = belief.through(pim, segment.end)
        return belief

    def bridged(self, stamp: float, model: ImuModel) -> Belief:
        """This belief propagated without IMU to a later stamp, s: at constant velocity, with the noise of a gap."""
        gap = stamp - self.stamp
        steps = math.ceil(gap / _BRIDGE_STEP)
        # What an IMU that neither turns nor accelerates would measure.
        force = -self.nav.attitude().matrix().T @ model.gravity(self.nav.position())
        row = (force + self.bias.accelerometer(), self.bias.gyroscope(), gap / steps)
        return self.propagated([ImuSegment(self.stamp, stamp, True, [row] * steps)], model)


def predict(nav: Any, bias: Any, pim: Any) -> tuple[Any, Array]:
    """The predicted ``gtsam.NavState``, and its (9, 15) Jacobian by state and bias."""
    # GTSAM fills the optional Jacobians in place, and only if they are in Fortran order.
    by_state, by_bias = np.zeros((9, 9), order="F"), np.zeros((9, 6), order="F")
    predicted = pim.predict(nav, bias, by_state, by_bias)
    return predicted, np.hstack([by_state, by_bias])


def graph_jacobian(rotation: Array, auxiliaries: int = 0) -> Array:
    """(15 + n, 15 + n) from the tangent of the graph's X, V, B, A to that of :class:`Belief`: V is in `map`."""
    jacobian = np.eye(15 + auxiliaries)
    jacobian[6:9, 6:9] = rotation.T
    return jacobian
