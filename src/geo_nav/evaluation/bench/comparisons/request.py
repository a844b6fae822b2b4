"""What every method is given, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.matching import Features, Matcher, Matches
from geo_nav.registration import RegistrationConfig
from geo_nav.registration.frames import Stopwatch
from geo_nav.registration.views import ViewPlan, median_depth, plan_views, probe_camera, widened
from geo_nav.rendering import Camera, RenderedView, Renderer

Array = npt.NDArray[np.float64]

_ABOVE = 40.0
"""The nadir view is taken from this many times its own width: relief of a tenth of the camera's height then leans by
less than a pixel at the rim."""
LARGEST = 1024
"""Longer side to which pictures of the site are reduced, pixels, as hloc does: from a wide prior they would have five
megapixels, for which learned features take more than 20 GB."""
_HIGHEST = 15_000.0
"""Height (m) above which it is not taken: the renderer's far plane is at 20 km."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says of a frame.

    Attributes:
        T_map_camera: its pose; None where it has none.
        solves_rotation: whether the rotation is its own, and not the prior's.
        milliseconds: that it took, its matching and rendering included.
    """

    T_map_camera: Pose | None
    solves_rotation: bool
    milliseconds: float


class Method(Protocol):
    """A way to register a frame.

    Attributes:
        name: short.
        description: what it is given and how it is configured.
    """

    name: str
    description: str

    def locate(self, request: Request) -> Answer:
        """The pose of the request's frame."""
        ...


@dataclass(eq=False)
class Request:
    """A frame with a prior, and the pictures of the site that methods share.

    Each picture and each set of features is made once, and its time is charged to every method that uses it.

    Attributes:
        image: (H, W, 3) undistorted frame at working width.
        camera: its pinhole camera.
        T_map_camera_prior: the prior.
        covariance: (6, 6) of that, ROS order.
        renderer: of the site.
        matcher: LightGlue over learned features, shared by all methods but ours.
        config: of our registration, which plans the views.
        preparation: time that undistorting and reducing the frame took, milliseconds.
    """

    image: npt.NDArray[np.uint8]
    camera: Camera
    T_map_camera_prior: Pose
    covariance: Array
    renderer: Renderer
    matcher: Matcher
    config: RegistrationConfig
    preparation: float
    _kept: dict[str, tuple[Any, float]] = field(default_factory=dict)

    def stopwatch(self) -> Stopwatch:
        """One that has run for the frame's preparation already."""
        return Stopwatch({"undistort": self.preparation})

    def frame_features(self, watch: Stopwatch) -> Features:
        """Of the frame."""
        features: Features = self._once("frame", lambda: self.matcher.extract(self.image), watch)
        return features

    def render(self, watch: Stopwatch) -> tuple[RenderedView, Features] | None:
        """The site from the prior, as much wider than the frame as our first pass makes it; None without a site."""
        found: tuple[RenderedView, Features] | None = self._once("render", self._render, watch)
        return found

    def nadir(self, watch: Stopwatch) -> tuple[RenderedView, Features] | None:
        """The orthophoto about the place that the prior looks at, with heights: see :func:`nadir_view`."""
        found: tuple[RenderedView, Features] | None = self._once("nadir", self._nadir, watch)
        return found

    def match(self, reference: Features, most: int, confidence: float, watch: Stopwatch) -> Matches:
        """Matches of the frame's ``most`` best features with a confidence of at least ``confidence``."""
        query = _best(self.frame_features(watch), most)
        with watch("match"):
            matches = self.matcher.match(query, _best(reference, most))
        good = matches.scores >= confidence
        return Matches(matches.query[good], matches.reference[good], matches.scores[good])

    def _once(self, name: str, make: Any, watch: Stopwatch) -> Any:
        if name not in self._kept:
            start = perf_counter()
            made = make()
            self._kept[name] = (made, (perf_counter() - start) * 1e3)
        made, spent = self._kept[name]
        watch.milliseconds[name] = spent
        return made

    def _plan(self) -> tuple[ViewPlan, float] | None:
        depth = median_depth(self.renderer.render(probe_camera(self.camera), self.T_map_camera_prior))
        if depth is None:
            return None
        return plan_views(self.camera, self.T_map_camera_prior, self.covariance, depth, self.config), depth

    def _render(self) -> tuple[RenderedView, Features] | None:
        planned = self._plan()
        if planned is None:
            return None
        plan, _ = planned
        view = self.renderer.render(_reduced(plan.camera), plan.poses[0])
        return view, self.matcher.extract(view.image, view.mask)

    def _nadir(self) -> tuple[RenderedView, Features] | None:
        planned = self._plan()
        if planned is None:
            return None
        plan, depth = planned
        view = nadir_view(self.renderer, self.camera, plan, self.T_map_camera_prior, depth)
        return view, self.matcher.extract(view.image, view.mask)


def nadir_view(renderer: Renderer, camera: Camera, plan: ViewPlan, prior: Pose, depth: float) -> RenderedView:
    """An orthophoto of the site with heights, turned to the prior's heading.

    It is centred on the ground at the prior's optical axis, has the frame's ground resolution as far as
    :data:`LARGEST` allows, and reaches as far beyond the frame as our first view does.

    Args:
        renderer: of the site.
        camera: of the frame, pinhole.
        plan: our views.
        prior: camera optical frame in `map`.
        depth: of the ground along the prior's optical axis, metres.
    """
    wide = widened(camera, int(plan.margin[0]), int(plan.margin[1]))
    resolution = depth / camera.fx
    height = min(_HIGHEST, _ABOVE * resolution * max(wide.width, wide.height))
    far = Camera(
        wide.width,
        wide.height,
        height / resolution,
        height / resolution,
        0.5 * (wide.width - 1),
        0.5 * (wide.height - 1),
    )
    centre = prior.transform(np.array([0.0, 0.0, depth]))
    # The picture's upper edge lies where that of the frame does; a camera that looks level shows what is ahead above.
    up = -prior.rotation[:, 1] if abs(prior.rotation[2, 2]) > 0.5 else prior.rotation[:, 2]
    ahead = np.array([up[0], up[1], 0.0]) / max(float(np.hypot(up[0], up[1])), 1e-9)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    rotation = np.column_stack([right, -ahead, [0.0, 0.0, -1.0]])
    return renderer.render(_reduced(far), Pose(rotation, centre + np.array([0.0, 0.0, height])))


def _reduced(camera: Camera) -> Camera:
    longer = max(camera.width, camera.height)
    return camera.resized(round(camera.width * LARGEST / longer)) if longer > LARGEST else camera


def _best(features: Features, most: int) -> Features:
    kept = np.sort(np.argsort(-features.scores, kind="stable")[:most])
    return Features(features.keypoints[kept], features.descriptors[kept], features.scores[kept], features.size)
