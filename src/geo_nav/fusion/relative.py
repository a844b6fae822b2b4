"""Relative poses: the motion from a reference frame, registered or refused, to one in which its points were tracked.

Points that are tracked from one frame share the error of that frame's pose, so the tracked frames must not count
as absolute fixes of their own. What they do say, free of the common error, is how the vehicle has moved since. Of one
reference only the newest such motion is in the graph: the flow's drift and the depths of the points make the motions
to successive frames err together, and each as an independent factor would be believed several times over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.belief import Belief, pose3, predict
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.imu_buffer import ImuBuffer, ImuSegment
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.loss import robust
from geo_nav.fusion.measurements import checked_covariance
from geo_nav.fusion.types import MotionOrigin
from geo_nav.geodesy import Pose, covariance_gtsam_from_ros
from geo_nav.geodesy.pose import ros_from_gtsam_jacobian

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Origin:
    """A :class:`~geo_nav.fusion.MotionOrigin` of `base_link`, in GTSAM order and the body's axes.

    Attributes:
        pose: ``gtsam.Pose3`` of `base_link` in `map` at the reference's stamp, as the points were anchored.
        covariance: (6, 6) of that.
        by_pose: (6, 6) the motion's error by that pose's.
        noise: (6, 6) covariance of the motion where that pose is right.
    """

    pose: Any
    covariance: Array
    by_pose: Array
    noise: Array

    def error(self, reference: Any) -> tuple[Array, Array]:
        """(6,) error of the motion if the body was at ``reference`` (``gtsam.Pose3``), and its (6, 6) derivatives."""
        off = reference.between(self.pose)
        by_reference = -gtsam.Pose3.LogmapDerivative(off) @ off.inverse().AdjointMap()
        return self.by_pose @ gtsam.Pose3.Logmap(off), self.by_pose @ by_reference

    def agrees(self, reference: Any, covariance: Array, probability: float) -> bool:
        """Whether the pose may be a reference's: one that registration found elsewhere explains no motion here.

        Args:
            reference: ``gtsam.Pose3`` as the camera's mounting as given would have it.
            covariance: (6, 6) of that.
            probability: of the chi-square test.
        """
        off = gtsam.Pose3.Logmap(reference.between(self.pose))
        return bool(off @ np.linalg.solve(covariance + self.covariance, off) <= chi2.ppf(probability, 6))

    def moved(self, at_reference: Any, at_stamp: Any) -> Origin:
        """Of the motion between other stamps, see :meth:`RelativePose.moved`."""
        to_pose, to_motion = at_reference.inverse().AdjointMap(), at_stamp.inverse().AdjointMap()
        return Origin(
            self.pose.compose(at_reference),
            to_pose @ self.covariance @ to_pose.T,
            to_motion @ self.by_pose @ at_reference.AdjointMap(),
            to_motion @ self.noise @ to_motion.T,
        )


@dataclass(frozen=True, eq=False)
class RelativePose:
    """The motion of `base_link` from one stamp to a later one.

    Attributes:
        reference_stamp: of the frame that the points come from, s.
        stamp: of the tracked frame, s.
        motion: ``gtsam.Pose3`` T_reference_base: `base_link` at ``stamp`` in `base_link` at ``reference_stamp``.
        covariance: (6, 6) GTSAM order.
        origin: what of the error is that of the reference's pose: the graph knows that pose better than it was known
            when the points were anchored by it, and an error that lasts from one reference to the next is one error.
            None where nothing is known of that.
    """

    reference_stamp: float
    stamp: float
    motion: Any
    covariance: Array
    origin: Origin | None = field(default=None, kw_only=True)

    kind: ClassVar[str] = "track"

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """None: the camera's calibration is taken as it is."""
        return ()

    def with_imu(self, imu: ImuBuffer) -> RelativePose:
        """The IMU is not needed."""
        return self

    @property
    def noise(self) -> Array:
        """(6, 6) covariance of what is the motion's own; all of it where the origin is not known."""
        return self.covariance if self.origin is None else self.origin.noise

    def placed(self, reference: Belief, probability: float) -> RelativePose:
        """Without the origin where the belief at ``reference_stamp`` contradicts it by chi-square of a probability."""
        known = self.origin is None or self.origin.agrees(*self._seen(reference), probability)
        return self if known else replace(self, origin=None)

    def _seen(self, reference: Belief) -> tuple[Any, Array]:
        """``gtsam.Pose3`` of the reference that the origin is one of, and its covariance (6, 6)."""
        return reference.nav.pose(), reference.covariance[:6, :6]

    def factor(self, reference: StateKeys, end: StateKeys, config: FusionConfig) -> Any:
        """A factor between the poses of two states."""
        model = robust(gtsam.noiseModel.Gaussian.Covariance(self.noise), config)
        if self.origin is None:
            return gtsam.BetweenFactorPose3(reference.pose, end.pose, self.motion, model)

        def error(factor: Any, values: Any, jacobians: Any) -> Any:
            out, by_reference, by_end = self._residual(values.atPose3(reference.pose), values.atPose3(end.pose))
            if jacobians is not None:
                jacobians[0], jacobians[1] = by_reference, by_end
            return out

        return gtsam.CustomFactor(model, [reference.pose, end.pose], error)

    def _residual(self, reference: Any, end: Any) -> tuple[Array, Array, Array]:
        """(6,) motion between two ``gtsam.Pose3`` less the measured one, and its (6, 6) derivatives by either."""
        motion = reference.between(end)
        difference = self.motion.between(motion)
        by_end = gtsam.Pose3.LogmapDerivative(difference)
        out, by_reference = gtsam.Pose3.Logmap(difference), -by_end @ motion.inverse().AdjointMap()
        if self.origin is not None:
            error, by_origin = self.origin.error(reference)
            out, by_reference = out + error, by_reference + by_origin
        return out, by_reference, by_end

    def innovation(self, reference: Belief, segments: list[ImuSegment], model: ImuModel) -> tuple[Array, Array]:
        """(6,) difference to the motion that the IMU predicts, in the body frame, and its covariance.

        The reference's attitude (by gravity), velocity and biases matter; its position only as far as the points'
        distance does.

        Args:
            reference: belief at ``reference_stamp``.
            segments: IMU from there to ``stamp``.
            model: preintegration.
        """
        nav, transition, noise = self._carried(reference, segments, model)
        error, by_reference, by_end = self._residual(reference.nav.pose(), nav.pose())
        jacobian = by_end @ transition[:6]
        jacobian[:, :6] += by_reference
        covariance = jacobian @ reference.covariance[:15, :15] @ jacobian.T + self.noise
        covariance += by_end @ noise[:6, :6] @ by_end.T
        return -error, 0.5 * (covariance + covariance.T)

    @staticmethod
    def _carried(reference: Belief, segments: list[ImuSegment], model: ImuModel) -> tuple[Any, Array, Array]:
        """``gtsam.NavState`` at the end, its (15, 15) derivatives by the belief's tangent, and the IMU's noise."""
        nav, transition, noise = reference.nav, np.eye(15), np.zeros((15, 15))
        for segment in segments:
            pim = model.preintegrate(segment, reference.bias, nav.position())
            step = np.eye(15)
            nav, step[:9] = predict(nav, reference.bias, pim)
            transition = step @ transition
            noise = step @ noise @ step.T + pim.residualCovariance()
        return nav, transition, noise

    def inflated(self, factor: float) -> RelativePose:
        """With the covariance multiplied; what it owes to its origin is not."""
        origin = None if self.origin is None else replace(self.origin, noise=factor * self.origin.noise)
        return replace(self, covariance=factor * self.covariance, origin=origin)

    def moved(self, at_reference: Any, at_stamp: Any, stamps: tuple[float, float]) -> RelativePose:
        """This motion between other stamps.

        Args:
            at_reference: ``gtsam.Pose3``, predicted motion of the body from ``reference_stamp`` to ``stamps[0]``.
            at_stamp: the same, from ``stamp`` to ``stamps[1]``.
            stamps: the new ones, s.
        """
        jacobian = at_stamp.inverse().AdjointMap()
        return replace(
            self,
            reference_stamp=stamps[0],
            stamp=stamps[1],
            motion=at_reference.inverse().compose(self.motion).compose(at_stamp),
            covariance=jacobian @ self.covariance @ jacobian.T,
            origin=None if self.origin is None else self.origin.moved(at_reference, at_stamp),
        )


def checked_origin(origin: MotionOrigin) -> MotionOrigin:
    """With symmetric covariances.

    Raises:
        FusionError: a matrix has the wrong shape or is not finite, or a covariance is not positive definite.
    """
    by_pose = np.array(origin.by_pose, dtype=np.float64)
    if by_pose.shape != (6, 6) or not np.isfinite(by_pose).all():
        raise FusionError(f"the derivatives of a motion by its origin must be (6, 6) finite numbers, got {by_pose}")
    return MotionOrigin(
        origin.T_map_camera,
        checked_covariance(origin.covariance, 6, "a track's origin"),
        by_pose,
        checked_covariance(origin.noise, 6, "a track's noise"),
    )


def relative_pose(
    reference_stamp: float,
    stamp: float,
    T_reference_camera: Pose,
    covariance: Array,
    T_base_camera: Any,
    origin: MotionOrigin | None = None,
) -> RelativePose:
    """The motion of the base from the motion of the camera.

    Args:
        reference_stamp: s.
        stamp: s.
        T_reference_camera: camera at ``stamp`` in the camera at ``reference_stamp``.
        covariance: (6, 6) ROS order about the axes of the reference camera, m and rad.
        T_base_camera: ``gtsam.Pose3``.
        origin: what of the error is that of the reference's pose, if that is known.
    """
    # T_bc · T exp(ξ) · T_cb = T_bc T T_cb · exp(Ad(T_bc) ξ)
    jacobian = T_base_camera.AdjointMap()
    rotation = T_reference_camera.rotation
    motion = T_base_camera.compose(pose3(T_reference_camera)).compose(T_base_camera.inverse())

    def in_base(covariance: Array, rotation: Array) -> Array:
        out: Array = jacobian @ covariance_gtsam_from_ros(covariance, rotation) @ jacobian.T
        return 0.5 * (out + out.T)

    known = None
    if origin is not None:
        to_motion = jacobian @ ros_from_gtsam_jacobian(rotation).T
        # About its own axes an error of the pose is that of GTSAM's tangent, in the other order.
        to_pose = ros_from_gtsam_jacobian(np.eye(3)) @ T_base_camera.inverse().AdjointMap()
        known = Origin(
            pose3(origin.T_map_camera).compose(T_base_camera.inverse()),
            in_base(origin.covariance, origin.T_map_camera.rotation),
            to_motion @ origin.by_pose @ to_pose,
            in_base(origin.noise, rotation),
        )
    return RelativePose(reference_stamp, stamp, motion, in_base(covariance, rotation), origin=known)
