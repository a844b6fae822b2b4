"""Parameters of fine alignment."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RegistrationConfig(BaseModel):
    """How a frame is registered, and what a fix must satisfy to be accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_width: int = Field(640, description="width to which a wider frame is reduced, pixels", ge=64, le=8192)
    min_width: int = Field(480, description="width below which a frame is not reduced, pixels", ge=64, le=8192)
    finest_gsd: float = Field(
        0.5,
        description="a frame is reduced until its pixel on the ground is this share of the site's texel",
        gt=0,
        le=4,
    )

    pixel_sigma: float = Field(
        1.2, description="expected error of a matched pixel's coordinate at working width, pixels", gt=0, le=20
    )
    inlier_sigmas: float = Field(
        2.45, description="residual within which a match agrees with a pose, sigmas (2.45: 95 % of 2 dof)", gt=0
    )
    ransac_iterations: int = Field(5000, description="minimal samples tried at most, count", ge=10)
    seed: int = Field(0, description="of the minimal samples, no unit", ge=0)

    search_sigmas: float = Field(
        4.0, description="a match may lie as far from its predicted pixel as the prior moves it, sigmas", gt=0
    )
    margin_sigmas: float = Field(
        2.0, description="the rendered view reaches beyond the frame by as much as the prior may move it, sigmas", ge=0
    )
    margin_from: float = Field(
        0.1, description="a margin that is narrower than this share of the frame's width is left out", ge=0
    )
    max_view_growth: float = Field(
        4.0, description="a rendered view is at most this many times as wide or high as the frame", ge=1, le=20
    )
    max_view_angle: float = Field(
        2.1, description="widest angle of a view of a camera that does not look down, rad", gt=0, lt=3.0
    )
    heading_step: float = Field(
        0.52, description="several headings are tried where twice the prior's sigma exceeds this, rad", gt=0
    )
    max_views: int = Field(12, description="views rendered at most to cover a wide prior, count", ge=1)
    max_passes: int = Field(
        3, description="times that a frame is matched at most, each at the newest pose", ge=1, le=10
    )
    next_pass_shift: float = Field(
        0.1, description="another pass is made when the last moved the picture by this share of its width", gt=0
    )
    refined_radius: float = Field(
        0.05,
        description="least search radius, and that of later passes, as a share of the frame's width: "
        "agreement within less would be no evidence",
        gt=0,
        le=1,
    )
    reuse_shift: float = Field(
        0.02, description="the last rendered view serves again while the prior moves it by less than this share", ge=0
    )

    keypoint_variance_factor: float = Field(
        2.0, description="widens the variance that the residuals of keypoints tell, no unit", ge=1
    )
    keypoint_shared_variance: float = Field(
        0.2,
        description="variance of the error that all keypoints of a picture share, in units of the residuals' variance",
        ge=0,
    )
    keypoint_wrong_part: float = Field(
        0.08,
        description="probability that the keypoints of a quarter of the picture are wrong by a common cause, as on a "
        "façade matched one window further",
        ge=0,
        lt=1,
    )
    window_variance_factor: float = Field(
        1.5, description="widens the variance that the residuals of windows tell, no unit", ge=1
    )
    window_shared_variance: float = Field(
        1.0,
        description="variance of the error that all windows of a picture share, because another light moves their "
        "edges alike, in units of the residuals' variance",
        ge=0,
    )

    min_contrast: float = Field(3.0, description="least standard deviation of a frame's grey levels, levels", ge=0)
    min_coverage: float = Field(0.1, description="least share of the frame that shows the site model", ge=0, le=1)
    min_matches: int = Field(12, description="least number of matches, count", ge=4)
    min_inliers: int = Field(10, description="least number of inliers, count", ge=4)
    min_inlier_ratio: float = Field(0.25, description="least share of inliers among the matches", ge=0, le=1)
    min_sharpness: float = Field(
        0.125,
        description="least mean curvature of the loss over the matches near the pose: 1 where all agree exactly, 0 "
        "where they scatter evenly",
        ge=0,
        le=1,
    )
    max_log10_false_alarms: float = Field(
        -4.0, description="log10 of how many such agreements chance would bring in one frame, at most", le=0
    )
    min_spread: float = Field(0.1, description="least share of the picture's 8x8 cells that hold inliers", ge=0, le=1)
    max_position_sigma: float = Field(
        1.5, description="largest 1 sigma of the position in any direction, the prior's tilt considered, m", gt=0
    )
    max_rotation_sigma: float = Field(
        0.06, description="largest 1 sigma of the rotation about any axis, the prior's tilt considered, rad", gt=0
    )
    max_prior_distance: float = Field(
        27.86, description="largest squared Mahalanobis distance to the prior (27.86: 0.01 % of 6 dof)", gt=0
    )
