"""The newest state: the last solved one, carried on by every IMU sample since."""

from __future__ import annotations

from collections import deque
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.belief import Belief, pose_from_pose3, predict, rot3
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.imu_buffer import ImuSegment
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.types import NavState
from geo_nav.geodesy import Pose, covariance_ros_from_gtsam

Array = npt.NDArray[np.float64]

_REBASE = 1.0
"""The preintegration starts anew after this time, s: its rotation vector must stay far from a full turn."""

_HISTORY_STEP = 0.02
"""Spacing of the history, s; between its entries poses are interpolated."""


class Propagator:
    """Carries a solved belief forward. Not thread-safe: the owner locks.

    Args:
        config: settings.
        model: preintegration.
        anchor: the solved belief.
    """

    def __init__(self, config: FusionConfig, model: ImuModel, anchor: Belief) -> None:
        self._config = config
        self._model = model
        self._base = anchor
        self._nav = anchor.nav
        self._angular_velocity = np.zeros(3)
        self._pim: Any = None
        self._gap = False
        self._covariance: Array | None = anchor.covariance[:9, :9]
        self.stamp = anchor.stamp
        self.anchor_stamp = anchor.stamp
        self.T_map_odom: Any = anchor.nav.pose()
        self.history: deque[tuple[float, Any, Array]] = deque()

    @property
    def T_map_base(self) -> Any:
        """Newest pose, ``gtsam.Pose3``."""
        return self._nav.pose()

    def advance(self, segments: list[ImuSegment]) -> None:
        """Carry the state through segments that start at :attr:`stamp`."""
        for segment in segments:
            stamp = segment.start
            for acceleration, angular_velocity, dt in segment.rows:
                stamp += dt
                self._step(acceleration, angular_velocity, dt, stamp, segment.gap)
            self.stamp = segment.end

    def _step(self, acceleration: Array, angular_velocity: Array, dt: float, stamp: float, gap: bool) -> None:
        if self._pim is None or gap != self._gap or self._pim.deltaTij() > _REBASE:
            self._rebase(gap)
        self._pim.integrateMeasurement(acceleration, angular_velocity, dt)
        self._nav = self._pim.predict(self._base.nav, self._base.bias)
        self._angular_velocity = angular_velocity - self._base.bias.gyroscope()
        self._covariance = None
        self.stamp = stamp
        if not self.history or stamp - self.history[-1][0] >= _HISTORY_STEP:
            self.history.append((stamp, self._nav.pose(), self._nav_covariance()[:6, :6]))
            while stamp - self.history[0][0] > self._config.history:
                self.history.popleft()

    def _rebase(self, gap: bool) -> None:
        if self._pim is not None:
            self._base = self._base.through(self._pim, self.stamp)
        self._pim = self._model.preintegration(self._base.bias, self._base.nav.position(), gap)
        self._gap = gap

    def _nav_covariance(self) -> Array:
        """(9, 9) of the newest state; only made when asked for, and then kept."""
        if self._covariance is None:
            _, jacobian = predict(self._base.nav, self._base.bias, self._pim)
            noise = self._pim.residualCovariance()[:9, :9]
            self._covariance = jacobian @ self._base.covariance[:15, :15] @ jacobian.T + noise
        return self._covariance

    def belief(self) -> Belief:
        """The newest state with its full covariance."""
        return self._base if self._pim is None else self._base.through(self._pim, self.stamp)

    def take_over(self, old: Propagator, keep_history: bool) -> None:
        """Follow another propagator: odom goes on where it was, the correction goes to map→odom.

        Args:
            old: at the same stamp; or at its last one, where the IMU was interrupted in between.
            keep_history: whether the old history is of the same time.
        """
        T_odom_base = old.T_map_odom.between(old.T_map_base)
        correction = self.T_map_base.compose(T_odom_base.inverse())
        # Thousands of compositions would let the rotation drift from orthonormal.
        self.T_map_odom = gtsam.Pose3(rot3(correction.rotation().matrix()), correction.translation())
        if keep_history:
            kept = [entry for entry in old.history if entry[0] <= self.anchor_stamp]
            self.history.extendleft(reversed(kept))

    def state(self) -> NavState:
        """The newest state as the rest of geo_nav reads it."""
        covariance = self._nav_covariance()
        R = self._nav.attitude().matrix()
        return NavState(
            stamp=self.stamp,
            T_map_base=Pose(R, self._nav.position()),
            velocity=self._nav.velocity(),
            angular_velocity=self._angular_velocity,
            accelerometer_bias=self._base.bias.accelerometer(),
            gyroscope_bias=self._base.bias.gyroscope(),
            pose_covariance=covariance_ros_from_gtsam(covariance[:6, :6], R),
            velocity_covariance=R @ covariance[6:9, 6:9] @ R.T,
            T_map_odom=pose_from_pose3(self.T_map_odom),
        )

    def pose_at(self, stamp: float) -> tuple[Pose, Array] | None:
        """Pose and (6, 6) covariance (ROS order) at a stamp of the history, interpolated; None outside it."""
        if not self.history or not self.history[0][0] <= stamp <= self.stamp:
            return None
        after = (self.stamp, self.T_map_base, self._nav_covariance()[:6, :6])
        for before in reversed(self.history):
            if before[0] <= stamp:
                break
            after = before
        length = after[0] - before[0]
        fraction = (stamp - before[0]) / length if length > 0.0 else 0.0
        pose = pose_from_pose3(before[1]).interpolate(pose_from_pose3(after[1]), fraction)
        covariance = (1.0 - fraction) * before[2] + fraction * after[2]
        return pose, covariance_ros_from_gtsam(covariance, pose.rotation)
