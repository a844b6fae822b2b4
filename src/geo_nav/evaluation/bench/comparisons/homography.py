"""A homography from the frame to the orthophoto, as wildnav does (Gurgu et al., MCSoC 2022, github.com/TIERS/wildnav).

wildnav matches SuperPoint features with SuperGlue (confidence 0.5), fits a homography by RANSAC (5 pixels) to four or
more matches, and takes the centre of the frame's warped outline for the vehicle's place. Here the features are those
that may be had (see :mod:`~geo_nav.evaluation.bench.comparisons.request`), the orthophoto is cut out about the prior
and turned to its heading (wildnav tries all tiles of its map at one rotation), and the height is the prior's.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.bench.comparisons.request import Answer, Request
from geo_nav.geodesy import Pose
from geo_nav.registration.frames import Stopwatch

Array = npt.NDArray[np.float64]

_CONFIDENCE = 0.5
_THRESHOLD = 5.0
_LEAST_MATCHES = 4
_FEATURES = 2048


class Homography:
    """The place of the frame's centre in the orthophoto.

    Args:
        plumb: take the pixel that the prior's attitude puts straight below the camera in place of the centre, which
            is wildnav's only where the camera looks straight down.
    """

    def __init__(self, plumb: bool) -> None:
        self._plumb = plumb
        self.name = "homography_plumb" if plumb else "homography"
        self.description = (
            "homography to the orthophoto, RANSAC 5 px, "
            + ("the place straight below by the prior's attitude" if plumb else "the frame's centre (wildnav)")
            + ", height of the prior"
        )

    def locate(self, request: Request) -> Answer:
        """See :class:`~geo_nav.evaluation.bench.comparisons.request.Method`."""
        watch = request.stopwatch()
        position = self._position(request, watch)
        pose = None if position is None else Pose(request.T_map_camera_prior.rotation, position)
        return Answer(pose, False, sum(watch.milliseconds.values()))

    def _position(self, request: Request, watch: Stopwatch) -> Array | None:
        made = request.nadir(watch)
        if made is None:
            return None
        view, features = made
        matches = request.match(features, _FEATURES, _CONFIDENCE, watch)
        if len(matches) < _LEAST_MATCHES:
            return None
        with watch("resect"):
            found, _ = cv2.findHomography(matches.query, matches.reference, cv2.RANSAC, _THRESHOLD)
            if found is None:
                return None
            pixel = self._below(request) if self._plumb else _outline_centre(request, found)
            if pixel is None:
                return None
            if self._plumb:
                pixel = _warped(found, pixel[None])[0]
        # From so far above, where the ray through a pixel meets the ground hardly depends on the ground's height.
        depth = float(np.median(view.depth[view.mask]))
        place = view.T_map_camera.transform(view.camera.rays(pixel[None])[0] * depth)
        if not np.isfinite(place).all():
            return None
        return np.array([place[0], place[1], request.T_map_camera_prior.translation[2]])

    @staticmethod
    def _below(request: Request) -> Array | None:
        """The pixel straight below the camera by the prior's attitude; None where the camera looks up."""
        down = request.T_map_camera_prior.rotation.T @ np.array([0.0, 0.0, -1.0])
        if down[2] <= 1e-3:
            return None
        return np.asarray((request.camera.matrix @ (down / down[2]))[:2], dtype=np.float64)


def _outline_centre(request: Request, homography: Array) -> Array | None:
    """Centroid of the warped outline of the frame."""
    w, h = request.camera.width - 1.0, request.camera.height - 1.0
    moments = cv2.moments(_warped(homography, np.array([[0, 0], [0, h], [w, h], [w, 0]])).astype(np.float32))
    if abs(moments["m00"]) < 1e-9:
        return None
    return np.array([moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]])


def _warped(homography: Array, pixels: Array) -> Array:
    out: Array = cv2.perspectiveTransform(pixels.reshape(-1, 1, 2).astype(np.float64), homography).reshape(-1, 2)
    return out
