"""Errors of a trajectory against truth, and whether its covariance is honest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.trajectory import TimedPoses

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors ``estimate - truth`` at N stamps; absolute (no alignment), as a navigation user suffers them.

    Attributes:
        stamps: (N,) seconds.
        position: (N, 3) m, east north up.
        rotation: (N, 3) rad, rotation vector about the fixed axes: ``exp(rotation) R_truth = R_estimate``; NaN where
            the truth has no orientation.
        heading: (N,) rad, wrapped: of the body's x axis about up; NaN with it.
        truth: the N true poses.
    """

    stamps: Array
    position: Array
    rotation: Array
    heading: Array
    truth: TimedPoses

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def distance(self) -> Array:
        """(N,) 3D position error, m."""
        return np.asarray(np.linalg.norm(self.position, axis=1))

    @property
    def horizontal(self) -> Array:
        """(N,) horizontal position error, m."""
        return np.asarray(np.linalg.norm(self.position[:, :2], axis=1))


def pose_errors(estimate: TimedPoses, truth: TimedPoses, has_orientation: bool = True) -> PoseErrors:
    """Errors of poses that have the same stamps as the true ones.

    Args:
        estimate: N poses.
        truth: the N true ones.
        has_orientation: whether the truth has one of its own; else no error of orientation is told.

    Raises:
        EvaluationError: the stamps differ.
    """
    if len(estimate) != len(truth) or not np.array_equal(estimate.stamps, truth.stamps):
        raise EvaluationError("estimate and truth must have the same stamps: interpolate one of them first")
    if len(truth) == 0:
        return PoseErrors(truth.stamps, truth.positions, np.zeros((0, 3)), np.zeros(0), truth)
    position = estimate.positions - truth.positions
    if not has_orientation:
        return PoseErrors(truth.stamps, position, np.full_like(position, np.nan), np.full(len(truth), np.nan), truth)
    rotation = (estimate.rotations * truth.rotations.inv()).as_rotvec()
    difference = _headings(estimate.rotations) - _headings(truth.rotations)
    heading = (difference + np.pi) % (2 * np.pi) - np.pi
    return PoseErrors(truth.stamps, position, rotation, heading, truth)


def _headings(rotations: Rotation) -> Array:
    axes = rotations.apply([1.0, 0.0, 0.0])
    return np.asarray(np.arctan2(axes[:, 1], axes[:, 0]))


@dataclass(frozen=True)
class ErrorStatistics:
    """Absolute pose error (APE) in numbers; metres and degrees. Those of orientation are NaN where the truth has none.

    Attributes:
        samples: number of stamps scored.
        rms_3d_m: root mean square of the 3D position error.
        mean_3d_m: its mean.
        median_3d_m: its median.
        max_3d_m: its greatest.
        final_3d_m: at the last stamp.
        rms_horizontal_m: of east and north together.
        rms_vertical_m: of up.
        r95_horizontal_m: radius that holds 95 % of the horizontal errors.
        distance_m: length of the true path.
        drift_per_km_m: final error a kilometre of path (what dead reckoning is judged by).
        rms_rotation_deg: of the angle between estimate and truth.
        max_rotation_deg: the greatest angle.
        rms_heading_deg: of the heading.
    """

    samples: int
    rms_3d_m: float
    mean_3d_m: float
    median_3d_m: float
    max_3d_m: float
    final_3d_m: float
    rms_horizontal_m: float
    rms_vertical_m: float
    r95_horizontal_m: float
    distance_m: float
    drift_per_km_m: float
    rms_rotation_deg: float
    max_rotation_deg: float
    rms_heading_deg: float


def error_statistics(errors: PoseErrors, path_length: float | None = None) -> ErrorStatistics:
    """Statistics of the errors.

    Args:
        errors: N errors.
        path_length: of the true path, m; that of the straight lines between the N true poses when None.

    Raises:
        EvaluationError: there is no error to make them of.
    """
    if len(errors) == 0:
        raise EvaluationError("no estimate lies within the time that truth covers: nothing can be scored")
    distance, horizontal = errors.distance, errors.horizontal
    angle = np.degrees(np.linalg.norm(errors.rotation, axis=1))
    path = errors.truth.length if path_length is None else path_length
    return ErrorStatistics(
        samples=len(errors),
        rms_3d_m=rms(distance),
        mean_3d_m=float(distance.mean()),
        median_3d_m=float(np.median(distance)),
        max_3d_m=float(distance.max()),
        final_3d_m=float(distance[-1]),
        rms_horizontal_m=rms(horizontal),
        rms_vertical_m=rms(errors.position[:, 2]),
        r95_horizontal_m=float(np.percentile(horizontal, 95)),
        distance_m=path,
        drift_per_km_m=float(distance[-1] / path * 1000.0) if path > 0 else float("nan"),
        rms_rotation_deg=rms(angle),
        max_rotation_deg=float(angle.max()),
        rms_heading_deg=rms(np.degrees(errors.heading)),
    )


def rms(values: Array) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")


@dataclass(frozen=True)
class Consistency:
    """Whether the covariance tells the truth (Bar-Shalom et al., Estimation with Applications, ch. 5.4).

    Attributes:
        nees_position: mean normalised estimation error squared of the position, a dimension: 1 is honest, above is
            overconfident, below timid.
        nees_pose: the same of position and rotation together.
        inside_3_sigma: share of errors within three sigma, for east, north and up.
        inside_3_sigma_all: share of stamps with all three axes inside (99.2 % if Gaussian and honest).
    """

    nees_position: float
    nees_pose: float
    inside_3_sigma: tuple[float, float, float]
    inside_3_sigma_all: float


def consistency(errors: PoseErrors, covariances: Array) -> Consistency:
    """Compares errors with their covariances.

    Args:
        errors: N errors.
        covariances: (N, 6, 6), ROS order, m and rad. Those that are not finite or not positive definite are left out.

    Returns:
        all NaN where no covariance can be used.
    """
    usable = positive_definite(covariances)
    if not usable.any():
        nan = float("nan")
        return Consistency(nan, nan, (nan, nan, nan), nan)
    P = covariances[usable]
    e = np.column_stack([errors.position, errors.rotation])[usable]
    sigma = np.sqrt(np.diagonal(P[:, :3, :3], axis1=1, axis2=2))
    inside = np.abs(e[:, :3]) <= 3.0 * sigma
    share = inside.mean(axis=0)
    return Consistency(
        nees_position=float(nees(e[:, :3], P[:, :3, :3]).mean() / 3.0),
        nees_pose=float(nees(e, P).mean() / 6.0),
        inside_3_sigma=(float(share[0]), float(share[1]), float(share[2])),
        inside_3_sigma_all=float(inside.all(axis=1).mean()),
    )


def nees(errors: Array, covariances: Array) -> Array:
    """(N,) ``e^T P^-1 e`` of (N, D) errors and (N, D, D) covariances."""
    out: Array = np.einsum("ni,ni->n", errors, np.linalg.solve(covariances, errors[..., None])[..., 0])
    return out


def positive_definite(covariances: Array) -> npt.NDArray[np.bool_]:
    """(N,) which of (N, D, D) matrices are finite and positive definite."""
    finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(covariances).all(axis=(1, 2)))
    safe = np.where(finite[:, None, None], covariances, -np.eye(covariances.shape[1]))
    out: npt.NDArray[np.bool_] = finite & (np.linalg.eigvalsh(safe)[:, 0] > 0.0)
    return out
