"""One pass of fine alignment: a rendered view and a frame → matches → points → pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.matching import Features, Matcher, Matches
from geo_nav.registration.config import RegistrationConfig
from geo_nav.registration.frames import Frame, Stopwatch
from geo_nav.registration.linearization import point_jacobian, project
from geo_nav.registration.loss import CONSIDERED, sharpness
from geo_nav.registration.resection import Resection, refine, resect
from geo_nav.registration.significance import independent_matches, log10_false_alarms, structure_size
from geo_nav.rendering import Camera, RenderedView, Renderer
from geo_nav.site import ModelError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """A rendered view with its features.

    Attributes:
        view: image and depth.
        features: of the image, where the model is.
        margin: (2,) pixels by which the frame's first pixel lies inside the view.
        coverage: share of the frame's own part of the view that shows the model.
    """

    view: RenderedView
    features: Features
    margin: npt.NDArray[np.int64]
    coverage: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """What one pass found.

    Attributes:
        reference: the view it was matched against.
        pixels: (N, 2) undistorted pixels of the frame, of the matches that could be lifted.
        points: (N, 3) in `map`, metres.
        tolerance: (N,) residual within which each match agrees, pixels.
        log10_false_alarms: see :func:`~geo_nav.registration.significance.log10_false_alarms`; 0 without a pose.
        log10_tried: log10 of the number of places among which the view was chosen by other means than these matches.
        resection: None where no pose is agreed on.
        support: see :class:`~geo_nav.matching.Matches`.
        coarse: the same.
    """

    reference: Reference
    pixels: Array
    points: Array
    tolerance: Array
    log10_false_alarms: float
    resection: Resection | None
    support: float
    coarse: bool
    log10_tried: float = 0.0

    @property
    def inliers(self) -> int:
        """Number of matches that agree with the pose."""
        return 0 if self.resection is None else int(self.resection.inliers.sum())

    @property
    def sharpness(self) -> float:
        """How sharply the matches agree on the pose, see :func:`~geo_nav.registration.loss.sharpness`."""
        if self.resection is None:
            return 0.0
        residuals = self.resection.residuals / self.tolerance[:, None]
        return sharpness(residuals[(residuals**2).sum(axis=1) < CONSIDERED**2])

    def shift(self, camera: Camera) -> float:
        """Median distance by which the pose moves the inliers from where the view showed them, pixels."""
        if self.resection is None:
            return float("nan")
        points = self.points[self.resection.inliers]
        before = project(camera, self.reference.view.T_map_camera, points)
        after = project(camera, self.resection.T_map_camera, points)
        return float(np.nanmedian(np.linalg.norm(after - before, axis=1)))


def render_reference(
    renderer: Renderer,
    matcher: Matcher,
    camera: Camera,
    margin: npt.NDArray[np.int64],
    pose: Pose,
    watch: Stopwatch,
) -> Reference:
    """A view of the site and its features.

    Args:
        renderer: of the site.
        matcher: whose features are extracted.
        camera: of the view; the frame's, widened by ``margin``.
        margin: (2,) pixels.
        pose: camera optical frame in `map`.
        watch: gets the time of ``render`` and ``extract``.
    """
    with watch("render"):
        view = renderer.render(camera, pose)
    mask = view.mask
    mx, my = int(margin[0]), int(margin[1])
    coverage = float(mask[my : camera.height - my, mx : camera.width - mx].mean())
    with watch("extract"):
        features = matcher.extract(view.image, mask)
    return Reference(view, features, margin, coverage)


def align(
    frame: Frame,
    reference: Reference,
    matcher: Matcher,
    radius: float | None,
    site_error: ModelError,
    config: RegistrationConfig,
    watch: Stopwatch,
) -> Alignment:
    """Matches a frame against a view and resects its pose.

    Args:
        frame: with features.
        reference: a view that may show the same ground.
        matcher: of both's features.
        radius: how far from its pixel in the view a match may lie, pixels; None anywhere.
        site_error: of the site model.
        config: of registration.
        watch: gets the time of ``match`` and ``resect``.
    """
    camera = frame.camera
    with watch("match"):
        matches = matcher.match(_embedded(frame.features, reference), reference.features, radius)
    with watch("resect"):
        points, lifted = reference.view.lift(matches.reference)
        pixels = (matches.query - reference.margin).astype(np.float64)[lifted]
        points = points[lifted]
        view = reference.view
        tolerance = tolerances(view.camera, view.T_map_camera, points, site_error, config)
        resection = resect(pixels, points, camera, tolerance, config.ransac_iterations, config.seed)
        if resection is not None:
            # A pose far from the view sees the points from another distance.
            tolerance = tolerances(camera, resection.T_map_camera, points, site_error, config)
            resection = refine(pixels, points, camera, resection.T_map_camera, tolerance)
        log_alarms = 0.0
        if resection is not None:
            log_alarms = _chance(camera, pixels, resection.residuals, tolerance, radius, matches)
    return Alignment(reference, pixels, points, tolerance, log_alarms, resection, matches.support, matches.coarse)


def tolerances(
    camera: Camera, T_map_camera: Pose, points: Array, site_error: ModelError, config: RegistrationConfig
) -> Array:
    """(N,) residual within which each match agrees, pixels: of the matcher's error, and the model's as seen there.

    The nearer a point, the more pixels an error of the model moves it by: along a street by fifty beside the car and
    by one at the street's end. A tolerance for all would let the far ones agree with anything.
    """
    jacobian = point_jacobian(camera, T_map_camera, points)
    model = (jacobian**2 * site_error.sigma**2).sum(axis=(1, 2)) / 2.0
    # NaN behind the camera, where the residual is NaN too.
    return np.asarray(config.inlier_sigmas * np.sqrt(config.pixel_sigma**2 + np.nan_to_num(model)), np.float64)


def _embedded(features: Features, reference: Reference) -> Features:
    """The frame's features on the larger picture plane of the view, so that pixels compare."""
    camera = reference.view.camera
    keypoints = (features.keypoints + reference.margin).astype(np.float32)
    return replace(features, keypoints=keypoints, size=(camera.width, camera.height))


def _chance(
    camera: Camera, pixels: Array, residuals: Array, tolerance: Array, radius: float | None, matches: Matches
) -> float:
    distance = np.nan_to_num(np.linalg.norm(residuals, axis=1), nan=np.inf) / tolerance
    chosen, independent = independent_matches(pixels, distance, structure_size(camera.width, matches.support))
    reach = min(matches.reach, np.inf if radius is None else radius)
    region = min(float(camera.width * camera.height), np.pi * reach**2)
    return log10_false_alarms(independent <= 1.0, np.pi * tolerance[chosen] ** 2 / region)
