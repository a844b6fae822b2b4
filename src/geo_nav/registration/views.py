"""Which views are rendered for a prior, and how far from its predicted pixel a match may lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.config import RegistrationConfig
from geo_nav.registration.linearization import moved, pose_jacobian
from geo_nav.rendering import Camera, RenderedView

Array = npt.NDArray[np.float64]

_PROBE_WIDTH = 96
_PROBE_MARGIN = 0.5
_LOOKS_DOWN = 0.5
"""Least downward part of the optical axis (30°) from which a camera can be moved back without meeting a wall."""


@dataclass(frozen=True, eq=False)
class ViewPlan:
    """The views that cover a prior.

    Attributes:
        poses: from which they are rendered, the most probable first.
        camera: with which; the frame's, wider by the margin on all sides, and further back if it looks down.
        margin: (2,) pixels by which the frame's first pixel lies inside the view.
        radius: how far a match may lie from where the prior predicts it, pixels; None where that is no help.
        depth: of the ground in view from the prior, metres.
    """

    poses: tuple[Pose, ...]
    camera: Camera
    margin: npt.NDArray[np.int64]
    radius: float | None
    depth: float

    @property
    def is_wide(self) -> bool:
        """Whether the views show more than the frame may."""
        return len(self.poses) > 1 or bool(self.margin.any())


def widened(camera: Camera, margin_x: int, margin_y: int) -> Camera:
    """The same camera with a larger picture plane."""
    return replace(
        camera,
        width=camera.width + 2 * margin_x,
        height=camera.height + 2 * margin_y,
        cx=camera.cx + margin_x,
        cy=camera.cy + margin_y,
    )


def probe_camera(camera: Camera) -> Camera:
    """A thumbnail of twice the frame's field of view, rendered to learn how far the ground is."""
    small = camera.resized(_PROBE_WIDTH)
    return widened(small, int(_PROBE_MARGIN * small.width), int(_PROBE_MARGIN * small.height))


def median_depth(view: RenderedView) -> float | None:
    """Median depth of the model in a view, metres; None where it shows none."""
    depth = view.depth[view.mask]
    return float(np.median(depth)) if depth.size else None


def pixel_covariances(camera: Camera, prior: Pose, covariance: Array, depth: float) -> Array:
    """(9, 2, 2) how far the prior's error moves the picture at a 3x3 grid of pixels, square pixels."""
    u = np.linspace(0, camera.width - 1, 3)
    v = np.linspace(0, camera.height - 1, 3)
    grid = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    points = prior.transform(camera.rays(grid) * depth)
    jacobian = pose_jacobian(camera, prior, points)
    out: Array = jacobian @ covariance @ jacobian.transpose(0, 2, 1)
    return out


def plan_views(camera: Camera, prior: Pose, covariance: Array, depth: float, config: RegistrationConfig) -> ViewPlan:
    """The views to render for a prior.

    A view that is wider than the frame by what the prior's error may move it shows the same ground as a grid of
    narrow ones, in one picture. A camera that looks down is also moved back, and its focal length raised as much:
    the ground keeps its scale while walls and trees at the rim are not seen from the side. Only where the view
    would grow too large, or the heading is so uncertain that descriptors would not be recognised, several views
    are rendered.

    Args:
        camera: of the frame, pinhole.
        prior: camera optical frame in `map`.
        covariance: (6, 6) of the prior, ROS order.
        depth: of the ground in view, metres.
        config: of registration.
    """
    spread = pixel_covariances(camera, prior, covariance, depth)
    radius = config.search_sigmas * float(np.sqrt(np.linalg.eigvalsh(spread)[:, 1].max()))
    margin = config.margin_sigmas * np.sqrt(np.einsum("nii->ni", spread).max(axis=0))
    margin[margin < config.margin_from * camera.width] = 0.0
    down = bool(-prior.rotation[2, 2] > _LOOKS_DOWN)
    widest = _widest_margin(camera, down, config)
    offsets = np.zeros((1, 2))
    if (margin > widest).any():
        step = 2.0 * float(max(widest.min(), 0.25 * camera.height)) * depth / camera.fx
        offsets = _position_offsets(covariance[:2, :2], step, config.margin_sigmas)
    headings = _heading_offsets(float(np.sqrt(covariance[5, 5])), config)
    poses = [
        moved(prior, np.array([east, north, 0.0, 0.0, 0.0, heading])) for east, north in offsets for heading in headings
    ][: config.max_views]
    mx, my = (int(m) for m in np.ceil(np.minimum(margin, widest)))
    view_camera = widened(camera, mx, my)
    if down and (mx or my):
        growth = max(view_camera.width / camera.width, view_camera.height / camera.height)
        view_camera = replace(view_camera, fx=camera.fx * growth, fy=camera.fy * growth)
        back = np.array([0.0, 0.0, -(growth - 1.0) * depth])
        poses = [Pose(pose.rotation, pose.transform(back)) for pose in poses]
    useless = len(poses) > 1 or radius > np.hypot(camera.width, camera.height)
    return ViewPlan(
        poses=tuple(poses),
        camera=view_camera,
        margin=np.array([mx, my]),
        radius=None if useless else max(radius, config.refined_radius * camera.width),
        depth=depth,
    )


def _widest_margin(camera: Camera, down: bool, config: RegistrationConfig) -> Array:
    size = np.array([camera.width, camera.height], dtype=np.float64)
    widest = 0.5 * (config.max_view_growth - 1.0) * size
    if not down:
        reach = np.tan(config.max_view_angle / 2) * np.array([camera.fx, camera.fy])
        widest = np.minimum(widest, np.maximum(0.0, reach - 0.5 * size))
    return widest


def _heading_offsets(sigma: float, config: RegistrationConfig) -> Array:
    reach = min(2.0 * sigma, np.pi)
    if reach <= config.heading_step:
        return np.zeros(1)
    # Each view serves headings up to one step away, so the outermost need not lie at the reach itself.
    count = max(1, int(np.ceil((reach - config.heading_step) / config.heading_step)))
    step = min(config.heading_step, reach / (count + 0.5))
    offsets = np.arange(-count, count + 1) * step
    # Around the full circle the last one meets the first.
    offsets = offsets[offsets - offsets[0] < 2 * np.pi - 0.5 * step]
    return np.asarray(offsets[np.argsort(np.abs(offsets), kind="stable")])


def _position_offsets(covariance: Array, step: float, sigmas: float) -> Array:
    values, axes = np.linalg.eigh(covariance)
    reach = sigmas * np.sqrt(np.maximum(values, 0.0))
    counts = np.ceil(np.maximum(0.0, reach - step / 2) / step).astype(int)
    steps = [np.arange(-n, n + 1) * step for n in counts]
    grid = np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(grid / np.maximum(reach, step), axis=1)
    inside = distance <= 1.0 + 1e-9
    inside |= distance <= distance.min()
    out: Array = (grid[inside] @ axes.T)[np.argsort(distance[inside], kind="stable")]
    return out
