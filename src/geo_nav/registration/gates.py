"""The gates that a fix must pass, each with the numbers of its verdict."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.registration.alignment import Alignment
from geo_nav.registration.config import RegistrationConfig
from geo_nav.registration.resection import Resection
from geo_nav.registration.types import Status
from geo_nav.rendering import Camera

Array = npt.NDArray[np.float64]
Verdict = tuple[Status, str]

_GRID = 8
"""Cells along each side of the picture over which spread is counted."""


def model_gate(coverage: float, config: RegistrationConfig) -> Verdict | None:
    """Refuses a view that shows too little of the site; None where it passes."""
    if coverage < config.min_coverage:
        return (
            Status.NO_MODEL,
            f"the site model covers {coverage:.0%} of the view, {config.min_coverage:.0%} are needed",
        )
    return None


def agreement_gate(found: Alignment, camera: Camera, config: RegistrationConfig) -> Verdict | None:
    """Refuses a pose that too few matches agree with, or that chance could bring; None where it passes."""
    matches, inliers = len(found.pixels), found.inliers
    if matches < config.min_matches:
        return Status.FEW_MATCHES, f"{matches} matches, {config.min_matches} are needed"
    if found.resection is None or inliers < config.min_inliers:
        return Status.FEW_INLIERS, f"{inliers} inliers of {matches} matches, {config.min_inliers} are needed"
    if found.log10_false_alarms > config.max_log10_false_alarms:
        return (
            Status.FEW_INLIERS,
            f"{inliers} inliers of {matches} matches could be chance: log10 of the expected false alarms is "
            f"{found.log10_false_alarms:.1f}, {config.max_log10_false_alarms:.1f} at most",
        )
    ratio = inliers / matches
    if ratio < config.min_inlier_ratio:
        return (
            Status.LOW_INLIER_RATIO,
            f"{inliers} of {matches} matches agree ({ratio:.0%}), {config.min_inlier_ratio:.0%} are needed",
        )
    sharp = found.sharpness
    if sharp < config.min_sharpness:
        return (
            Status.NO_CONSENSUS,
            f"the {matches} matches scatter about the pose ({inliers} within their tolerances): sharpness "
            f"{sharp:.2f}, {config.min_sharpness:.2f} is needed",
        )
    spread = occupied_share(found.pixels[found.resection.inliers], camera)
    if spread < config.min_spread:
        return (
            Status.POOR_SPREAD,
            f"the {inliers} inliers lie in {spread:.0%} of the picture's cells, {config.min_spread:.0%} are needed",
        )
    return None


def settled_gate(found: Alignment, camera: Camera, config: RegistrationConfig) -> Verdict | None:
    """Refuses a pose that the last pass still moved: a true one is found again from the view at itself."""
    shift = found.shift(camera)
    limit = config.next_pass_shift * camera.width
    if not shift <= limit:
        return (
            Status.FEW_INLIERS,
            f"the pose did not settle: the last of {config.max_passes} passes moved the picture by {shift:.0f} px, "
            f"{limit:.0f} at most ({found.inliers} inliers of {len(found.pixels)} matches)",
        )
    return None


def condition_gate(covariance: Array, config: RegistrationConfig) -> Verdict | None:
    """Refuses a pose with a direction that the inliers and the vertical leave open; None where it passes."""
    position = float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
    rotation = float(np.sqrt(np.linalg.eigvalsh(covariance[3:, 3:])[-1]))
    if position > config.max_position_sigma:
        return (
            Status.ILL_CONDITIONED,
            f"the position's weakest direction has 1 sigma of {position:.2f} m, "
            f"{config.max_position_sigma:.2f} at most",
        )
    if rotation > config.max_rotation_sigma:
        return (
            Status.ILL_CONDITIONED,
            f"the rotation's weakest axis has 1 sigma of {np.degrees(rotation):.2f}°, "
            f"{np.degrees(config.max_rotation_sigma):.2f} at most",
        )
    return None


def prior_gate(
    resection: Resection, covariance: Array, prior: Pose, prior_covariance: Array, config: RegistrationConfig
) -> Verdict | None:
    """Refuses a pose that contradicts the prior; None where it passes."""
    distance = squared_mahalanobis(prior, resection.T_map_camera, covariance + prior_covariance)
    if distance > config.max_prior_distance:
        offset = resection.T_map_camera.distance_to(prior)
        angle = np.degrees(resection.T_map_camera.angle_to(prior))
        return (
            Status.FAR_FROM_PRIOR,
            f"the pose lies {offset:.1f} m and {angle:.1f}° from the prior: squared Mahalanobis distance "
            f"{distance:.1f}, {config.max_prior_distance:.1f} at most",
        )
    return None


def squared_mahalanobis(estimate: Pose, truth: Pose, covariance: Array) -> float:
    """Squared distance of two poses in units of a (6, 6) covariance (ROS order); NEES where that is the estimate's."""
    error = error_vector(estimate, truth)
    return float(error @ np.linalg.pinv(covariance, hermitian=True) @ error)


def occupied_share(pixels: Array, camera: Camera) -> float:
    """Share of an 8x8 grid's cells over the picture that hold at least one pixel."""
    cell = np.floor((pixels + 0.5) / [camera.width, camera.height] * _GRID).astype(int)
    cell = np.clip(cell, 0, _GRID - 1)
    return len(np.unique(cell[:, 1] * _GRID + cell[:, 0])) / _GRID**2
