"""The pinhole projection and its derivative by the pose, in the error convention of ROS covariances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import Pose
from geo_nav.rendering import Camera

Array = npt.NDArray[np.float64]

_NEAREST = 1e-3
"""Points nearer than this (m) along the optical axis count as behind the camera."""


def project(camera: Camera, T_map_camera: Pose, points: Array) -> Array:
    """Points (N, 3) of `map` → undistorted pixels (N, 2); NaN behind the camera."""
    p = (points - T_map_camera.translation) @ T_map_camera.rotation
    z = np.where(p[:, 2] > _NEAREST, p[:, 2], np.nan)
    return np.column_stack([camera.fx * p[:, 0] / z + camera.cx, camera.fy * p[:, 1] / z + camera.cy])


def point_jacobian(camera: Camera, T_map_camera: Pose, points: Array) -> Array:
    """(N, 2, 3) derivative of the pixel by its point in `map`, pixels per metre."""
    p = (points - T_map_camera.translation) @ T_map_camera.rotation
    z = np.where(p[:, 2] > _NEAREST, p[:, 2], np.nan)
    by_camera = np.zeros((len(p), 2, 3))
    by_camera[:, 0, 0] = camera.fx / z
    by_camera[:, 0, 2] = -camera.fx * p[:, 0] / z**2
    by_camera[:, 1, 1] = camera.fy / z
    by_camera[:, 1, 2] = -camera.fy * p[:, 1] / z**2
    out: Array = by_camera @ T_map_camera.rotation.T
    return out


def pose_jacobian(camera: Camera, T_map_camera: Pose, points: Array) -> Array:
    """(N, 2, 6) derivative of the pixel by the pose: position (m), then rotation about the fixed axes (rad)."""
    by_point = point_jacobian(camera, T_map_camera, points)
    v = points - T_map_camera.translation
    cross = np.zeros((len(v), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    cross -= cross.transpose(0, 2, 1)
    # Turning the camera by a small φ turns the point by -φ as the camera sees it: v - φ × v = v + [v]× φ.
    return np.concatenate([-by_point, by_point @ cross], axis=2)


def moved(T_map_camera: Pose, delta: Array) -> Pose:
    """A pose changed by (6,) metres and rad about the fixed axes."""
    rotation = Rotation.from_rotvec(delta[3:]).as_matrix() @ T_map_camera.rotation
    # Many small steps would let the matrix drift from a rotation.
    u, _, vt = np.linalg.svd(rotation)
    return Pose(u @ vt, T_map_camera.translation + delta[:3])
