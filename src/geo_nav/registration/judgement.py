"""What is returned of an alignment: the pose with its covariance, or why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.alignment import Alignment
from geo_nav.registration.config import RegistrationConfig
from geo_nav.registration.covariance import resection_covariance
from geo_nav.registration.frames import Frame
from geo_nav.registration.gates import Verdict, agreement_gate, condition_gate, model_gate, prior_gate, settled_gate
from geo_nav.registration.gravity import levelled
from geo_nav.registration.resection import Resection
from geo_nav.registration.types import AbsolutePose, Status, TiePoints
from geo_nav.site import ModelError

Array = npt.NDArray[np.float64]

_LEAST_PIXEL_SIGMA = 0.3
"""Floor of a tie point's sigma, pixels."""


def judge(
    frame: Frame,
    found: Alignment,
    prior: Pose,
    prior_covariance: Array,
    site_error: ModelError,
    config: RegistrationConfig,
) -> AbsolutePose:
    """The last alignment's pose with its covariance, where it passes every gate.

    Args:
        frame: as it was matched.
        found: its last alignment.
        prior: camera optical frame in `map` as predicted.
        prior_covariance: (6, 6) of that, ROS order, m and rad.
        site_error: of the site model.
        config: the gates' limits.

    Returns:
        the verdict, without stamp and times.
    """
    verdict = (
        model_gate(found.reference.coverage, config)
        or agreement_gate(found, frame.camera, config)
        or settled_gate(found, frame.camera, config)
    )
    if verdict is not None or found.resection is None:
        return refused(verdict or (Status.FEW_INLIERS, "no pose"), found)
    solved = found.resection
    windows = found.support > 0.0
    parts = resection_covariance(
        frame.camera,
        solved.T_map_camera,
        found.points,
        solved.residuals,
        found.tolerance,
        site_error,
        support=found.support,
        factor=config.window_variance_factor if windows else config.keypoint_variance_factor,
        shared=config.window_shared_variance if windows else config.keypoint_shared_variance,
        wrong_part=0.0 if windows else config.keypoint_wrong_part,
    )
    if parts is None:
        return refused((Status.ILL_CONDITIONED, "the inliers leave a direction of the pose open"), found)
    covariance = parts[0] + parts[1]
    level, level_covariance = levelled(solved.T_map_camera, covariance, prior, prior_covariance)
    rms = _rms(solved)
    verdict = (
        condition_gate(level_covariance, config)
        or prior_gate(solved, covariance, prior, prior_covariance, config)
        or (
            Status.ACCEPTED,
            f"{found.inliers} inliers of {len(found.pixels)} matches, {rms:.2f} px, "
            f"log10 of the false alarms {found.log10_false_alarms:.0f}",
        )
    )
    return replace(
        refused(verdict, found),
        T_map_camera=solved.T_map_camera,
        covariance=covariance,
        T_map_camera_levelled=level,
        levelled_covariance=level_covariance,
        model_covariance=parts[1],
        tie_points=_tie_points(frame, found, solved, site_error),
    )


def refused(verdict: Verdict, found: Alignment | None = None) -> AbsolutePose:
    """The verdict with the alignment's numbers, and no pose.

    Args:
        verdict: status and reason.
        found: the alignment that it is about; None where it did not come as far as that.
    """
    status, reason = verdict
    if found is None:
        return AbsolutePose(0.0, status, reason)
    rms = float("nan") if found.resection is None else _rms(found.resection)
    return AbsolutePose(
        0.0,
        status,
        reason,
        matches=len(found.pixels),
        inliers=found.inliers,
        reprojection_rms=rms,
        log10_false_alarms=found.log10_false_alarms,
    )


def _rms(resection: Resection) -> float:
    return float(np.sqrt((resection.residuals[resection.inliers] ** 2).sum(axis=1).mean()))


def _tie_points(frame: Frame, found: Alignment, resection: Resection, site_error: ModelError) -> TiePoints:
    inliers = resection.inliers
    tolerance = found.tolerance[inliers]
    scatter = float(np.sqrt(((resection.residuals[inliers] / tolerance[:, None]) ** 2).mean()))
    return TiePoints(
        pixels=found.pixels[inliers],
        points=found.points[inliers],
        pixel_sigma=np.maximum(scatter * tolerance, _LEAST_PIXEL_SIGMA),
        point_sigma=np.full(found.inliers, float(np.sqrt((site_error.sigma**2).mean()))),
        camera=frame.camera,
    )
