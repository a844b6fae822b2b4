"""Rigid transforms, and the two conventions of a pose's covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.geodesy.errors import GeodesyError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid transform; a variable ``T_a_b`` reads "b in a": ``p_a = T_a_b @ p_b``.

    Attributes:
        rotation: (3, 3) rotation matrix.
        translation: (3,) metres.
    """

    rotation: Array
    translation: Array

    def __post_init__(self) -> None:
        rotation = np.array(self.rotation, dtype=np.float64)
        translation = np.array(self.translation, dtype=np.float64)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise GeodesyError(
                f"a pose needs a (3, 3) rotation and a (3,) translation, got {rotation.shape} and {translation.shape}"
            )
        if not (np.isfinite(rotation).all() and np.isfinite(translation).all()):
            raise GeodesyError("a pose must be finite")
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-4 or np.linalg.det(rotation) < 0:
            raise GeodesyError("a pose needs a right-handed orthonormal rotation matrix")
        rotation.setflags(write=False)
        translation.setflags(write=False)
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)

    @staticmethod
    def identity() -> Pose:
        """The transform that changes nothing."""
        return Pose(np.eye(3), np.zeros(3))

    @staticmethod
    def from_quaternion(xyzw: npt.ArrayLike, translation: npt.ArrayLike) -> Pose:
        """From a quaternion (x, y, z, w; normalised here) and a translation in metres.

        Raises:
            GeodesyError: the quaternion is zero or not finite.
        """
        quaternion = np.asarray(xyzw, dtype=np.float64)
        norm = float(np.linalg.norm(quaternion))
        if quaternion.shape != (4,) or not np.isfinite(norm) or norm < 1e-6:
            raise GeodesyError(f"not a rotation: quaternion x y z w = {quaternion}")
        return Pose(Rotation.from_quat(quaternion).as_matrix(), np.asarray(translation, dtype=np.float64))

    @staticmethod
    def from_rotation_vector(rotation_vector: npt.ArrayLike, translation: npt.ArrayLike) -> Pose:
        """From a rotation vector (rad) and a translation (m)."""
        return Pose(
            Rotation.from_rotvec(np.asarray(rotation_vector, dtype=np.float64)).as_matrix(),
            np.asarray(translation, dtype=np.float64),
        )

    @staticmethod
    def from_matrix(matrix: npt.ArrayLike) -> Pose:
        """From a (4, 4) homogeneous matrix."""
        m = np.asarray(matrix, dtype=np.float64)
        return Pose(m[:3, :3], m[:3, 3])

    @property
    def matrix(self) -> Array:
        """(4, 4) homogeneous matrix."""
        out = np.eye(4)
        out[:3, :3] = self.rotation
        out[:3, 3] = self.translation
        return out

    @property
    def quaternion(self) -> Array:
        """(4,) quaternion x y z w, w not negative."""
        q: Array = Rotation.from_matrix(self.rotation).as_quat(canonical=True)
        return q

    @property
    def rotation_vector(self) -> Array:
        """(3,) rotation vector, rad."""
        r: Array = Rotation.from_matrix(self.rotation).as_rotvec()
        return r

    def inverse(self) -> Pose:
        """``T_b_a`` of ``T_a_b``."""
        return Pose(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, other: Pose) -> Pose:
        """Composition: ``T_a_c = T_a_b @ T_b_c``."""
        return Pose(self.rotation @ other.rotation, self.rotation @ other.translation + self.translation)

    def transform(self, points: npt.ArrayLike) -> Array:
        """Points (N, 3) or (3,) of frame b, in frame a."""
        p: Array = np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation
        return p

    def angle_to(self, other: Pose) -> float:
        """Angle of the rotation between the two, rad."""
        return float(np.linalg.norm(Rotation.from_matrix(self.rotation.T @ other.rotation).as_rotvec()))

    def distance_to(self, other: Pose) -> float:
        """Distance between the two origins, m."""
        return float(np.linalg.norm(self.translation - other.translation))

    def interpolate(self, other: Pose, fraction: float) -> Pose:
        """Linear in translation, constant rate in rotation; ``fraction`` 0 is self, 1 is other."""
        delta = Rotation.from_matrix(self.rotation.T @ other.rotation).as_rotvec()
        return Pose(
            self.rotation @ Rotation.from_rotvec(fraction * delta).as_matrix(),
            (1.0 - fraction) * self.translation + fraction * other.translation,
        )


def error_vector(estimate: Pose, truth: Pose) -> Array:
    """(6,) error ``truth - estimate`` in the ROS order: position (m), then rotation about the fixed axes (rad)."""
    rotation = Rotation.from_matrix(truth.rotation @ estimate.rotation.T).as_rotvec()
    return np.concatenate([truth.translation - estimate.translation, rotation])


def ros_from_gtsam_jacobian(rotation: Array) -> Array:
    """(6, 6) from GTSAM's tangent of a pose with a rotation (3, 3) to ROS' order and axes."""
    jacobian = np.zeros((6, 6))
    jacobian[:3, 3:] = rotation
    jacobian[3:, :3] = rotation
    return jacobian


def covariance_ros_from_gtsam(covariance: Array, rotation: Array) -> Array:
    """A Pose3 covariance as ROS writes it.

    Args:
        covariance: (6, 6), GTSAM's order: rotation (rad) then translation (m), both in the body frame.
        rotation: (3, 3) of ``T_a_b``, the pose that the covariance belongs to.

    Returns:
        (6, 6): position (m) then rotation (rad) about the fixed axes of frame a (REP-103, PoseWithCovariance).
    """
    jacobian = ros_from_gtsam_jacobian(np.asarray(rotation))
    out: Array = jacobian @ covariance @ jacobian.T
    return out


def covariance_gtsam_from_ros(covariance: Array, rotation: Array) -> Array:
    """The inverse of :func:`covariance_ros_from_gtsam`."""
    jacobian = ros_from_gtsam_jacobian(np.asarray(rotation)).T
    out: Array = jacobian @ covariance @ jacobian.T
    return out
