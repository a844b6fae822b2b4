"""The measurements that enter the graph: their factors and their innovations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import gtsam
import numpy as np
import numpy.typing as npt
from gtsam.symbol_shorthand import X

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.belief import Belief, pose3, rot3
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.error_process import ErrorProcess
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.loss import robust
from geo_nav.fusion.sensors.residual import skew
from geo_nav.fusion.tie_points import Reprojection, TiePoints, pose_factor
from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]

_LONGEST_INFLATED = 0.5
"""GPS whose covariance is inflated counts as correlated over no more, s: inflation says what the mean over many
correlation times is worth, and with half a minute a flight would go by its IMU."""


def checked_covariance(covariance: npt.ArrayLike, size: int, name: str) -> Array:
    """A covariance as a symmetric array.

    Raises:
        FusionError: wrong shape, not finite, or not positive definite.
    """
    array = np.array(covariance, dtype=np.float64)
    if array.shape != (size, size):
        raise FusionError(f"the covariance of {name} must be ({size}, {size}), got {array.shape}")
    if not np.isfinite(array).all():
        raise FusionError(f"the covariance of {name} is not finite")
    array = 0.5 * (array + array.T)
    if np.linalg.eigvalsh(array).min() <= 0.0:
        raise FusionError(f"the covariance of {name} is not positive definite: set every unknown axis to a large value")
    return array


def checked_vector(vector: npt.ArrayLike, name: str) -> Array:
    """A finite (3,) vector.

    Raises:
        FusionError: wrong shape or not finite.
    """
    array = np.array(vector, dtype=np.float64)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise FusionError(f"{name} must be 3 finite numbers, got {array}")
    return array


def checked_stamp(stamp: float, name: str) -> float:
    """A finite stamp.

    Raises:
        FusionError: not finite.
    """
    if not np.isfinite(stamp):
        raise FusionError(f"the stamp of {name} is not finite")
    return float(stamp)


class Measurement(Protocol):
    """Something measured at one stamp that constrains a state."""

    kind: ClassVar[str]
    """Name for reports."""

    is_fix: ClassVar[bool]
    """Whether it tells where the vehicle is: a fix may start the graph, keeps the status from COASTING, and several
    that are refused but agree may overthrow the state. All else only joins in."""

    may_insist: ClassVar[bool]
    """Whether it is taken in spite of the gate when that has refused it for long: then rather the state is wrong, or
    an auxiliary variable has jumped, than the sensor. The robust loss bounds what each one does."""

    @property
    def stamp(self) -> float:
        """Of the exposure, s."""

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """The auxiliary variables that it depends on."""

    @property
    def spacing(self) -> float:
        """Least interval to others of its kind in the graph, s; fixes are all taken."""

    def correlation_time(self, config: FusionConfig) -> float:
        """Of the errors of successive measurements of this kind, as innovations show it, s; 0: they are independent."""

    @property
    def is_inflated(self) -> bool:
        """Whether the graph allows for that by a larger covariance; otherwise the process is in ``walks``."""

    def with_imu(self, imu: ImuBuffer) -> Measurement:
        """This measurement with what it takes from the IMU at its stamp, if anything.

        Args:
            imu: holds the stamp.
        """

    def placed(self, belief: Belief) -> Measurement:
        """This measurement with what it takes from the prediction at its stamp, if anything."""

    def factors(self, keys: StateKeys, config: FusionConfig) -> list[Any]:
        """The factors on a state."""

    def innovation(self, belief: Belief) -> tuple[Array, Array]:
        """Difference to a belief at the same stamp that knows the auxiliary variables, and its covariance."""

    def moved(self, before: Belief, after: Belief) -> Measurement:
        """This measurement as it would be at another stamp, by the predicted motion."""

    def inflated(self, factor: float) -> Measurement:
        """This measurement with its covariance multiplied."""


@dataclass(frozen=True, eq=False)
class PoseFix:
    """An absolute pose of `base_link`.

    Attributes:
        stamp: s.
        pose: ``gtsam.Pose3`` of `base_link` in `map`.
        covariance: (6, 6) GTSAM order.
        points: the tie points that the pose is from, where these enter the graph in its place. Gate, start and rival
            go by the pose.
    """

    kind: ClassVar[str] = "pose"
    is_fix: ClassVar[bool] = True
    may_insist: ClassVar[bool] = False
    is_inflated: ClassVar[bool] = True
    spacing: ClassVar[float] = 0.0

    stamp: float
    pose: Any
    covariance: Array
    points: TiePoints | None = field(default=None, kw_only=True)

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """None: the camera's calibration is taken as it is."""
        return ()

    def correlation_time(self, config: FusionConfig) -> float:
        """As configured."""
        return config.fix_correlation_time

    def with_imu(self, imu: ImuBuffer) -> PoseFix:
        """The IMU is not needed."""
        return self

    def placed(self, belief: Belief) -> PoseFix:
        """Nothing is to be taken from the prediction."""
        return self

    def factors(self, keys: StateKeys, config: FusionConfig) -> list[Any]:
        """A prior on the pose, or the reprojection of the points."""
        if self.points is not None:
            reprojection = Reprojection(self.points, self.pose, self.covariance)
            return [pose_factor(keys.pose, reprojection, robust(gtsam.noiseModel.Unit.Create(6), config, is_fix=True))]
        model = robust(gtsam.noiseModel.Gaussian.Covariance(self.covariance), config, is_fix=True)
        return [gtsam.PriorFactorPose3(keys.pose, self.pose, model)]

    def innovation(self, belief: Belief) -> tuple[Array, Array]:
        """(6,) rotation and position in the body frame."""
        error = belief.nav.pose().localCoordinates(self.pose)
        return error, belief.covariance[:6, :6] + self.covariance

    def seat(self, belief: Belief) -> tuple[Any, Array, Array]:
        """Where this fix alone puts `base_link`.

        Args:
            belief: prediction at the stamp, for the motion and the n numbers of the auxiliary variables.

        Returns:
            ``gtsam.Pose3``; the fix' part of its covariance (6, 6) in GTSAM order; its derivatives (6, n) by
            those numbers.
        """
        return self.pose, self.covariance, np.zeros((6, len(belief.values)))

    def moved(self, before: Belief, after: Belief) -> PoseFix:
        """Composed with the predicted motion."""
        motion = before.nav.pose().between(after.nav.pose())
        jacobian = motion.inverse().AdjointMap()
        covariance = jacobian @ self.covariance @ jacobian.T
        points = None if self.points is None else self.points.moved(motion)
        return replace(self, stamp=after.stamp, pose=self.pose.compose(motion), covariance=covariance, points=points)

    def inflated(self, factor: float) -> PoseFix:
        """With the covariance multiplied."""
        return replace(self, covariance=factor * self.covariance)


@dataclass(frozen=True, eq=False)
class GpsFix:
    """Position, and velocity if there is one, of a GPS antenna.

    Attributes:
        stamp: s.
        position: (3,) of the antenna in `map`, m.
        covariance: (3, 3) m².
        velocity: (3,) of the antenna in `map`, m/s, or None.
        velocity_covariance: (3, 3) (m/s)².
        lever_arm: (3,) antenna in `base_link`, m.
        angular_velocity: (3,) of the body at the stamp, rad/s: what the lever arm adds to the velocity.
        process: of the errors of the position, or None where they are independent or the covariance is inflated.
    """

    kind: ClassVar[str] = "gps"
    is_fix: ClassVar[bool] = True
    may_insist: ClassVar[bool] = False
    spacing: ClassVar[float] = 0.0

    stamp: float
    position: Array
    covariance: Array
    velocity: Array | None
    velocity_covariance: Array
    lever_arm: Array
    angular_velocity: Array
    process: ErrorProcess | None = None

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """Those of the errors."""
        return () if self.process is None else (self.process.walk,)

    @property
    def is_inflated(self) -> bool:
        """Where the process is not in the graph."""
        return self.process is None

    def correlation_time(self, config: FusionConfig) -> float:
        """As configured, up to a limit, where the covariance is inflated; with a process that of the innovations."""
        if self.process is None:
            return min(config.gps_correlation_time, _LONGEST_INFLATED)
        return self.process.innovation_time

    def with_imu(self, imu: ImuBuffer) -> GpsFix:
        """A velocity at a lever arm needs the angular velocity."""
        return replace(self, angular_velocity=imu.sample_at(self.stamp)[1])

    def placed(self, belief: Belief) -> GpsFix:
        """The velocity brought from the antenna to `base_link` by the predicted attitude."""
        if self.velocity is None or not self.lever_arm.any():
            return self
        swing = belief.nav.attitude().matrix() @ np.cross(self.angular_velocity, self.lever_arm)
        return replace(self, velocity=self.velocity - swing)

    def factors(self, keys: StateKeys, config: FusionConfig) -> list[Any]:
        """A factor on the position, less the part of its error that is known; one on the velocity if there is any."""
        factors: list[Any] = [self._position_factor(keys, config)]
        if self.velocity is not None:
            model = robust(gtsam.noiseModel.Gaussian.Covariance(self.velocity_covariance), config, is_fix=True)
            factors.append(gtsam.PriorFactorVector(keys.velocity, self.velocity, model))
        return factors

    def _position_factor(self, keys: StateKeys, config: FusionConfig) -> Any:
        covariance, shared = self.errors()
        model = robust(gtsam.noiseModel.Gaussian.Covariance(covariance), config, is_fix=True)
        if self.process is None:
            return gtsam.GPSFactorArm(keys.pose, self.position, self.lever_arm, model)

        def error(factor: Any, values: Any, jacobians: Any) -> Array:
            pose = values.atPose3(keys.pose)
            R = pose.rotation().matrix()
            if jacobians is not None:
                jacobians[0] = np.hstack([-R @ skew(self.lever_arm), R])
                jacobians[1] = -shared
            antenna: Array = pose.translation() + R @ self.lever_arm
            known: Array = shared @ values.atVector(keys.auxiliaries[0])
            return antenna - self.position - known

        return gtsam.CustomFactor(model, [keys.pose, keys.auxiliaries[0]], error)

    def errors(self) -> tuple[Array, Array]:
        """The covariance (3, 3) of the position but for what the process explains, and the derivatives (3, n) of its
        error by the n numbers of the process, 3 or none.
        """
        if self.process is None:
            return self.covariance, np.zeros((3, 0))
        return self.process.white_share * self.covariance, self.process.shared(self.covariance)

    def innovation(self, belief: Belief) -> tuple[Array, Array]:
        """(3,) position, or (6,) position and velocity, in `map`."""
        R = belief.nav.attitude().matrix()
        jacobian = np.zeros((6, 15))
        jacobian[:3, :3] = -R @ skew(self.lever_arm)
        jacobian[:3, 3:6] = R
        jacobian[3:, 6:9] = R
        covariance = jacobian @ belief.covariance[:15, :15] @ jacobian.T
        covariance[:3, :3] += self.covariance
        error = self.position - belief.nav.position() - R @ self.lever_arm
        if self.velocity is None:
            return error, covariance[:3, :3]
        covariance[3:, 3:] += self.velocity_covariance
        return np.concatenate([error, self.velocity - belief.nav.velocity()]), covariance

    def moved(self, before: Belief, after: Belief) -> GpsFix:
        """Moved with the antenna, by the predicted motion."""
        antenna = [b.nav.position() + b.nav.attitude().matrix() @ self.lever_arm for b in (before, after)]
        velocity = None if self.velocity is None else self.velocity + after.nav.velocity() - before.nav.velocity()
        return replace(self, stamp=after.stamp, position=self.position + antenna[1] - antenna[0], velocity=velocity)

    def inflated(self, factor: float) -> GpsFix:
        """With the covariance of the position multiplied; velocities come from Doppler and are all but white."""
        return replace(self, covariance=factor * self.covariance)


@dataclass(frozen=True, eq=False)
class Attitude:
    """An attitude for the start.

    Attributes:
        stamp: s.
        rotation: (3, 3) R_map_base.
        covariance: (3, 3) rad², about the axes of `base_link`.
    """

    stamp: float
    rotation: Array
    covariance: Array

    def factor(self, index: int) -> Any:
        """A prior on the rotation of X."""
        model = gtsam.noiseModel.Gaussian.Covariance(self.covariance)
        return gtsam.PoseRotationPrior3D(X(index), rot3(self.rotation), model)


def pose_fix(stamp: float, T_map_camera: Pose, covariance: Array, T_base_camera: Any) -> PoseFix:
    """A fix of the base from a fix of the camera.

    Args:
        stamp: s.
        T_map_camera: camera in `map`.
        covariance: (6, 6) GTSAM order, of the camera pose.
        T_base_camera: ``gtsam.Pose3``.
    """
    # exp of a camera-frame perturbation, carried over the extrinsics: T_mc exp(ξ) T_cb = T_mb exp(Ad(T_bc) ξ).
    jacobian = T_base_camera.AdjointMap()
    covariance = jacobian @ covariance @ jacobian.T
    return PoseFix(stamp, pose3(T_map_camera).compose(T_base_camera.inverse()), 0.5 * (covariance + covariance.T))
