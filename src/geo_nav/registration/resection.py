"""Resection (PnP): the camera's pose from pixels and the points they show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.linearization import moved, pose_jacobian, project
from geo_nav.registration.loss import CONSIDERED, cost, weights
from geo_nav.rendering import Camera

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MINIMAL = 4
"""Points that a sample needs: three for P3P, one to choose among its solutions."""


@dataclass(frozen=True, eq=False)
class Resection:
    """A pose that many matches agree with.

    Attributes:
        T_map_camera: camera optical frame in `map`.
        inliers: (N,) which matches agree.
        residuals: (N, 2) observed minus projected pixel; NaN behind the camera.
    """

    T_map_camera: Pose
    inliers: Mask
    residuals: Array


def resect(
    pixels: Array, points: Array, camera: Camera, tolerance: npt.ArrayLike, iterations: int = 5000, seed: int = 0
) -> Resection | None:
    """A robust pose from matches with many false ones.

    MAGSAC scored, locally optimised RANSAC over minimal samples (Barath et al., CVPR 2020, in OpenCV) with the
    median tolerance, then :func:`refine` with each match's own.

    Args:
        pixels: (N, 2) undistorted.
        points: (N, 3) in `map`, metres.
        camera: pinhole.
        tolerance: (N,) residual within which each match agrees, pixels; one number for all alike.
        iterations: minimal samples at most.
        seed: of the samples.

    Returns:
        None where no pose is agreed on by more than a minimal sample.
    """
    if len(pixels) < _MINIMAL + 1:
        return None
    # OpenCV solves in float32 here and there: kilometres from the origin would cost centimetres.
    centre = points.mean(axis=0)
    parameters = cv2.UsacParams()
    parameters.threshold = float(np.median(np.asarray(tolerance)))
    parameters.maxIterations = iterations
    parameters.confidence = 0.999
    parameters.score = cv2.SCORE_METHOD_MAGSAC
    parameters.loMethod = cv2.LOCAL_OPTIM_INNER_AND_ITER_LO
    parameters.sampler = cv2.SAMPLING_UNIFORM
    parameters.randomGeneratorState = seed
    try:
        found, _, rotation, translation, inliers = cv2.solvePnPRansac(
            points - centre, np.ascontiguousarray(pixels), camera.matrix, None, params=parameters
        )
    except cv2.error:
        # Degenerate samples (all on a line) raise instead of failing.
        return None
    if not found or inliers is None or len(inliers) <= _MINIMAL:
        return None
    T_camera_centred = Pose.from_rotation_vector(rotation.ravel(), translation.ravel())
    T_centred_camera = T_camera_centred.inverse()
    start = Pose(T_centred_camera.rotation, T_centred_camera.translation + centre)
    return refine(pixels, points, camera, start, tolerance)


def refine(
    pixels: Array, points: Array, camera: Camera, start: Pose, tolerance: npt.ArrayLike, iterations: int = 20
) -> Resection | None:
    """Levenberg-Marquardt on the reprojection error with Geman-McClure's loss, whose inliers are then counted.

    Args:
        pixels: (N, 2) undistorted.
        points: (N, 3) in `map`, metres.
        camera: pinhole.
        start: pose from which it starts.
        tolerance: (N,) residual within which each match agrees, pixels, which weighs it and scales its loss; one
            number for all alike.
        iterations: at most.

    Returns:
        None where fewer than five matches agree, or the problem is singular.
    """
    unit = np.broadcast_to(np.asarray(tolerance, np.float64), len(pixels))[:, None]
    pose, damping = start, 1e-4
    residuals = (pixels - project(camera, pose, points)) / unit
    value = cost(residuals)
    for _ in range(iterations):
        use = (residuals**2).sum(axis=1) < CONSIDERED**2
        if use.sum() <= _MINIMAL:
            return None
        jacobian = pose_jacobian(camera, pose, points[use]) / unit[use, :, None]
        weighted = (jacobian * weights(residuals[use])[:, None, None]).reshape(-1, 6)
        normal = weighted.T @ jacobian.reshape(-1, 6)
        gradient = weighted.T @ residuals[use].ravel()
        try:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(step).all():
            return None
        candidate = moved(pose, step)
        moved_residuals = (pixels - project(camera, candidate, points)) / unit
        new_value = cost(moved_residuals)
        if new_value <= value:
            converged = value - new_value < 1e-7 * max(value, 1e-9)
            pose, residuals, value, damping = candidate, moved_residuals, new_value, damping * 0.2
            if converged:
                break
        else:
            damping *= 10.0
            if damping > 1e6:
                break
    square = np.nan_to_num((residuals**2).sum(axis=1), nan=np.inf)
    inliers = square <= 1.0
    if inliers.sum() <= _MINIMAL:
        return None
    return Resection(pose, inliers, residuals * unit)
