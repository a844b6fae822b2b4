"""Relative poses: the motion from a reference frame, registered or refused, to one in which its points were tracked.

Points that are tracked from one frame share the error of that frame's pose, so the tracked frames must not count
as absolute fixes of their own. What they do say, free of the common error, is how the vehicle has moved since. Of one
reference only the newest such motion is in the graph: the flow's drift and the depths of the points make the motions
to successive frames err together, and each as an independent factor would be believed several times over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.belief import Belief, pose3, predict
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.imu_buffer import ImuBuffer, ImuSegment
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.loss import robust
from geo_nav.geodesy import Pose, covariance_gtsam_from_ros

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RelativePose:
    """The motion of `base_link` from one stamp to a later one.

    Attributes:
        reference_stamp: of the frame that the points come from, s.
        stamp: of the tracked frame, s.
        motion: ``gtsam.Pose3`` T_reference_base: `base_link` at ``stamp`` in `base_link` at ``reference_stamp``.
        covariance: (6, 6) GTSAM order.
    """

    reference_stamp: float
    stamp: float
    motion: Any
    covariance: Array

    kind: ClassVar[str] = "track"

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """None: the camera's calibration is taken as it is."""
        return ()

    def with_imu(self, imu: ImuBuffer) -> RelativePose:
        """The IMU is not needed."""
        return self

    def placed(self, reference: Belief) -> RelativePose:
        """Nothing is to be taken from the prediction."""
        return self

    def factor(self, reference: StateKeys, end: StateKeys, config: FusionConfig) -> Any:
        """A factor between the poses of two states."""
        model = robust(gtsam.noiseModel.Gaussian.Covariance(self.covariance), config)
        return gtsam.BetweenFactorPose3(reference.pose, end.pose, self.motion, model)

    def innovation(self, reference: Belief, segments: list[ImuSegment], model: ImuModel) -> tuple[Array, Array]:
        """(6,) difference to the motion that the IMU predicts, in the body frame, and its covariance.

        An error of the reference's position does not matter to the motion; its attitude (by gravity), velocity and
        biases do.

        Args:
            reference: belief at ``reference_stamp``.
            segments: IMU from there to ``stamp``.
            model: preintegration.
        """
        nav, transition, noise = self._carried(reference, segments, model)
        predicted = reference.nav.pose().between(nav.pose())
        jacobian = transition[:6].copy()
        jacobian[:, :6] -= predicted.inverse().AdjointMap()
        covariance = jacobian @ reference.covariance[:15, :15] @ jacobian.T + noise[:6, :6] + self.covariance
        return predicted.localCoordinates(self.motion), 0.5 * (covariance + covariance.T)

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
        """With the covariance multiplied."""
        return replace(self, covariance=factor * self.covariance)

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
        )


def relative_pose(
    reference_stamp: float, stamp: float, T_reference_camera: Pose, covariance: Array, T_base_camera: Any
) -> RelativePose:
    """The motion of the base from the motion of the camera.

    Args:
        reference_stamp: s.
        stamp: s.
        T_reference_camera: camera at ``stamp`` in the camera at ``reference_stamp``.
        covariance: (6, 6) ROS order about the axes of the reference camera, m and rad.
        T_base_camera: ``gtsam.Pose3``.
    """
    in_camera = covariance_gtsam_from_ros(covariance, T_reference_camera.rotation)
    # T_bc · T exp(ξ) · T_cb = T_bc T T_cb · exp(Ad(T_bc) ξ)
    jacobian = T_base_camera.AdjointMap()
    in_base = jacobian @ in_camera @ jacobian.T
    motion = T_base_camera.compose(pose3(T_reference_camera)).compose(T_base_camera.inverse())
    return RelativePose(reference_stamp, stamp, motion, 0.5 * (in_base + in_base.T))
