"""What fine alignment returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.rendering import Camera

Array = npt.NDArray[np.float64]


class Status(StrEnum):
    """The verdict on a frame: accepted, or the gate that refused it."""

    ACCEPTED = "accepted"
    NO_MODEL = "no_model"
    """The rendered view shows too little of the site model."""
    FEW_MATCHES = "few_matches"
    FEW_INLIERS = "few_inliers"
    LOW_INLIER_RATIO = "low_inlier_ratio"
    NO_CONSENSUS = "no_consensus"
    """The matches scatter: they agree on the pose hardly more than on those around it."""
    POOR_SPREAD = "poor_spread"
    """The inliers cover too little of the picture."""
    ILL_CONDITIONED = "ill_conditioned"
    """The inliers leave a direction of the pose open."""
    FAR_FROM_PRIOR = "far_from_prior"
    """The pose contradicts the prior's covariance."""
    BAD_INPUT = "bad_input"
    """The frame or the prior cannot be used."""


@dataclass(frozen=True, eq=False)
class TiePoints:
    """Pixels of a frame with the points of the site model that they show.

    Attributes:
        pixels: (N, 2) undistorted pixels of ``camera``.
        points: (N, 3) in `map`, metres.
        pixel_sigma: (N,) 1 sigma of a pixel coordinate, pixels.
        point_sigma: (N,) 1 sigma of a point coordinate, metres.
        camera: the pinhole camera of the pixels.
    """

    pixels: Array
    points: Array
    pixel_sigma: Array
    point_sigma: Array
    camera: Camera


@dataclass(frozen=True, eq=False)
class AbsolutePose:
    """The absolute pose of one frame, or why there is none.

    Attributes:
        stamp: of the frame's exposure, seconds.
        status: the verdict.
        reason: the verdict in words, with the numbers that led to it.
        T_map_camera: camera optical frame in `map` by the frame alone, independent of the prior: for a filter that has
            an attitude of its own; None where resection gave no pose.
        covariance: (6, 6) ROS order, m and rad; None with it.
        model_covariance: (6, 6) the part of it that the site model's error brings: alike in frames of the same place.
        matches: number of matches that could be lifted to 3D.
        inliers: of those, in agreement with the pose.
        reprojection_rms: of the inliers, pixels.
        log10_false_alarms: of how many such agreements chance would bring; NaN where nothing was matched.
        tie_points: the inliers; None where there is no pose.
        milliseconds: duration of each stage (undistort, mask, render, extract, match, resect, search, total).
        matcher: name of the matcher.
        T_map_camera_levelled: the pose with the prior's tilt taken into account, see
            :func:`~geo_nav.registration.gravity.levelled`: the best that is known of the place. None with the pose.
        levelled_covariance: (6, 6) of that.
    """

    stamp: float
    status: Status
    reason: str
    T_map_camera: Pose | None = None
    covariance: Array | None = None
    model_covariance: Array | None = None
    matches: int = 0
    inliers: int = 0
    reprojection_rms: float = float("nan")
    log10_false_alarms: float = float("nan")
    tie_points: TiePoints | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)
    matcher: str = ""
    T_map_camera_levelled: Pose | None = None
    levelled_covariance: Array | None = None

    @property
    def accepted(self) -> bool:
        """Whether the pose may enter the graph."""
        return self.status is Status.ACCEPTED
