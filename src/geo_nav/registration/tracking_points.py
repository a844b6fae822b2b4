"""The points that are followed: pixels of a frame, anchored on the site model at the pose that it has."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.linearization import project
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.types import TiePoints
from geo_nav.registration.views import median_depth
from geo_nav.rendering import Camera, RenderedView

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]

_BLOCK = 7
"""Side of the window over which a corner's strength is summed, pixels."""
_CANDIDATES = 4
"""Corners looked at for each point wanted: some cannot be lifted."""
_HULL_MARGIN = 0.05
"""Corners may lie outside the hull of the tie points by this share of the picture's width."""
_ITERATIONS = 8
_GRAZING = 0.1
"""Least sine between a ray and level ground."""
_RELIEF = 0.02
"""1 sigma of the slope of the model's ground about either axis where it is seen from a wrong place, rad."""
_GUESS = 0.5
"""1 sigma of the distance of ground of which nothing is known, as a share of it."""
_SLOPE = 0.07
"""1 sigma of its slope about either axis, rad: that across the flight looks like a turn."""
_SETTLED = 0.25
"""A lifted pixel is right when its point projects back to within this, pixels."""


@dataclass(frozen=True, eq=False)
class TrackReference:
    """What is known of the frame that tracks begin from.

    A frame that was registered has tie points. One that registration refused has a predicted pose only: what its tracks
    say of where the site is seen is as wrong as that, but how the camera moves they tell as well.

    Attributes:
        stamp: of the exposure, seconds.
        T_map_camera: registered, or else predicted.
        covariance: (6, 6) of that, ROS order, m and rad.
        tie_points: of the registration; None where there is none.
        ground: height of the level ground that the points are taken to lie on, m; None where the model shows them.
        ground_covariance: (6, 6) of the ground, as if the pose were wrong by as much; zero where it was registered.
    """

    stamp: float
    T_map_camera: Pose
    covariance: Array
    tie_points: TiePoints | None = None
    ground: float | None = None
    ground_covariance: Array = field(default_factory=lambda: np.zeros((6, 6)))

    @staticmethod
    def predicted(stamp: float, T_map_camera: Pose, covariance: Array) -> TrackReference:
        """Of a frame that was not registered: the model shows there not quite the ground that the frame shows."""
        ground = np.diag([0.0, 0.0, 0.0, _RELIEF, _RELIEF, 0.0]) ** 2
        return TrackReference(stamp, T_map_camera, covariance, ground_covariance=ground)

    def over(self, ground: float) -> TrackReference:
        """The same where the model is not in view, and the ground is guessed to be level, at a height in `map`, m.

        Points on it tell how the camera turns and which way it moves; how far, hardly: that goes with the guess.

        Raises:
            RegistrationError: the pose is not above it.
        """
        distance = float(self.T_map_camera.translation[2]) - ground
        if not distance > 0.0:
            raise RegistrationError(f"the camera is predicted {-distance:.1f} m below the ground that was seen last")
        covariance = np.diag([0.0, 0.0, _GUESS * distance, _SLOPE, _SLOPE, 0.0]) ** 2
        return replace(self, ground=ground, ground_covariance=covariance)

    @property
    def point_sigma(self) -> float:
        """1 sigma of a coordinate of the points seen from there, metres."""
        if self.tie_points is not None:
            return float(np.median(self.tie_points.point_sigma))
        return float(np.sqrt(np.linalg.eigvalsh((self.covariance + self.ground_covariance)[:3, :3])[-1]))


@dataclass(frozen=True, eq=False)
class Anchors:
    """Pixels of a frame with the points of the model that its pose sees there.

    A point lies on its pixel's ray: where matching put a tie point a pixel beside its render, the point is moved
    sideways onto the ray, its depth kept. So every subset of the anchors agrees exactly on that pose, and
    what they say about a later frame is its motion since, free of the matching noise.

    Attributes:
        pixels: (N, 2) of ``camera``.
        points: (N, 3) in `map`, metres.
        camera: pinhole of the tracking.
        plane: (4,) normal n and offset d of the plane about which the points lie in `map`: n · p = d.
    """

    pixels: Array
    points: Array
    camera: Camera
    plane: Array


def choose_anchors(
    grey: Grey,
    valid: Mask,
    camera: Camera,
    reference: TrackReference,
    view: RenderedView | None,
    config: TrackingConfig,
) -> Anchors:
    """The tie points that flow can hold on to, and corners of the frame where those are too few.

    The orientation matcher's tie points are centres of windows and may lie on bare ground; corners (Shi and Tomasi,
    CVPR 1994) of the frame are then lifted through the depth of the rendered view: inside the hull of the tie points,
    where frame and model were seen to agree; anywhere in a frame that was not registered.

    Args:
        grey: (H, W) the frame, undistorted.
        valid: (H, W) where it has a source pixel.
        camera: its pinhole.
        reference: its pose and tie points.
        view: rendered near that pose; without it and a guessed ground the tie points alone are followed.
        config: parameters.
    """
    ties, pose = reference.tie_points, reference.T_map_camera
    spacing = 0.7 * float(np.sqrt(camera.width * camera.height / config.points))
    margin = config.window // 2 + 1
    free = cv2.erode(valid.astype(np.uint8), np.ones((2 * margin + 1, 2 * margin + 1)), borderValue=0)
    pixels, depths, open_area = np.zeros((0, 2)), np.zeros(0), free
    if ties is not None:
        pixels, depths = _in_camera(ties, camera), (ties.points - pose.translation) @ pose.rotation[:, 2]
        open_area = free & _hull(pixels, camera)
        kept = _spaced(pixels, cv2.cornerMinEigenVal(grey, _BLOCK), free, config, spacing)
        pixels, depths = pixels[kept], depths[kept]
    missing = config.points - len(pixels)
    if missing > 0 and (view is not None or reference.ground is not None):
        for u, v in pixels:
            cv2.circle(open_area, (round(u), round(v)), round(spacing), 0, -1)
        corners = _corners(grey, open_area, missing * _CANDIDATES, spacing, config.corner_quality)
        if reference.ground is not None:
            found_depths, lifted = _ground_depths(camera, pose, corners, reference.ground)
        else:
            assert view is not None
            found_depths, lifted = ray_depths(view, camera, pose, corners)
        pixels = np.vstack([pixels, corners[lifted][:missing]])
        depths = np.concatenate([depths, found_depths[lifted][:missing]])
    points = pose.transform(camera.rays(pixels) * depths[:, None])
    return Anchors(pixels, points, camera, _plane(points))


def plane_homography(camera: Camera, T_map_first: Pose, T_map_second: Pose, plane: Array) -> Array:
    """(3, 3) pixels of one view → pixels of another, for points of a plane (Hartley and Zisserman, §13.1).

    Args:
        camera: pinhole of both.
        T_map_first: where the first was taken.
        T_map_second: where the second was taken.
        plane: (4,) n and d in `map`, n · p = d.
    """
    T_second_first = T_map_second.inverse() @ T_map_first
    normal = T_map_first.rotation.T @ plane[:3]
    distance = float(plane[3] - plane[:3] @ T_map_first.translation)
    in_rays = T_second_first.rotation + np.outer(T_second_first.translation, normal) / distance
    out: Array = camera.matrix @ in_rays @ np.linalg.inv(camera.matrix)
    return out


def ray_depths(view: RenderedView, camera: Camera, T_map_camera: Pose, pixels: Array) -> tuple[Array, Mask]:
    """Where the rays of a pose near a rendered view's meet the model, by fixed-point iteration on the view's depth.

    Args:
        view: the model seen from nearby.
        camera: pinhole of the pixels.
        T_map_camera: pose of that camera.
        pixels: (N, 2).

    Returns:
        (N,) depths along the optical axis, metres, and (N,) where the iteration has settled on the model.
    """
    depths = np.full(len(pixels), median_depth(view) or 0.0)
    rays = camera.rays(pixels)
    settled = np.zeros(len(pixels), bool)
    for _ in range(_ITERATIONS):
        points = T_map_camera.transform(rays * depths[:, None])
        seen = np.nan_to_num(project(view.camera, view.T_map_camera, points), nan=-1.0)
        on_model, lifted = view.lift(seen)
        new = (on_model - T_map_camera.translation) @ T_map_camera.rotation[:, 2]
        usable = lifted & (new > 0.0)
        depths = np.where(usable, new, depths)
        back = project(camera, T_map_camera, on_model) - pixels
        settled = usable & (np.nan_to_num(back, nan=np.inf) ** 2 < _SETTLED**2).all(axis=1)
        if settled.all():
            break
    return depths, settled


def _ground_depths(camera: Camera, T_map_camera: Pose, pixels: Array, ground: float) -> tuple[Array, Mask]:
    """(N,) depths at which rays meet level ground, m, and (N,) which of them do, and not all but along it."""
    rays = camera.rays(pixels)
    in_map = rays @ T_map_camera.rotation.T
    down = -in_map[:, 2]
    meets = down > _GRAZING * np.linalg.norm(in_map, axis=1)
    return (T_map_camera.translation[2] - ground) / np.where(meets, down, 1.0), meets


def _plane(points: Array) -> Array:
    """(4,) the plane of least squares."""
    if len(points) < 3:
        return np.array([0.0, 0.0, 1.0, 0.0])
    centre = points.mean(axis=0)
    normal = np.linalg.svd(points - centre, full_matrices=False)[2][2]
    return np.append(normal, normal @ centre)


def _in_camera(ties: TiePoints, camera: Camera) -> Array:
    """The tie points' pixels in another pinhole with the same axes."""
    rays = ties.camera.rays(ties.pixels)
    return rays[:, :2] * [camera.fx, camera.fy] + [camera.cx, camera.cy]


def _hull(pixels: Array, camera: Camera) -> Grey:
    mask = np.zeros((camera.height, camera.width), np.uint8)
    if len(pixels):
        hull = cv2.convexHull(pixels.astype(np.float32)).round().astype(np.int32)
        cv2.fillConvexPoly(mask, hull, 1)
        cv2.polylines(mask, [hull], True, 1, 2 * round(_HULL_MARGIN * camera.width) + 1)
    return mask


def _spaced(
    pixels: Array, strength: npt.NDArray[np.float32], free: Grey, config: TrackingConfig, spacing: float
) -> npt.NDArray[np.int64]:
    """Indices of the strongest pixels that are corners and keep their distance from one another."""
    height, width = free.shape
    u, v = np.round(pixels).astype(int).T
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    corner = inside & (free[v, u] > 0) & (strength[v, u] >= config.corner_quality * float(strength.max()))
    order = np.argsort(-strength[v, u], kind="stable")
    kept: list[int] = []
    for i in order[corner[order]]:
        if len(kept) == config.points:
            break
        if not kept or ((pixels[kept] - pixels[i]) ** 2).sum(axis=1).min() >= spacing**2:
            kept.append(int(i))
    return np.array(kept, np.int64)


def _corners(grey: Grey, mask: Grey, count: int, spacing: float, quality: float) -> Array:
    found = cv2.goodFeaturesToTrack(grey, count, quality, spacing, mask=mask, blockSize=_BLOCK)
    return np.zeros((0, 2)) if found is None else found.reshape(-1, 2).astype(np.float64)
