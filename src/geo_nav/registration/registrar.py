"""Fine alignment as a whole: prior → render → match → lift → resect → covariance → gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.matching import Matcher
from geo_nav.registration.alignment import Alignment, Reference, align, render_reference
from geo_nav.registration.area_search import Candidate, search_area
from geo_nav.registration.config import RegistrationConfig
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.frames import Frame, FrameReader, Stopwatch, check_contrast, check_prior
from geo_nav.registration.gates import Verdict, model_gate
from geo_nav.registration.judgement import judge, refused
from geo_nav.registration.linearization import project
from geo_nav.registration.masks import FrameMasks
from geo_nav.registration.types import AbsolutePose, Status
from geo_nav.registration.views import ViewPlan, median_depth, plan_views, probe_camera
from geo_nav.rendering import Camera, RenderedView, Renderer, RenderingError
from geo_nav.site import ModelError

Array = npt.NDArray[np.float64]

_DECISIVE = -40.0
"""log10 of the false alarms from which on no other view of a wide prior needs to be tried."""
_AREA_FROM = 0.2
"""Share of the frame's width that the prior may move it by, from which on the frame is looked for as a whole."""
_AREA_ERROR = 0.1
"""How far the place found so may be off, share of the frame's width."""
_CANDIDATES = 6
"""Places found so that are tried."""
_RIVAL = 0.8
"""A place that resembles the frame less than this share of the best one is not tried."""
_SAME_GROUND = 0.3
"""Turn (rad) and sideways step (share of the depth) within which the last view tells how far the ground is."""


class Registrar:
    """Registers camera frames against renders of one site.

    Used from the thread that made the renderer. It keeps the last rendered view, which serves again while the
    prior hardly moves.

    Args:
        renderer: of the site.
        matcher: see :func:`geo_nav.matching.create_matcher`.
        config: parameters.
        site_error: expected error of the site model (`SiteModel.error`).
        texel: size of the model's texels on the ground, metres; a frame that is sharper than the model is reduced
            to match it (see `RegistrationConfig.finest_gsd`). None reduces to `max_width` only.
        cancelled: asked between the views of a wide prior, which take seconds; True makes do with those tried.
        masks: which pixels of a frame may be matched; None for all that the lens delivers.

    Attributes:
        last_frame: the last frame as it was matched; None where it did not come as far as that.
        last_alignment: its matches, or those of the last frame that had any; None before the first.
    """

    def __init__(
        self,
        renderer: Renderer,
        matcher: Matcher,
        config: RegistrationConfig,
        site_error: ModelError,
        texel: float | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        masks: FrameMasks | None = None,
    ) -> None:
        self._renderer = renderer
        self._matcher = matcher
        self._config = config
        self._site_error = site_error
        self._texel = texel
        self._cancelled = cancelled
        self._masks = masks
        self._reader = FrameReader()
        self._reference: Reference | None = None
        self.last_alignment: Alignment | None = None
        self.last_frame: Frame | None = None

    @property
    def last_view(self) -> RenderedView | None:
        """The view that the last frame was matched against; None before the first."""
        return None if self.last_alignment is None else self.last_alignment.reference.view

    def register(
        self,
        image: npt.NDArray[np.uint8],
        camera: Camera,
        T_map_camera_prior: Pose,
        prior_covariance: npt.ArrayLike,
        stamp: float = 0.0,
    ) -> AbsolutePose:
        """The absolute pose of a frame, or why there is none.

        Args:
            image: (H, W, 3) RGB or (H, W) grey, uint8, as the camera delivers it.
            camera: its intrinsics and distortion.
            T_map_camera_prior: camera optical frame in `map` as predicted.
            prior_covariance: (6, 6) of that, ROS order, m and rad.
            stamp: of the exposure, seconds.

        Returns:
            The verdict; a frame or a prior that cannot be used gives ``BAD_INPUT`` and does not raise.
        """
        start = perf_counter()
        watch = Stopwatch()
        self.last_frame = None
        try:
            result = self._register(image, camera, T_map_camera_prior, prior_covariance, watch)
        except (RegistrationError, RenderingError) as error:
            result = AbsolutePose(stamp, Status.BAD_INPUT, str(error))
        watch.milliseconds["total"] = (perf_counter() - start) * 1e3
        return replace(result, stamp=stamp, milliseconds=watch.milliseconds, matcher=self._matcher.name)

    def _register(
        self,
        image: npt.NDArray[np.uint8],
        camera: Camera,
        prior: Pose,
        prior_covariance: npt.ArrayLike,
        watch: Stopwatch,
    ) -> AbsolutePose:
        config = self._config
        covariance = check_prior(prior, prior_covariance)
        camera.check_image(image)
        check_contrast(image, config.min_contrast)
        with watch("render"):
            depth = self._depth(camera, prior)
        if depth is None:
            return refused((Status.NO_MODEL, "the site model is not in view from the prior"))
        frame = self._read(image, camera, depth, prior, covariance, watch)
        plan = plan_views(frame.camera, prior, covariance, depth, config)
        found = self._first_pass(frame, plan, watch)
        self.last_frame, self.last_alignment = frame, found
        if not plan.is_wide:
            verdict = model_gate(found.reference.coverage, config)
            if verdict is not None:
                return refused(verdict, found)
        answer = self._settle(frame, found, prior, covariance, watch)
        if not answer.accepted and self._beyond_matching(frame, plan):
            answer = self._search(frame, plan, prior, covariance, answer, watch)
        return answer

    def _settle(
        self, frame: Frame, found: Alignment, prior: Pose, prior_covariance: Array, watch: Stopwatch
    ) -> AbsolutePose:
        """The later passes from an alignment, and the verdict."""
        verdict = self._worth_another_pass(found)
        if verdict is not None:
            return refused(verdict, found)
        found = self._later_passes(frame, found, watch)
        self.last_alignment = found
        return judge(frame, found, prior, prior_covariance, self._site_error, self._config)

    def _beyond_matching(self, frame: Frame, plan: ViewPlan) -> bool:
        """Whether matches may have failed because they were looked for over too large a part of the view."""
        return plan.is_wide and (plan.radius is None or plan.radius > _AREA_FROM * frame.camera.width)

    def _search(
        self, frame: Frame, plan: ViewPlan, prior: Pose, covariance: Array, answer: AbsolutePose, watch: Stopwatch
    ) -> AbsolutePose:
        """The whole frame looked for in the wide views; the first place that holds up, else the answer so far."""
        candidates: list[Candidate] = []
        scale_sigma = float(np.sqrt(covariance[2, 2])) / plan.depth
        heading_sigma = min(float(np.sqrt(covariance[5, 5])), self._config.heading_step / 2.0)
        for pose in plan.poses:
            if self._cancelled():
                return answer
            with watch("render"):
                view = self._renderer.render(plan.camera, pose)
            with watch("search"):
                candidates += search_area(frame, view, heading_sigma, scale_sigma)
        before = self.last_alignment
        best = max((c.score for c in candidates), default=0.0)
        likely = [c for c in sorted(candidates, key=lambda c: -c.score) if c.score > _RIVAL * best]
        for candidate in likely[:_CANDIDATES]:
            reference = render_reference(
                self._renderer, self._matcher, frame.camera, np.zeros(2, np.int64), candidate.T_map_camera, watch
            )
            radius = _AREA_ERROR * frame.camera.width
            found = align(frame, reference, self._matcher, radius, self._site_error, self._config, watch)
            tried = candidate.log10_tried + float(np.log10(len(plan.poses)))
            found = replace(found, log10_false_alarms=found.log10_false_alarms + tried, log10_tried=tried)
            again = self._settle(frame, found, prior, covariance, watch)
            if again.accepted:
                self._reference = found.reference
                return again
        self.last_alignment = before
        return answer

    def _depth(self, camera: Camera, prior: Pose) -> float | None:
        """How far the ground is: from the last view where the prior is near it, else from a thumbnail."""
        if self._reference is not None:
            view = self._reference.view
            depth = median_depth(view)
            offset = prior.translation - view.T_map_camera.translation
            forward = prior.rotation[:, 2]
            if depth is not None and view.T_map_camera.angle_to(prior) < _SAME_GROUND:
                nearer = float(offset @ forward)
                sideways = float(np.linalg.norm(offset - nearer * forward))
                if sideways < _SAME_GROUND * depth and 0.0 < depth - nearer < 2.0 * depth:
                    return depth - nearer
        return median_depth(self._renderer.render(probe_camera(camera.pinhole()), prior))

    def _read(
        self,
        image: npt.NDArray[np.uint8],
        camera: Camera,
        depth: float,
        prior: Pose,
        covariance: Array,
        watch: Stopwatch,
    ) -> Frame:
        with watch("undistort"):
            undistorter = self._reader.undistorter(camera, self._working_width(camera, depth))
            undistorted = undistorter(image)
        usable = undistorter.valid
        if self._masks is not None:
            with watch("mask"):
                usable = self._masks.usable(undistorted, undistorter, self._renderer, prior, covariance)
        with watch("extract"):
            features = self._matcher.extract(undistorted, usable)
        return Frame(undistorted, undistorter.pinhole, features, usable)

    def _working_width(self, camera: Camera, depth: float) -> int:
        """Width at which the frame is about as sharp as the model: sharper detail has nothing to match."""
        config = self._config
        width = min(camera.width, config.max_width)
        if self._texel is not None:
            sharp = camera.width * (depth / camera.fx) / (self._texel * config.finest_gsd)
            width = min(width, max(config.min_width, int(np.ceil(sharp / 64.0)) * 64))
        return min(width, camera.width)

    def _first_pass(self, frame: Frame, plan: ViewPlan, watch: Stopwatch) -> Alignment:
        """The best alignment over the views that cover the prior."""
        best: Alignment | None = None
        tried = 0
        for pose in plan.poses:
            tried += 1
            reference, radius = self._reference_for(frame, plan, pose, watch)
            found = align(frame, reference, self._matcher, radius, self._site_error, self._config, watch)
            if best is None or found.log10_false_alarms < best.log10_false_alarms:
                best = found
            if best.log10_false_alarms < _DECISIVE or self._cancelled():
                break
        assert best is not None
        # The best of several views is that much likelier to be chance.
        log10_tried = float(np.log10(tried))
        return replace(best, log10_false_alarms=best.log10_false_alarms + log10_tried, log10_tried=log10_tried)

    def _reference_for(
        self, frame: Frame, plan: ViewPlan, pose: Pose, watch: Stopwatch
    ) -> tuple[Reference, float | None]:
        """The last view where it still shows nearly the same, a new one else; and the radius that goes with it."""
        last = self._reference
        if last is not None and plan.radius is not None and last.view.camera == plan.camera and last.coverage > 0.5:
            points, lifted = last.view.lift(_grid(plan.camera))
            if lifted.sum() >= 4:
                shift = np.linalg.norm(
                    project(plan.camera, pose, points[lifted])
                    - project(plan.camera, last.view.T_map_camera, points[lifted]),
                    axis=1,
                )
                largest = float(np.nan_to_num(shift, nan=np.inf).max())
                if largest < self._config.reuse_shift * frame.camera.width:
                    return last, plan.radius + largest
        reference = render_reference(self._renderer, self._matcher, plan.camera, plan.margin, pose, watch)
        self._reference = reference
        return reference, plan.radius

    def _worth_another_pass(self, found: Alignment) -> Verdict | None:
        """A first pass need not convince yet, but there must be a pose.

        Nor need it beat chance where the later passes match by other means, which cost little.
        """
        matches, inliers = len(found.pixels), found.inliers
        if matches < self._config.min_matches:
            return Status.FEW_MATCHES, f"{matches} matches, {self._config.min_matches} are needed"
        if found.resection is None or (found.log10_false_alarms > 0.0 and not found.coarse):
            return (
                Status.FEW_INLIERS,
                f"{inliers} inliers of {matches} matches: log10 of the false alarms expected by chance is "
                f"{found.log10_false_alarms:.1f}, {self._config.max_log10_false_alarms:.1f} at most",
            )
        return None

    def _later_passes(self, frame: Frame, found: Alignment, watch: Stopwatch) -> Alignment:
        """Renders at the pose found and matches again, until the picture stands still."""
        config = self._config
        limit = config.next_pass_shift * frame.camera.width
        radius = config.refined_radius * frame.camera.width
        for _ in range(config.max_passes - 1):
            coarse = found.coarse
            if found.resection is None or (found.shift(frame.camera) <= limit and not coarse):
                break
            pose = found.resection.T_map_camera
            reference = render_reference(
                self._renderer, self._matcher, frame.camera, np.zeros(2, np.int64), pose, watch
            )
            again = align(frame, reference, self._matcher, radius, self._site_error, config, watch)
            self._reference = reference
            # The last pass must convince by itself, at the pose that the wide search chose: a place that only resembles
            # the right one is found again too, but matches made anew there agree hardly more than by chance. Where
            # the narrow search is done by other means, the more so the more places the wide search chose from.
            tried = found.log10_tried
            if coarse:
                places = np.hypot(frame.camera.width, frame.camera.height) / radius
                tried = 2.0 * float(np.log10(max(1.0, places)))
            found = replace(again, log10_false_alarms=again.log10_false_alarms + tried, log10_tried=tried)
        return found


def _grid(camera: Camera) -> Array:
    u, v = np.linspace(0, camera.width - 1, 5)[1:-1], np.linspace(0, camera.height - 1, 5)[1:-1]
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
