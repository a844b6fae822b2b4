"""How well a resected pose is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.linearization import pose_jacobian
from geo_nav.rendering import Camera

Array = npt.NDArray[np.float64]

_CELLS = 4
"""Cells along each side of the picture within which residuals are taken to be of one kind."""


def resection_covariance(
    camera: Camera,
    T_map_camera: Pose,
    points: Array,
    residuals: Array,
    site_sigma: Array,
    least_pixel_sigma: float = 0.3,
    support: float = 0.0,
    factor: float = 1.0,
) -> Array | None:
    """Covariance of a pose that minimises the reprojection error of its inliers.

    The inverse of the normal equations, scaled by the residuals' own variance, would hold if residuals were
    independent. They are not: a roof whose height is wrong in the model, or a seam of the orthophoto, moves all
    the matches on it alike. So the scale is raised by the design effect, the factor by which residuals that agree
    within a cell of the picture widen the covariance (cluster-robust "sandwich" estimate, Liang and Zeger 1986),
    averaged over the six directions because single directions are noisy at this many cells. What no residual can
    show, a shift of the whole model, comes on top as ``site_sigma``.

    Args:
        camera: pinhole.
        T_map_camera: the pose.
        points: (N, 3) of the inliers in `map`, metres.
        residuals: (N, 2) of the inliers, pixels.
        site_sigma: (3,) expected error of the site model east, north, up, metres.
        least_pixel_sigma: floor of the residuals' sigma, pixels: so few inliers may agree too well.
        support: width of the windows that were matched, pixels; those that overlap count as one (0: keypoints).
        factor: widens what the residuals say.

    Returns:
        (6, 6) ROS order, m and rad; None where the inliers leave a direction open.
    """
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
    variance = float((residuals**2).sum()) / max(1, residuals.size - 6)
    variance = max(variance, least_pixel_sigma**2)

    pixels = np.column_stack([camera.width, camera.height])
    projected, overlap = _cells(camera, T_map_camera, points, pixels, support)
    scores = (jacobian.transpose(0, 2, 1) @ residuals[:, :, None])[:, :, 0]
    _, cluster = np.unique(projected, return_inverse=True)
    clusters = int(cluster.max()) + 1
    sums = np.zeros((clusters, 6))
    np.add.at(sums, cluster, scores)
    design_effect = float(np.trace(inverse @ (sums.T @ sums))) / (6.0 * variance)
    # The fit itself takes six degrees of freedom from the cells' sums.
    design_effect *= clusters / max(1.0, clusters - 6.0)
    covariance = unit[:, None] * inverse * unit * variance * factor * max(overlap, design_effect)
    covariance[:3, :3] += np.diag(np.asarray(site_sigma, dtype=np.float64) ** 2)
    out: Array = 0.5 * (covariance + covariance.T)
    return out


def _cells(
    camera: Camera, T_map_camera: Pose, points: Array, size: Array, support: float
) -> tuple[npt.NDArray[np.int64], float]:
    """Cell of the picture in which each point lies, and how many matches there are to each that is independent."""
    p = (points - T_map_camera.translation) @ T_map_camera.rotation
    pixel = np.column_stack([camera.fx * p[:, 0] / p[:, 2] + camera.cx, camera.fy * p[:, 1] / p[:, 2] + camera.cy])
    cell = np.clip(np.floor((pixel + 0.5) / size * _CELLS).astype(np.int64), 0, _CELLS - 1)
    apart = 1 if support <= 0.0 else len(np.unique(np.floor(pixel / support), axis=0))
    overlap = 1.0 if support <= 0.0 else len(points) / apart
    return np.asarray(cell[:, 1] * _CELLS + cell[:, 0]), overlap
