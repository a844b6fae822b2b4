"""PnP against the orthophoto and its heights, as GISNav solves it (github.com/hmakelin/gisnav, August 2024).

GISNav crops an orthophoto to the frame's size, turned to its heading, matches with LightGlue (confidence 0.5; 1024
features on a CPU), gives each match the DEM's height, and calls ``cv2.solvePnPRansac`` with ``iterationsCount=10``, no
guess and the defaults otherwise, where there are 15 matches or more. Nothing refines or gates the pose. Its SIFT
weights of LightGlue cannot be had offline: the features are those that can. Its heights are whole metres in 8 bits;
here they are exact, and the crop is larger by the prior's error.
"""

from __future__ import annotations

import cv2
import numpy as np

from geo_nav.evaluation.bench.comparisons.request import Answer, Request
from geo_nav.geodesy import Pose
from geo_nav.registration.frames import Stopwatch

_CONFIDENCE = 0.5
_LEAST_MATCHES = 15
_FEATURES = 1024
_ITERATIONS = 10


class GisNav:
    """`cv2.solvePnPRansac` with ten iterations."""

    name = "gisnav"
    description = "LightGlue to the orthophoto, DEM heights, solvePnPRansac of 10 iterations, no refinement, no gate"

    def locate(self, request: Request) -> Answer:
        """See :class:`~geo_nav.evaluation.bench.comparisons.request.Method`."""
        watch = request.stopwatch()
        pose = self._pose(request, watch)
        return Answer(pose, True, sum(watch.milliseconds.values()))

    @staticmethod
    def _pose(request: Request, watch: Stopwatch) -> Pose | None:
        made = request.nadir(watch)
        if made is None:
            return None
        view, features = made
        matches = request.match(features, _FEATURES, _CONFIDENCE, watch)
        with watch("resect"):
            # A DEM has a height at a step's edge too: all that lies on the model is lifted.
            points, lifted = view.lift(matches.reference, max_relative_step=np.inf)
            if lifted.sum() < _LEAST_MATCHES:
                return None
            # About their middle, as GISNav's coordinates are the crop's: kilometres would cost its float32 centimetres.
            points, pixels = points[lifted], np.ascontiguousarray(matches.query[lifted], np.float64)
            middle = points.mean(axis=0)
            cv2.setRNGSeed(0)
            try:
                found, rotation, translation, _ = cv2.solvePnPRansac(
                    points - middle,
                    pixels,
                    request.camera.matrix,
                    np.zeros((4, 1)),
                    useExtrinsicGuess=False,
                    iterationsCount=_ITERATIONS,
                )
            except cv2.error:
                return None
        if not found or not (np.isfinite(rotation).all() and np.isfinite(translation).all()):
            return None
        T_middle_camera = Pose.from_rotation_vector(rotation.ravel(), translation.ravel()).inverse()
        return Pose(T_middle_camera.rotation, T_middle_camera.translation + middle)
