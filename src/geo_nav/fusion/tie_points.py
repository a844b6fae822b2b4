"""Tie points of a registered frame as one factor: their reprojection, believed as far as the frame's covariance says.

The inliers of a registration do not err independently: the site model is off under all of them, another light moves
all edges alike, neighbours share a roof. As N factors they would claim centimetres. What they are worth together is
told by the covariance of the registration, so the noise of the points is split in two: a part that is each point's
own, and a displacement of the camera that all share. At the registered pose both make up the covariance that was told;
elsewhere, and for points that do not fit, the geometry speaks anew.

The errors of all points depend on the camera's pose alone, so six rows hold whatever they say about it at one
linearisation. GTSAM gets these, however many points there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.errors import FusionError
from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]

_LEAST_POINTS = 4
"""Three leave up to four poses."""

_NEAREST = 1e-3
"""Points nearer than this along the optical axis count as behind the camera, m."""

_SINGULAR = 1e-12
"""An eigenvalue below this share of the largest is none."""

_WIDTH = 1.63
"""Of Geman-McClure's loss, sigmas: that of registration, two thirds of its threshold of 2.45 sigmas."""

_MEDIAN = 2.0 * float(np.log(2.0))
"""Of the squared norm of two standard normal numbers."""

_PASSES = 2
"""Rounds of weights at one linearisation; the next one goes on."""


_REACH = 0.2
"""A linearisation serves on until a ray has moved by so many of its sigmas: most states hardly move in an update."""


@dataclass(frozen=True, eq=False)
class TiePoints:
    """Rays of a camera and the points of the site that they hit.

    Attributes:
        rays: (N, 2) x / z and y / z in the camera's axes.
        points: (N, 3) in `map`, m.
        sigmas: (N, 2) 1 sigma of a ray, with that of its point as seen from the registered pose.
        T_base_camera: ``gtsam.Pose3``, the camera in the body whose pose is measured.
    """

    rays: Array
    points: Array
    sigmas: Array
    T_base_camera: Any

    def moved(self, motion: Any) -> TiePoints:
        """The same for a body that has moved on by ``motion``, ``gtsam.Pose3``, since the frame."""
        return replace(self, T_base_camera=motion.inverse().compose(self.T_base_camera))

    def whitened(self, T_map_base: Any) -> tuple[Array, Array]:
        """Observed less predicted rays in sigmas, and the derivatives of the predicted ones.

        Args:
            T_map_base: ``gtsam.Pose3``.

        Returns:
            (2 N,), zero behind the camera, and (2 N, 6) by the camera's tangent, rotation first.
        """
        T_map_camera = T_map_base.compose(self.T_base_camera)
        p = (self.points - T_map_camera.translation()) @ T_map_camera.rotation().matrix()
        ahead = p[:, 2] > _NEAREST
        inverse = np.where(ahead, 1.0, 0.0) / np.where(ahead, p[:, 2], 1.0)
        x, y = p[:, 0] * inverse, p[:, 1] * inverse
        zero = np.zeros_like(x)
        jacobian = np.array(
            [
                [x * y, -1.0 - x * x, y, -inverse, zero, x * inverse],
                [1.0 + y * y, -x * y, -x, zero, -inverse, y * inverse],
            ]
        )
        scale = ahead[:, None] / self.sigmas
        by_pose = jacobian.transpose(2, 0, 1) * scale[:, :, None]
        return ((self.rays - np.column_stack([x, y])) * scale).ravel(), by_pose.reshape(-1, 6)


class Reprojection:
    """The error of all tie points of a frame as six numbers of unit variance.

    With r the errors of the points in their sigmas, J their derivatives by the camera's pose and W the weights of a
    robust loss, the points alone say that the camera is off by (JᵀWJ)⁻¹JᵀWr, with the covariance k (JᵀWJ)⁻¹ + M. M is
    that of the displacement that they share; k is the largest number with which M is a covariance: as much as can be is
    left to the geometry.

    Args:
        points: of the frame.
        T_map_base: ``gtsam.Pose3``, registered.
        covariance: (6, 6) of that in GTSAM order.

    Raises:
        FusionError: the points leave the pose open.
    """

    def __init__(self, points: TiePoints, T_map_base: Any, covariance: Array) -> None:
        self._points = points
        self._to_camera = points.T_base_camera.inverse().AdjointMap()
        self._reach = _REACH * float(np.median(points.sigmas))
        self._depth = float(np.median(np.linalg.norm(points.points - T_map_base.translation(), axis=1)))
        self._linear: tuple[Any, Array, Array] | None = None
        self._own, self._shared = 1.0, np.zeros((6, 6))
        information, _ = self._normal(T_map_base)
        unit = np.sqrt(np.diag(information))
        if not (unit > 0.0).all() or np.linalg.eigvalsh(information / np.outer(unit, unit))[0] < _SINGULAR:
            raise FusionError("the tie points of a frame leave a direction of its pose open")
        lower = np.linalg.cholesky(information)
        in_camera = self._to_camera @ covariance @ self._to_camera.T
        values, vectors = np.linalg.eigh(lower.T @ in_camera @ lower)
        self._own = float(values[0])
        self._shared = np.linalg.solve(lower.T, vectors * np.sqrt(values - values[0]))

    def at(self, T_map_base: Any) -> tuple[Array, Array]:
        """Linearised at a pose, or where that was done before if hardly a ray has moved since.

        Args:
            T_map_base: ``gtsam.Pose3``, as the mounting as given would have it.

        Returns:
            (6,) predicted less measured, and its (6, 6) derivatives by the pose's tangent.
        """
        if self._linear is not None:
            begin, error, jacobian = self._linear
            step = begin.localCoordinates(T_map_base)
            if np.linalg.norm(step[:3]) + np.linalg.norm(step[3:]) / self._depth < self._reach:
                return error + jacobian @ step, jacobian
        information, gradient = self._normal(T_map_base)
        left = information @ self._common(information)
        values, vectors = np.linalg.eigh(information - left @ information)
        known = values > _SINGULAR * values[-1]
        roots = np.sqrt(np.where(known, values, 0.0))
        inverse = np.where(known, 1.0, 0.0) / np.where(known, roots, 1.0)
        error = -(vectors * inverse) @ vectors.T @ (gradient - left @ gradient)
        jacobian = (vectors * roots) @ vectors.T @ self._to_camera
        self._linear = (T_map_base, error, jacobian)
        return error, jacobian

    def _normal(self, T_map_base: Any) -> tuple[Array, Array]:
        """Information (6, 6) and gradient (6,) of the points by their own errors.

        A point is weighed by what the displacement that all share does not explain. The unit is the median of that
        where it is above the sigmas: seen from far off all points are wrong, and that says nothing of any one.
        """
        error, jacobian = self._points.whitened(T_map_base)
        weighted = jacobian.T / self._own
        for _ in range(_PASSES):
            information = weighted @ jacobian
            left = error - jacobian @ (self._common(information) @ (weighted @ error))
            squares = (left.reshape(-1, 2) ** 2).sum(axis=1)
            unit = max(1.0, float(np.median(squares)) / _MEDIAN)
            weights = 1.0 / (1.0 + squares / (_WIDTH**2 * unit)) ** 2
            weighted = jacobian.T * np.repeat(weights / self._own, 2)
        return weighted @ jacobian, weighted @ error

    def _common(self, information: Array) -> Array:
        """(6, 6) covariance of the displacement that all points share, once they are seen."""
        root = self._shared
        out: Array = root @ np.linalg.solve(np.eye(6) + root.T @ information @ root, root.T)
        return out


def tie_points(
    pixels: npt.ArrayLike,
    points: npt.ArrayLike,
    intrinsics: npt.ArrayLike,
    pixel_sigma: npt.ArrayLike,
    point_sigma: npt.ArrayLike,
    T_map_camera: Pose,
    T_base_camera: Any,
) -> TiePoints:
    """Checked tie points.

    Args:
        pixels: (N, 2) undistorted.
        points: (N, 3) in `map`, m.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
        pixel_sigma: (N,) 1 sigma of a pixel's coordinate, pixels.
        point_sigma: (N,) 1 sigma of a point's coordinate, m.
        T_map_camera: the registered pose.
        T_base_camera: ``gtsam.Pose3``.

    Raises:
        FusionError: a shape is wrong, a number is not finite, a sigma not positive, a point behind the camera, or there
            are fewer than four.
    """
    seen, hit = np.array(pixels, dtype=np.float64), np.array(points, dtype=np.float64)
    pinhole = np.array(intrinsics, dtype=np.float64)
    of_pixels, of_points = np.array(pixel_sigma, dtype=np.float64), np.array(point_sigma, dtype=np.float64)
    n = len(seen)
    shapes = [array.shape for array in (seen, hit, pinhole, of_pixels, of_points)]
    if shapes != [(n, 2), (n, 3), (4,), (n,), (n,)]:
        raise FusionError(f"tie points need (N, 2) pixels, (N, 3) points, (4,) intrinsics, (N,) sigmas, got {shapes}")
    if n < _LEAST_POINTS:
        raise FusionError(f"{n} tie points do not tell a pose: at least {_LEAST_POINTS}")
    if not all(np.isfinite(array).all() for array in (seen, hit, pinhole, of_pixels, of_points)):
        raise FusionError("tie points are not finite")
    if not ((pinhole[:2] > 0.0).all() and (of_pixels > 0.0).all() and (of_points >= 0.0).all()):
        raise FusionError("the focal lengths and the sigmas of tie points must be positive")
    depths = (hit - T_map_camera.translation) @ T_map_camera.rotation[:, 2]
    if not (depths > _NEAREST).all():
        raise FusionError(f"{(depths <= _NEAREST).sum()} of {n} tie points lie behind the camera that sees them")
    sigmas = np.hypot(of_pixels[:, None] / pinhole[:2], (of_points / depths)[:, None])
    return TiePoints((seen - pinhole[2:]) / pinhole[:2], hit, sigmas, T_base_camera)


def pose_factor(key: int, reprojection: Reprojection, model: Any) -> Any:
    """A factor on a pose whose camera is held."""

    def error(factor: Any, values: Any, jacobians: Any) -> Array:
        out, jacobian = reprojection.at(values.atPose3(key))
        if jacobians is not None:
            jacobians[0] = jacobian
        return out

    return gtsam.CustomFactor(model, [key], error)
