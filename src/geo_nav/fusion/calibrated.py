"""Absolute poses and tracked motions of a camera that is being calibrated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.camera import CameraCalibrationConfig, CameraPoints, CameraPose, CameraView
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.imu_buffer import ImuBuffer, ImuSegment
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.loss import robust
from geo_nav.fusion.measurements import PoseFix
from geo_nav.fusion.relative import RelativePose
from geo_nav.fusion.sensors.residual import AUXILIARY, VELOCITY
from geo_nav.fusion.tie_points import Reprojection

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CalibratedPose(PoseFix):
    """A pose fix that depends on the camera's time offset and mounting; ``pose`` is that by the mounting as given.

    Attributes:
        view: of the camera at the stamp.
    """

    view: CameraView

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """All of the camera's, those that are held as well."""
        return self.view.walks

    def with_imu(self, imu: ImuBuffer) -> CalibratedPose:
        """The body turns between stamp and exposure."""
        return replace(self, view=self.view.with_imu(imu, self.stamp))

    def placed(self, belief: Belief) -> CalibratedPose:
        """With the turning left out where it is not significant."""
        return replace(self, view=self.view.placed(belief.bias))

    def _residual(self) -> CameraPose:
        return CameraPose(
            stamp=self.stamp,
            covariance=self.covariance,
            walks=self.walks,
            pose=self.pose,
            view=self.view,
        )

    def factors(self, keys: StateKeys, config: FusionConfig) -> list[Any]:
        """One factor on pose, velocity, bias and the variables of the camera that are estimated."""
        if self.points is None:
            return self._residual().factors(keys, config)
        reprojection = Reprojection(self.points, self.pose, self.covariance)
        points = CameraPoints(
            stamp=self.stamp, covariance=np.eye(6), walks=self.walks, reprojection=reprojection, view=self.view
        )
        return points.factors(keys, config)

    def innovation(self, belief: Belief) -> tuple[Array, Array]:
        """(6,) rotation and position in the body frame; the covariance knows that of the calibration."""
        return self._residual().innovation(belief)

    def seat(self, belief: Belief) -> tuple[Any, Array, Array]:
        """With the calibration as the belief knows it."""
        auxiliaries = belief.values_of(self.walks)
        pose = self.view.base(self.pose, belief.nav, belief.bias, auxiliaries)
        turn = pose.rotation().compose(belief.nav.attitude().inverse())
        nav = gtsam.NavState(pose, turn.rotate(belief.nav.velocity()))
        _, jacobian = self.view.seen(nav, belief.bias, auxiliaries)
        to_pose = np.linalg.inv(jacobian[:, :6])
        by_auxiliaries = belief.by_auxiliaries(-to_pose @ jacobian[:, AUXILIARY:], self.walks)
        return pose, to_pose @ self.covariance @ to_pose.T, by_auxiliaries


@dataclass(frozen=True, eq=False)
class CalibratedMotion(RelativePose):
    """A tracked motion that depends on the camera's time offset and mounting, by the mounting as given.

    Attributes:
        views: of the camera at the two stamps.
    """

    views: tuple[CameraView, CameraView]

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """All of the camera's, those that are held as well."""
        return self.views[0].walks

    def with_imu(self, imu: ImuBuffer) -> CalibratedMotion:
        """The body turns between stamp and exposure; the noise of that may be more than the flow's."""
        begin, end = (
            c.with_imu(imu, stamp) for c, stamp in zip(self.views, (self.reference_stamp, self.stamp), strict=True)
        )
        turning = np.zeros((6, 6))
        turning[:3, :3] = np.eye(3) * self.walks[0].sigma ** 2 * (begin.rate_sigma**2 + end.rate_sigma**2)
        origin = None if self.origin is None else replace(self.origin, noise=self.origin.noise + turning)
        return replace(self, views=(begin, end), covariance=self.covariance + turning, origin=origin)

    def placed(self, reference: Belief, probability: float) -> RelativePose:
        """With the turning left out where it is not significant."""
        begin, end = (c.placed(reference.bias) for c in self.views)
        return RelativePose.placed(replace(self, views=(begin, end)), reference, probability)

    def _seen(self, reference: Belief) -> tuple[Any, Array]:
        """By the calibration as the belief knows it."""
        auxiliaries = reference.values_of(self.walks)
        pose, jacobian = self.views[0].seen(reference.nav, reference.bias, auxiliaries)
        by_auxiliaries = reference.by_auxiliaries(jacobian[:, AUXILIARY:], self.walks)
        by_belief = np.hstack([jacobian[:, :AUXILIARY], by_auxiliaries])
        return pose, by_belief @ reference.covariance @ by_belief.T

    def _seen_residual(
        self, navs: list[Any], biases: list[Any], auxiliaries: Array
    ) -> tuple[Array, list[Array], Array]:
        """(6,) predicted minus measured, and its derivatives: (6, 15) by either state, (6, 7) by the variables."""
        (begin, by_begin), (end, by_end) = (
            c.seen(nav, bias, auxiliaries) for c, nav, bias in zip(self.views, navs, biases, strict=True)
        )
        out, to_begin, to_end = self._residual(begin, end)
        by_begin, by_end = to_begin @ by_begin, to_end @ by_end
        by_states = [by_begin[:, :AUXILIARY], by_end[:, :AUXILIARY]]
        return out, by_states, by_begin[:, AUXILIARY:] + by_end[:, AUXILIARY:]

    def factor(self, reference: StateKeys, end: StateKeys, config: FusionConfig) -> Any:
        """A factor between two states and the variables of the camera."""
        estimated = [k for k, walk in enumerate(self.walks) if walk.estimated]

        def error(factor: Any, values: Any, jacobians: Any) -> Any:
            auxiliaries = np.array([walk.start for walk in self.walks])
            for k, key in zip(estimated, end.auxiliaries, strict=True):
                auxiliaries[k] = values.atVector(key)[0]
            poses = [values.atPose3(keys.pose) for keys in (reference, end)]
            navs = [
                gtsam.NavState(pose, values.atVector(keys.velocity))
                for pose, keys in zip(poses, (reference, end), strict=True)
            ]
            biases = [values.atConstantBias(keys.bias) for keys in (reference, end)]
            out, by_states, by_auxiliaries = self._seen_residual(navs, biases, auxiliaries)
            if jacobians is not None:
                for k, (pose, jacobian) in enumerate(zip(poses, by_states, strict=True)):
                    jacobians[3 * k] = jacobian[:, :6]
                    # The velocity of the graph is in `map`, that of a belief's tangent in the body.
                    jacobians[3 * k + 1] = jacobian[:, VELOCITY] @ pose.rotation().matrix().T
                    jacobians[3 * k + 2] = jacobian[:, 9:15]
                for i, k in enumerate(estimated):
                    jacobians[6 + i] = by_auxiliaries[:, k : k + 1]
            return out

        keys = [key for of in (reference, end) for key in (of.pose, of.velocity, of.bias)]
        model = robust(gtsam.noiseModel.Gaussian.Covariance(self.noise), config)
        return gtsam.CustomFactor(model, [*keys, *end.auxiliaries], error)

    def innovation(self, reference: Belief, segments: list[ImuSegment], model: ImuModel) -> tuple[Array, Array]:
        """As of any motion; the covariance knows that of the calibration."""
        nav, transition, noise = self._carried(reference, segments, model)
        error, by_states, by_auxiliaries = self._seen_residual(
            [reference.nav, nav], [reference.bias] * 2, reference.values_of(self.walks)
        )
        jacobian = np.hstack(
            [by_states[0] + by_states[1] @ transition, reference.by_auxiliaries(by_auxiliaries, self.walks)]
        )
        covariance = jacobian @ reference.covariance @ jacobian.T + by_states[1] @ noise @ by_states[1].T
        covariance += self.noise
        return -error, 0.5 * (covariance + covariance.T)


def _unset(camera: CameraCalibrationConfig, T_base_camera: Any) -> CameraView:
    """Before the IMU is asked."""
    return CameraView(camera.walks, T_base_camera, np.zeros(3), math.inf)


def calibrated_motion(track: RelativePose, camera: CameraCalibrationConfig, T_base_camera: Any) -> RelativePose:
    """A track that lets its camera be calibrated; the track itself where all of that is held.

    Args:
        track: by the mounting as given; its stamps are the images' less the expected time offset, s.
        camera: settings.
        T_base_camera: ``gtsam.Pose3``, as given.
    """
    if not camera.estimated:
        return track
    view = _unset(camera, T_base_camera)
    return CalibratedMotion(
        track.reference_stamp, track.stamp, track.motion, track.covariance, (view, view), origin=track.origin
    )


def calibrated_fix(fix: PoseFix, camera: CameraCalibrationConfig, T_base_camera: Any) -> PoseFix:
    """A fix that lets its camera be calibrated; the fix itself where all of that is held.

    Args:
        fix: by the mounting as given; its stamp is the image's less the expected time offset, s.
        camera: settings.
        T_base_camera: ``gtsam.Pose3``, as given.
    """
    if not camera.estimated:
        return fix
    return CalibratedPose(fix.stamp, fix.pose, fix.covariance, _unset(camera, T_base_camera), points=fix.points)
