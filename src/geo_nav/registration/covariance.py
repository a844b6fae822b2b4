"""How well a resected pose is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.linearization import point_jacobian, pose_jacobian
from geo_nav.registration.loss import CONSIDERED, scores, sharpness
from geo_nav.registration.site_error import extent, propagated
from geo_nav.rendering import Camera
from geo_nav.site import ModelError

Array = npt.NDArray[np.float64]

_CELLS = 4
"""Cells along each side of the picture within which residuals are taken to be of one kind."""


def resection_covariance(
    camera: Camera,
    T_map_camera: Pose,
    points: Array,
    residuals: Array,
    threshold: float,
    site_error: ModelError,
    least_pixel_sigma: float = 0.3,
    support: float = 0.0,
    factor: float = 1.0,
    shared: float = 0.0,
) -> tuple[Array, Array] | None:
    """Covariance of a pose that :func:`~geo_nav.registration.resection.refine` found.

    That of an M-estimator (Huber, Robust Statistics, 1981): the variance of a match is the mean square of the loss'
    derivative over the square of its mean curvature. The residuals of the inliers alone would tell nothing of matches
    that scatter as wide as the threshold: cut off there, every scatter looks alike. Here the matches just beyond the
    threshold pull the curvature down, and the covariance grows until there is no peak left.

    Residuals are not independent: a roof whose height is wrong in the model, or a seam of the orthophoto, moves all
    the matches on it alike. So the scale is raised by the design effect, the factor by which residuals that agree
    within a cell of the picture widen the covariance (cluster-robust "sandwich" estimate, Liang and Zeger 1986),
    averaged over the six directions because single directions are noisy at this many cells.

    What no residual can show comes on top: an error of the site model that is alike over most of the view, and one
    of the matching. Another sun lights the other side of every crown and throws every shadow elsewhere, so that all
    windows shift alike, and keypoints a little; how much such edges move is told by how much they scatter. It is a
    random field over the ground with a variance in units of the residuals', alike over the extent of the view.

    Args:
        camera: pinhole.
        T_map_camera: the pose.
        points: (N, 3) of all matches in `map`, metres.
        residuals: (N, 2) of all matches, pixels; NaN behind the camera.
        threshold: residual within which a match agrees, pixels.
        site_error: of the site model.
        least_pixel_sigma: floor of the residuals' sigma, pixels: so few inliers may agree too well.
        support: width of the windows that were matched, pixels; those that overlap count as one (0: keypoints).
        factor: widens the variance that the residuals tell.
        shared: variance of the error that all matches share, in units of the residuals' variance.

    Returns:
        (6, 6) of the matching and (6, 6) of the site model, whose sum is the pose's, ROS order, m and rad; None where
        the matches leave a direction open, or do not agree on the pose more than on those around it.
    """
    near = (residuals**2).sum(axis=1) < (CONSIDERED * threshold) ** 2
    points, residuals = points[near], residuals[near]
    curvature = sharpness(residuals, threshold)
    if len(points) < 4 or curvature <= 0.0:
        return None
    jacobian = pose_jacobian(camera, T_map_camera, points)
    # Position in units of the distance: metres beside radians would make any condition number meaningless.
    distance = float(np.median(np.linalg.norm(points - T_map_camera.translation, axis=1)))
    unit = np.array([distance] * 3 + [1.0] * 3)
    jacobian = jacobian * unit
    flat = jacobian.reshape(-1, 6)
    normal = flat.T @ flat
    if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e12:
        return None
    inverse = np.linalg.inv(normal)
    pulls = scores(residuals, threshold)
    variance = float((pulls**2).sum()) / max(1, pulls.size - 6)
    variance = max(variance, (least_pixel_sigma * curvature) ** 2)

    cell, overlap = _cells(camera, T_map_camera, points, support)
    by_match = (jacobian.transpose(0, 2, 1) @ pulls[:, :, None])[:, :, 0]
    _, cluster = np.unique(cell, return_inverse=True)
    clusters = int(cluster.max()) + 1
    sums = np.zeros((clusters, 6))
    np.add.at(sums, cluster, by_match)
    design_effect = float(np.trace(inverse @ (sums.T @ sums))) / (6.0 * variance)
    # The fit itself takes six degrees of freedom from the cells' sums.
    design_effect *= clusters / max(1.0, clusters - 6.0)
    scale = variance / curvature**2 * factor * max(overlap, design_effect)
    covariance = unit[:, None] * inverse * unit * scale
    if shared > 0.0:
        covariance = covariance + shared * _shared(camera, T_map_camera, points, residuals, threshold)
    return 0.5 * (covariance + covariance.T), propagated(camera, T_map_camera, points, site_error)


def _shared(camera: Camera, T_map_camera: Pose, points: Array, residuals: Array, threshold: float) -> Array:
    """(6, 6) by an error of the inliers over the ground that has the size of their residuals and is alike."""
    square = (residuals**2).sum(axis=1)
    agree = square <= threshold**2
    points = points[agree]
    if len(points) < 4:
        return np.zeros((6, 6))
    pixels_per_metre = (point_jacobian(camera, T_map_camera, points) ** 2).sum(axis=(1, 2)).mean() / 2.0
    sigma = float(np.sqrt(square[agree].mean() / 2.0 / pixels_per_metre))
    return propagated(camera, T_map_camera, points, ModelError(np.full(3, sigma), max(extent(points), 1e-3)))


def _cells(camera: Camera, T_map_camera: Pose, points: Array, support: float) -> tuple[npt.NDArray[np.int64], float]:
    """Cell of the picture in which each point lies, and how many matches there are to each that is independent."""
    p = (points - T_map_camera.translation) @ T_map_camera.rotation
    pixel = np.column_stack([camera.fx * p[:, 0] / p[:, 2] + camera.cx, camera.fy * p[:, 1] / p[:, 2] + camera.cy])
    size = np.array([camera.width, camera.height])
    cell = np.clip(np.floor((pixel + 0.5) / size * _CELLS).astype(np.int64), 0, _CELLS - 1)
    apart = 1 if support <= 0.0 else len(np.unique(np.floor(pixel / support), axis=0))
    overlap = 1.0 if support <= 0.0 else len(points) / apart
    return np.asarray(cell[:, 1] * _CELLS + cell[:, 0]), overlap
