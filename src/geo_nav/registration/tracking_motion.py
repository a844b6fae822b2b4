"""How well the motion since the frame that the tracks begin at is known from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.linearization import point_jacobian, pose_jacobian, project
from geo_nav.rendering import Camera

Array = npt.NDArray[np.float64]

_CELLS = 4
"""Cells along each side of the picture within which residuals are taken to be of one kind."""
_GRAZING = 0.1
"""Least cosine between a ray and the ground's normal: flatter rays would make any pose error an endless depth error."""


@dataclass(frozen=True, eq=False)
class MotionError:
    """What the error of a tracked motion consists of; ROS order about the axes of the reference camera, m and rad.

    Attributes:
        covariance: (6, 6) of all of it.
        noise: (6, 6) of it where the reference's pose is right.
        by_reference: (6, 6) the error by that of the reference's pose.
        reference_covariance: (6, 6) of that pose, ROS order about the axes of `map`.
    """

    covariance: Array
    noise: Array
    by_reference: Array
    reference_covariance: Array


def motion_error(
    camera: Camera,
    T_map_reference: Pose,
    T_map_camera: Pose,
    points: Array,
    residuals: Array,
    reference_covariance: Array,
    ground_covariance: Array,
    pixel_sigma: float,
) -> MotionError | None:
    """The error of ``T_reference_camera``, the camera in the reference camera's frame.

    The points lie on their rays of the reference, so an error of its pose, registered or predicted, moves reference
    and points alike and cancels, but for the depth at which the rays meet the model: a pose that is too high makes
    every point too far and every motion too long. So it has two parts: what the residuals say (flow noise and the
    single points' depths), and the error of the pose, or of the ground below it, through the depths that it implies on
    the plane that the points lie about.

    Args:
        camera: pinhole.
        T_map_reference: the reference's pose.
        T_map_camera: the resected pose.
        points: (N, 3) in `map`, metres; anchored at ``T_map_reference``.
        residuals: (N, 2) pixels.
        reference_covariance: (6, 6) of the reference's pose, ROS order, m and rad.
        ground_covariance: (6, 6) of the ground that the points lie on, as if the pose were wrong by as much.
        pixel_sigma: floor of the residuals' sigma, pixels.

    Returns:
        What it consists of; None where a direction is open.
    """
    jacobian = pose_jacobian(camera, T_map_camera, points)
    # Position in units of the distance: metres beside radians would make any condition number meaningless.
    distance = float(np.median(np.linalg.norm(points - T_map_camera.translation, axis=1)))
    unit = np.array([distance] * 3 + [1.0] * 3)
    flat = (jacobian * unit).reshape(-1, 6)
    normal = flat.T @ flat
    if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e12:
        return None
    inverse = unit[:, None] * np.linalg.inv(normal) * unit
    noise = _residual_covariance(camera, jacobian, inverse, points, T_map_camera, residuals, pixel_sigma)
    by_reference = (
        inverse
        @ _pull_by_depth(camera, T_map_reference, T_map_camera, points, jacobian)
        @ _depth_by_reference(T_map_reference, points)
    )
    noise += by_reference @ ground_covariance @ by_reference.T
    axes = np.kron(np.eye(2), T_map_reference.rotation)
    noise, covariance, by_reference = (
        axes.T @ part @ axes
        for part in (noise, noise + by_reference @ reference_covariance @ by_reference.T, by_reference)
    )
    return MotionError(0.5 * (covariance + covariance.T), 0.5 * (noise + noise.T), by_reference, reference_covariance)


def _residual_covariance(
    camera: Camera,
    jacobian: Array,
    inverse: Array,
    points: Array,
    T_map_camera: Pose,
    residuals: Array,
    pixel_sigma: float,
) -> Array:
    """(6, 6) inverse normal equations, scaled by the residuals and by how far those of a cell of the picture agree.

    Neighbours share trees and roofs that the model has at another height, and err together; the scale is raised by
    the design effect (cluster-robust estimate, Liang and Zeger 1986), averaged over the six directions.
    """
    variance = max(float((residuals**2).sum()) / max(1, residuals.size - 6), pixel_sigma**2)
    pixels = project(camera, T_map_camera, points)
    cell = np.clip(np.floor((pixels + 0.5) / [camera.width, camera.height] * _CELLS), 0, _CELLS - 1)
    _, cluster = np.unique(cell, axis=0, return_inverse=True)
    clusters = int(cluster.max()) + 1
    sums = np.zeros((clusters, 6))
    np.add.at(sums, cluster.ravel(), (jacobian.transpose(0, 2, 1) @ residuals[:, :, None])[:, :, 0])
    design_effect = float(np.trace(inverse @ (sums.T @ sums))) / (6.0 * variance)
    # The fit itself takes six degrees of freedom from the cells' sums.
    design_effect *= clusters / max(1.0, clusters - 6.0)
    return np.asarray(inverse * variance * max(1.0, design_effect), np.float64)


def _pull_by_depth(camera: Camera, T_map_reference: Pose, T_map_camera: Pose, points: Array, jacobian: Array) -> Array:
    """(6, N) how the right side of the normal equations moves with each point's depth in the reference frame."""
    offsets = points - T_map_reference.translation
    rays = offsets / (offsets @ T_map_reference.rotation[:, 2])[:, None]
    pixel_by_depth = point_jacobian(camera, T_map_camera, points) @ rays[:, :, None]
    # A point that would be projected further along draws the pose back: hence the minus.
    pulls = -(jacobian.transpose(0, 2, 1) @ pixel_by_depth)[:, :, 0]
    return np.asarray(pulls.T, np.float64)


def _depth_by_reference(T_map_reference: Pose, points: Array) -> Array:
    """(N, 6) how the depth at which each ray meets the points' plane moves with the registered pose."""
    centred = points - points.mean(axis=0)
    normal: Array = np.linalg.svd(centred, full_matrices=False)[2][2].astype(np.float64)
    offsets = points - T_map_reference.translation
    depths = offsets @ T_map_reference.rotation[:, 2]
    rays = offsets / depths[:, None]
    normal *= float(np.sign((rays @ normal).mean()))
    slope = np.maximum(rays @ normal, _GRAZING * np.linalg.norm(rays, axis=1))
    by_position = -normal[None] / slope[:, None]
    # n·(φ × r) = φ·(r × n)
    by_rotation = -np.cross(offsets, normal) / slope[:, None]
    return np.hstack([by_position, by_rotation])
