"""The estimators that get the same IMU and the same fixes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.inertial.record import Record
from geo_nav.evaluation.inertial.start import UPDATE_EVERY, Start, give
from geo_nav.fusion import Fusion, ImuSample, NavState
from geo_nav.fusion.belief import Belief, pose3
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]

OURS, DEAD_RECKONING, EKF, INVARIANT_EKF, BATCH = (
    "geo_nav", "dead reckoning", "NavStateImuEKF", "Gal3ImuEKF (invariant)", "batch optimum",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Estimate:
    """What an estimator says of one instant.

    Attributes:
        position: (3,) in `map`, m.
        velocity: (3,) in `map`, m/s.
        covariance: (3, 3) of the position in `map`, m².
    """

    position: Array
    velocity: Array
    covariance: Array

    def after(self, seconds: float) -> Estimate:
        """A moment later at constant velocity, for stamps between two IMU samples."""
        return Estimate(self.position + self.velocity * seconds, self.velocity, self.covariance)


class Estimator(Protocol):
    """Gets samples and fixes in order of time; a fix comes when the newest sample is the last one before it."""

    def imu(self, stamp: float, acceleration: Array, angular_velocity: Array) -> None:
        """Take a sample; the first one is that of the start."""

    def fix(self, index: int) -> None:
        """Take a fix of the record."""

    def estimate(self) -> Estimate:
        """The state at the newest sample."""

    def nav(self) -> Any:
        """The same as ``gtsam.NavState``, a first guess for the batch."""


class Ours:
    """`geo_nav.fusion.Fusion` as a node runs it.

    Args:
        record: for frame, fixes and settings.
        start: its belief is restored.
    """

    def __init__(self, record: Record, start: Start) -> None:
        self._fixes = record.fixes
        self.fusion = Fusion(record.config, record.frame, Pose.identity())
        self.fusion.restore(start.checkpoint)
        self._due = start.belief.stamp
        self._state: NavState | None = None

    def imu(self, stamp: float, acceleration: Array, angular_velocity: Array) -> None:
        """`add_imu`, and `update` when it is due."""
        self._state = self.fusion.add_imu(ImuSample(stamp, acceleration, angular_velocity)) or self._state
        if stamp >= self._due:
            self.fusion.update()
            self._state = self.fusion.state() or self._state
            self._due = stamp + UPDATE_EVERY

    def fix(self, index: int) -> None:
        """`add_gps`; the next sample, which is the first to reach beyond it, makes an update."""
        give(self.fusion, self._fixes, index)
        self._due = -np.inf

    def estimate(self) -> Estimate:
        """Position, velocity and covariance of the newest state."""
        s = self._newest()
        return Estimate(s.T_map_base.translation, s.velocity, s.pose_covariance[:3, :3])

    def nav(self) -> Any:
        """``gtsam.NavState`` of the newest state."""
        return gtsam.NavState(pose3(self._newest().T_map_base), self._newest().velocity)

    def _newest(self) -> NavState:
        assert self._state is not None, "the restored belief is a state from the first sample on"
        return self._state


class _Sampled(ABC):
    """Hands an IMU to a filter that takes one measurement an interval: the mean of the samples at its ends, less the
    bias of the start; up to a fix between two samples the first of them.
    """

    def __init__(self, start: Start) -> None:
        self._stamp = start.belief.stamp
        self._bias = start.belief.bias
        self._last: tuple[Array, Array] | None = None

    def imu(self, stamp: float, acceleration: Array, angular_velocity: Array) -> None:
        """Predict to a sample."""
        sample = acceleration - self._bias.accelerometer(), angular_velocity - self._bias.gyroscope()
        if self._last is not None and stamp > self._stamp:
            force, rate = ((a + b) / 2.0 for a, b in zip(self._last, sample, strict=True))
            self._predict(force, rate, stamp - self._stamp)
        self._stamp, self._last = stamp, sample

    def _hold(self, stamp: float) -> None:
        if self._last is not None and stamp > self._stamp:
            self._predict(*self._last, stamp - self._stamp)
            self._stamp = stamp

    @abstractmethod
    def _predict(self, force: Array, rate: Array, dt: float) -> None: ...


class GtsamEkf(_Sampled):
    """gtsam's filters on the navigation state. They have no bias: that of the start is removed from the IMU.

    Args:
        record: for noise and fixes.
        start: its belief.
        invariant: ``Gal3ImuEKF``, the invariant filter that integrates velocity to position; else ``NavStateImuEKF``.
    """

    def __init__(self, record: Record, start: Start, invariant: bool) -> None:
        super().__init__(start)
        self._fixes = record.fixes
        self._velocity_sigma = record.config.gps_velocity_sigma
        belief, nav = start.belief, start.belief.nav
        params = _params(record, nav.position())
        P = belief.covariance[:9, :9]
        if invariant:
            # Tangent of Gal3: rotation, velocity, position, time; the time is known.
            order = [0, 1, 2, 6, 7, 8, 3, 4, 5]
            full = np.diag(np.full(10, 1e-12))
            full[:9, :9] = P[np.ix_(order, order)]
            first = gtsam.Gal3(nav.attitude(), nav.position(), nav.velocity(), 0.0)
            self._filter: Any = gtsam.Gal3ImuEKF(first, full, params, gtsam.Gal3ImuEKF.Mode.NO_TIME)
            self._position, self._velocity = slice(6, 9), slice(3, 6)
        else:
            self._filter = gtsam.NavStateImuEKF(nav, P, params)
            self._position, self._velocity = slice(3, 6), slice(6, 9)

    def _predict(self, force: Array, rate: Array, dt: float) -> None:
        self._filter.predict(rate, force, dt)

    def fix(self, index: int) -> None:
        """Kalman update with position, and velocity where there is one."""
        self._hold(float(self._fixes.stamps[index]))
        state, n = self._filter.state(), self._filter.dimension()
        R = state.attitude().matrix()
        H = np.zeros((6, n))
        H[:3, self._position] = R
        H[3:, self._velocity] = R
        predicted = np.concatenate([state.position(), state.velocity()])
        measured = np.array(self._fixes.positions[index])
        noise = self._fixes.sigmas**2
        if self._fixes.velocities is not None:
            measured = np.concatenate([measured, self._fixes.velocities[index]])
            noise = np.concatenate([noise, np.full(3, self._velocity_sigma**2)])
        m = len(measured)
        self._filter.updateWithVector(predicted[:m], np.asfortranarray(H[:m]), measured, np.diag(noise))

    def nav(self) -> Any:
        """``gtsam.NavState`` of the newest state."""
        state = self._filter.state()
        return gtsam.NavState(state.attitude(), state.position(), state.velocity())

    def estimate(self) -> Estimate:
        """Position, velocity and covariance of the newest state."""
        state = self._filter.state()
        R = state.attitude().matrix()
        P = self._filter.covariance()[self._position, self._position]
        return Estimate(state.position(), state.velocity(), R @ P @ R.T)


class DeadReckoning(_Sampled):
    """The IMU alone from the start on, with the covariance that its noise and the start's give."""

    def __init__(self, record: Record, start: Start) -> None:
        super().__init__(start)
        self._model = ImuModel(record.config, record.frame)
        # The bias is already removed from the samples, but its uncertainty is part of the covariance.
        self._belief = replace(start.belief, bias=gtsam.imuBias.ConstantBias())
        self._pim = self._new()

    def _new(self) -> Any:
        return self._model.preintegration(self._belief.bias, self._belief.nav.position(), False)

    def _predict(self, force: Array, rate: Array, dt: float) -> None:
        self._pim.integrateMeasurement(force, rate, dt)
        if self._pim.deltaTij() > 1.0:
            self._belief = self._belief.through(self._pim, self._stamp)
            self._pim = self._new()

    def fix(self, index: int) -> None:
        """Is not looked at."""

    def estimate(self) -> Estimate:
        """Position, velocity and covariance of the newest state."""
        now = self._now()
        return Estimate(now.nav.position(), now.nav.velocity(), now.pose_covariance[:3, :3])

    def nav(self) -> Any:
        """``gtsam.NavState`` of the newest state."""
        return self._now().nav

    def _now(self) -> Belief:
        return self._belief.through(self._pim, self._stamp)


def _params(record: Record, position: Array) -> Any:
    """Gravity at the start and the white noise of the record; these filters know no other."""
    c = record.config
    params = gtsam.PreintegrationParams(ImuModel(c, record.frame).gravity(position))
    params.setAccelerometerCovariance(np.eye(3) * c.accelerometer_noise**2)
    params.setGyroscopeCovariance(np.eye(3) * c.gyroscope_noise**2)
    params.setIntegrationCovariance(np.eye(3) * 1e-8)
    return params


CAUSAL: dict[str, Callable[[Record, Start], Estimator]] = {
    OURS: Ours,
    EKF: lambda record, start: GtsamEkf(record, start, invariant=False),
    INVARIANT_EKF: lambda record, start: GtsamEkf(record, start, invariant=True),
    DEAD_RECKONING: DeadReckoning,
}
"""All that see only the past, by name."""
