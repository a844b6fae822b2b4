"""What an error of the site model does to a pose, and how large that error is, told by photographs of known pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.linearization import point_jacobian, pose_jacobian
from geo_nav.registration.types import AbsolutePose
from geo_nav.rendering import Camera
from geo_nav.site import ModelError

Array = npt.NDArray[np.float64]

_MOST_POINTS = 160
"""Points that stand for all: the error is alike over far more than their distance."""
_LEAST_OBSERVATIONS = 5
"""30 components of error: fewer do not tell three parameters."""


def propagated(camera: Camera, T_map_camera: Pose, points: Array, tolerance: npt.ArrayLike, error: ModelError) -> Array:
    """Covariance that an error of the site model brings into a resected pose.

    An error that is alike over the whole view shifts the pose with it; one that changes over the view tilts it.
    Propagated to first order through the normal equations.

    Args:
        camera: pinhole.
        T_map_camera: the pose.
        points: (N, 3) in `map` from which it was resected, metres; more than a hundred or so are thinned.
        tolerance: (N,) by which they were weighed, pixels; one number for all alike.
        error: of the site model.

    Returns:
        (6, 6) ROS order, m and rad.
    """
    tolerance = np.broadcast_to(np.asarray(tolerance, np.float64), len(points))
    kept = _thinned(points)
    points = points[kept]
    gain = _gain(camera, T_map_camera, points, tolerance[kept])
    correlation = _correlation(points, error.correlation)
    out = np.zeros((6, 6))
    for axis, sigma in enumerate(error.sigma):
        out += sigma**2 * gain[:, :, axis] @ correlation @ gain[:, :, axis].T
    return out


@dataclass(frozen=True, eq=False)
class Observation:
    """A photograph of known pose, registered: what it tells of the site model's error.

    Attributes:
        error: (6,) of the pose found, ROS order, m and rad.
        covariance: (6, 6) of it, without the site model's error.
        points: (N, 3) of its inliers in `map`, metres.
        gain: (6, N, 3) change of the pose by a displacement of each point.
    """

    error: Array
    covariance: Array
    points: Array
    gain: Array


def extent(points: Array) -> float:
    """Diagonal of the ground that (N, 3) points cover, metres, its outermost tenth left out."""
    low, high = np.percentile(points[:, :2], [5.0, 95.0], axis=0)
    return float(np.linalg.norm(high - low))


def observe(found: AbsolutePose, truth: Pose) -> Observation:
    """An accepted fix of a photograph as an observation of the site model's error.

    Args:
        found: the fix, with tie points.
        truth: of the camera, in `map`.

    Raises:
        RegistrationError: the fix holds no pose.
    """
    parts = (found.covariance, found.model_covariance)
    if found.T_map_camera is None or found.tie_points is None or parts[0] is None or parts[1] is None:
        raise RegistrationError(f"only a fix tells of the site model's error; this frame's verdict is {found.status}")
    ties, pose = found.tie_points, found.T_map_camera
    kept = _thinned(ties.points)
    points = ties.points[kept]
    gain = _gain(ties.camera, pose, points, ties.pixel_sigma[kept])
    return Observation(error_vector(pose, truth), parts[0] - parts[1], points, gain)


def estimate_model_error(observations: Sequence[Observation]) -> ModelError:
    """The error of a site model that makes observed errors of poses most likely.

    Maximum likelihood over sigma in plan, sigma in height and the distance over which they are alike, each pose's
    error being normal with its own covariance plus the propagated one.

    Raises:
        RegistrationError: fewer than five observations.
    """
    if len(observations) < _LEAST_OBSERVATIONS:
        raise RegistrationError(
            f"{len(observations)} registered photographs of known pose do not tell the site model's error: "
            f"{_LEAST_OBSERVATIONS} at least"
        )
    usual = float(np.median([extent(o.points) for o in observations]))
    best: tuple[float, Array, float] | None = None
    for correlation in usual * 2.0 ** np.arange(-3.0, 4.0):
        plan, height = zip(*(_unit_covariances(o, correlation) for o in observations), strict=True)

        def likelihood(logs: Array, plan: Sequence[Array] = plan, height: Sequence[Array] = height) -> float:
            a, b = np.exp(2.0 * logs)
            total = 0.0
            for o, p, h in zip(observations, plan, height, strict=True):
                covariance = o.covariance + a * p + b * h
                sign, log_determinant = np.linalg.slogdet(covariance)
                if sign <= 0:
                    return np.inf
                total += log_determinant + float(o.error @ np.linalg.solve(covariance, o.error))
            return total

        start = np.log([1e-3 * usual, 1e-3 * usual])
        bounds = [(np.log(1e-5 * usual), np.log(0.1 * usual))] * 2
        found = minimize(likelihood, start, method="Nelder-Mead", bounds=bounds, options={"maxiter": 200})
        if best is None or found.fun < best[0]:
            best = (float(found.fun), np.exp(found.x), float(correlation))
    assert best is not None
    _, (plan_sigma, height_sigma), correlation = best
    return ModelError(np.array([plan_sigma, plan_sigma, height_sigma]), correlation)


def _unit_covariances(observation: Observation, correlation: float) -> tuple[Array, Array]:
    """(6, 6) by an error of 1 m in plan (each axis), and of 1 m in height."""
    alike = _correlation(observation.points, correlation)
    east, north, up = (observation.gain[:, :, k] @ alike @ observation.gain[:, :, k].T for k in range(3))
    return east + north, up


def _gain(camera: Camera, T_map_camera: Pose, points: Array, tolerance: Array) -> Array:
    """(6, N, 3) change of the weighted least squares pose by a displacement of each of the points."""
    by_pose = pose_jacobian(camera, T_map_camera, points) / tolerance[:, None, None]
    by_point = point_jacobian(camera, T_map_camera, points) / tolerance[:, None, None]
    distance = float(np.median(np.linalg.norm(points - T_map_camera.translation, axis=1)))
    unit = np.array([distance] * 3 + [1.0] * 3)
    flat = (by_pose * unit).reshape(-1, 6)
    pseudo = (np.linalg.pinv(flat) * unit[:, None]).reshape(6, len(points), 2)
    # A point that is displaced in the model by δ is seen by ∂u/∂X δ elsewhere; the pose takes that up.
    out: Array = -np.einsum("inu,nuk->ink", pseudo, by_point)
    return out


def _correlation(points: Array, length: float) -> Array:
    distance = np.linalg.norm(points[:, None, :2] - points[None, :, :2], axis=2)
    out: Array = np.exp(-distance / length)
    return out


def _thinned(points: Array) -> npt.NDArray[np.intp]:
    """Indices of at most ``_MOST_POINTS`` of the points, evenly over their order along the view's longer side."""
    if len(points) <= _MOST_POINTS:
        return np.arange(len(points))
    order = np.lexsort((points[:, 1], points[:, 0]))
    return np.asarray(order[np.linspace(0, len(order) - 1, _MOST_POINTS).astype(int)])
