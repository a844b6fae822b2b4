"""Geo-registered feature tracks: the tie points of a registration followed from frame to frame.

Chiu et al. (IROS 2014) call them geo-registered feature tracks: every frame then has 2D-3D measurements. Where
registration refuses the frames, the tracks of one of them still tell the motion since: visual odometry on the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.frames import Stopwatch
from geo_nav.registration.linearization import project
from geo_nav.registration.resection import Resection, refine, resect
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_motion import MotionError, motion_error
from geo_nav.registration.tracking_points import Anchors, TrackReference, choose_anchors, plane_homography
from geo_nav.registration.types import TiePoints
from geo_nav.rendering import Camera, RenderedView

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]

_CELLS = 8
_AGREEING = 0.6
"""Where fewer of the flows agree with the pose refined from the prediction, all poses are looked at."""
_SAMPLES = 300
"""Minimal samples then: enough for half of the flows to be wrong, and no more than some milliseconds."""


_PARALLAX = 8.0
"""The template is renewed where half of the points lie further from where its warp puts them, pixels."""


class TrackStatus(StrEnum):
    """What became of a frame."""

    TRACKED = "tracked"
    LOST = "lost"


@dataclass(frozen=True, eq=False)
class GreyFrame:
    """An undistorted frame at tracking width.

    Attributes:
        image: (H, W) uint8.
        valid: (H, W) False where the image has no source pixel, or shows the vehicle itself.
        camera: its pinhole.
        stamp: of the exposure, seconds.
        predicted: ``T_map_camera`` as predicted, None where nobody knows. Only its motion from frame to frame is used.
    """

    image: Grey
    valid: Mask
    camera: Camera
    stamp: float
    predicted: Pose | None


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The tie points of one frame that was not registered itself, or why there are none.

    Attributes:
        stamp: of the frame's exposure, seconds.
        reference_stamp: of the frame that the tracks come from, seconds.
        status: the verdict.
        reason: the verdict in words.
        T_map_camera: resected pose; it carries the error of the reference's pose. None where lost.
        T_map_reference: the reference's pose, registered or predicted, which anchors the points; None where lost.
        T_reference_camera: the camera in the reference camera's frame; None where lost.
        error: of ``T_reference_camera``, and what of it is that of ``T_map_reference``; None where lost.
        tie_points: None where lost.
        ids: (N,) number of each point among those of its reference.
        milliseconds: duration of each stage.
    """

    stamp: float
    reference_stamp: float
    status: TrackStatus
    reason: str
    T_map_camera: Pose | None = None
    T_map_reference: Pose | None = None
    T_reference_camera: Pose | None = None
    error: MotionError | None = None
    tie_points: TiePoints | None = None
    ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    milliseconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Template:
    """The frame whose windows are looked for: the reference, and later ones as the view changes."""

    frame: GreyFrame
    pose: Pose
    pixels: Array


@dataclass(frozen=True, eq=False)
class _Tracks:
    """The points that are left; each has its place in the template."""

    reference: TrackReference
    anchors: Anchors
    template: _Template
    frame: GreyFrame
    pose: Pose
    ids: npt.NDArray[np.int64]


class TiePointTracker:
    """Follows the points of one frame, registered or not, with pyramidal Lucas-Kanade flow (Bouguet 2000).

    Windows are compared with a template frame, not with the last one, whose small errors would add up; the template is
    that frame, and is renewed now and then. Not thread-safe.

    Args:
        config: parameters.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self._tracks: _Tracks | None = None

    @property
    def frame(self) -> GreyFrame | None:
        """The frame on which the tracks now stand; None where nothing is followed."""
        return None if self._tracks is None else self._tracks.frame

    @property
    def reference_stamp(self) -> float | None:
        """Of the frame whose points are followed, s."""
        return None if self._tracks is None else self._tracks.reference.stamp

    @property
    def ground(self) -> float | None:
        """Mean height in `map` of the points of the model that are followed, m; None where there are none."""
        tracks = self._tracks
        return (
            None if tracks is None or tracks.reference.ground is not None else float(tracks.anchors.points[:, 2].mean())
        )

    def start(self, frame: GreyFrame, reference: TrackReference, view: RenderedView | None = None) -> None:
        """Follow a frame's points from that frame on; what was followed before is forgotten.

        Args:
            frame: the frame.
            reference: its pose, and its tie points if it was registered.
            view: the site rendered from near the pose; without it, and without a guess where the ground is, no corners
                are added to the tie points.

        Raises:
            RegistrationError: there are too few points that can be followed.
        """
        self._tracks = None
        anchors = choose_anchors(frame.image, frame.valid, frame.camera, reference, view, self._config)
        problem = self._problem(anchors.pixels, frame.camera, self._config.min_points)
        if problem:
            raise RegistrationError(f"the frame cannot be followed: {problem}")
        pose = reference.T_map_camera
        template = _Template(frame, pose, anchors.pixels)
        self._tracks = _Tracks(reference, anchors, template, frame, pose, np.arange(len(anchors.pixels)))

    def track(self, frame: GreyFrame) -> TrackedFrame:
        """Follow the points into a newer frame, resect it, and drop the points that disagree.

        Raises:
            RegistrationError: nothing is followed, or the frame is not newer, or of another camera.
        """
        tracks = self._tracks
        if tracks is None:
            raise RegistrationError("no frame is followed")
        if not frame.stamp > tracks.frame.stamp:
            raise RegistrationError(f"frame {frame.stamp:.3f} s is not newer than the last, {tracks.frame.stamp:.3f} s")
        if frame.camera != tracks.frame.camera:
            raise RegistrationError("the camera has changed: its tracks end")
        self._tracks = None
        age = frame.stamp - tracks.reference.stamp
        if age > self._config.max_age:
            return self._lost(frame, tracks, f"the frame that the points come from is {age:.1f} s old")
        watch = Stopwatch()
        with watch("flow"):
            start = self._predicted(tracks, frame)
            pixels, returned = self._flow(tracks, frame, start)
        points = tracks.anchors.points[tracks.ids]
        with watch("resect"):
            solved = self._resect(pixels[returned], points[returned], frame.camera, start)
        followed = f"{int(returned.sum())} of {len(returned)} flows return"
        if solved is None:
            return self._lost(frame, tracks, f"{followed}, no pose agrees with them")
        left = np.flatnonzero(returned)[solved.inliers]
        # Ground that is not as level as it is taken to be leaves a minority that agrees, on a wrong pose.
        guessed = tracks.reference.ground is not None
        least = max(self._config.min_points, len(tracks.anchors.pixels) // 2 if guessed else 0)
        problem = self._problem(pixels[left], frame.camera, least)
        if problem:
            return self._lost(frame, tracks, f"{followed}; {problem}")
        with watch("covariance"):
            reference = tracks.reference
            error = motion_error(
                frame.camera, reference.T_map_camera, solved.T_map_camera, points[left],
                solved.residuals[solved.inliers], reference.covariance, reference.ground_covariance,
                self._config.pixel_sigma,
            )  # fmt: skip
        if error is None:
            return self._lost(frame, tracks, "the points leave a direction of the pose open")
        # A point that was not found may only be hidden for a while; one that was found elsewhere is a wrong one.
        kept = ~returned
        kept[left] = True
        self._tracks = self._carried_on(tracks, frame, solved.T_map_camera, pixels, left, kept)
        return self._tracked(self._tracks, tracks.ids[left], pixels[left], solved, error, watch)

    def _carried_on(
        self, tracks: _Tracks, frame: GreyFrame, pose: Pose, pixels: Array, left: npt.NDArray[np.int64], kept: Mask
    ) -> _Tracks:
        """The tracks on a new frame; it becomes the template where the old one is too old or seen too differently."""
        template, anchors = tracks.template, tracks.anchors
        warp = plane_homography(frame.camera, template.pose, pose, anchors.plane)
        warped = cv2.perspectiveTransform(template.pixels[left].reshape(-1, 1, 2), warp).reshape(-1, 2)
        parallax = float(np.median(np.linalg.norm(pixels[left] - warped, axis=1)))
        if frame.stamp - template.frame.stamp >= self._config.template_age or parallax > _PARALLAX:
            template, ids = _Template(frame, pose, pixels[left]), tracks.ids[left]
        else:
            template, ids = replace(template, pixels=template.pixels[kept]), tracks.ids[kept]
        return replace(tracks, template=template, frame=frame, pose=pose, ids=ids)

    @staticmethod
    def _predicted(tracks: _Tracks, frame: GreyFrame) -> Pose:
        """The last pose carried on by the predicted motion: an error that both predictions share does not matter."""
        if tracks.frame.predicted is None or frame.predicted is None:
            return tracks.pose
        return tracks.pose @ (tracks.frame.predicted.inverse() @ frame.predicted)

    def _flow(self, tracks: _Tracks, frame: GreyFrame, start: Pose) -> tuple[Array, Mask]:
        """(N, 2) where the points are now, and (N,) which of the flows come back and stay in the picture."""
        camera, points, template = frame.camera, tracks.anchors.points[tracks.ids], tracks.template
        # Flow knows shifts only: turned, nearer or seen from the side, a window would be found a little beside its
        # place, by the same little in every frame. So the template is first drawn as the prediction sees it.
        warp = plane_homography(camera, template.pose, start, tracks.anchors.plane)
        size = (camera.width, camera.height)
        warped = np.asarray(cv2.warpPerspective(template.frame.image, warp, size, flags=cv2.INTER_LINEAR), np.uint8)
        before = cv2.perspectiveTransform(template.pixels.reshape(-1, 1, 2), warp).reshape(-1, 2)
        shift = np.nan_to_num(project(camera, start, points) - before, nan=0.0)
        after, found = self._lucas_kanade(warped, frame.image, before, before + shift)
        # The way back begins where the prediction alone would: beginning at the known answer would prove nothing.
        back, found_back = self._lucas_kanade(frame.image, warped, after, after - shift)
        returned = found & found_back & (((back - before) ** 2).sum(axis=1) <= self._config.max_return**2)
        return after, returned & _usable(after, frame.valid, self._config.window // 2)

    def _lucas_kanade(self, first: Grey, second: Grey, pixels: Array, guess: Array) -> tuple[Array, Mask]:
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            first,
            second,
            pixels.astype(np.float32).reshape(-1, 1, 2),
            guess.astype(np.float32).reshape(-1, 1, 2),
            winSize=(self._config.window, self._config.window),
            maxLevel=self._config.levels,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        return moved.reshape(-1, 2).astype(np.float64), status.ravel() > 0

    def _resect(self, pixels: Array, points: Array, camera: Camera, start: Pose) -> Resection | None:
        threshold = self._config.max_residual
        refined = refine(pixels, points, camera, start, threshold) if len(pixels) else None
        if refined is not None and refined.inliers.mean() >= _AGREEING:
            return refined
        searched = resect(pixels, points, camera, threshold, iterations=_SAMPLES)
        if refined is None or (searched is not None and searched.inliers.sum() > refined.inliers.sum()):
            return searched
        return refined

    def _problem(self, pixels: Array, camera: Camera, least: int) -> str:
        """Why points are not enough; empty where they are."""
        if len(pixels) < least:
            return f"{len(pixels)} points are left, {least} are needed"
        cells = np.floor((pixels + 0.5) / [camera.width, camera.height] * _CELLS)
        spread = len(np.unique(np.clip(cells, 0, _CELLS - 1), axis=0)) / _CELLS**2
        if spread < self._config.min_spread:
            return f"the points cover {spread:.0%} of the picture, {self._config.min_spread:.0%} are needed"
        return ""

    @staticmethod
    def _lost(frame: GreyFrame, tracks: _Tracks, reason: str) -> TrackedFrame:
        return TrackedFrame(frame.stamp, tracks.reference.stamp, TrackStatus.LOST, reason)

    def _tracked(
        self,
        tracks: _Tracks,
        ids: npt.NDArray[np.int64],
        pixels: Array,
        solved: Resection,
        error: MotionError,
        watch: Stopwatch,
    ) -> TrackedFrame:
        count, pose, reference = len(ids), tracks.pose, tracks.reference.T_map_camera
        sigma = float(np.sqrt((solved.residuals[solved.inliers] ** 2).mean()))
        ties = TiePoints(
            pixels=pixels,
            points=tracks.anchors.points[ids],
            pixel_sigma=np.full(count, max(sigma, self._config.pixel_sigma)),
            point_sigma=np.full(count, tracks.reference.point_sigma),
            camera=tracks.frame.camera,
        )
        return TrackedFrame(
            tracks.frame.stamp, tracks.reference.stamp, TrackStatus.TRACKED, f"{count} points, {sigma:.2f} px",
            pose, reference, reference.inverse() @ pose, error, ties, ids, watch.milliseconds,
        )  # fmt: skip


def _usable(pixels: Array, valid: Mask, margin: int) -> Mask:
    """(N,) which pixels lie in the picture, far enough from its rim for a window."""
    height, width = valid.shape
    rounded = np.round(np.nan_to_num(pixels, nan=-1.0, posinf=-1.0, neginf=-1.0)).astype(np.int64)
    u, v = rounded.T
    inside: Mask = (u >= margin) & (v >= margin) & (u < width - margin) & (v < height - margin)
    inside[inside] = valid[v[inside], u[inside]]
    return inside
