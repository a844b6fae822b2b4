"""The chain of hloc (Sarlin et al., CVPR 2019) on a render: LightGlue, then pycolmap's absolute pose.

hloc localises a query by matches to images with known 3D points and
``pycolmap.estimate_and_refine_absolute_pose`` with a RANSAC threshold of 12 pixels. Here the one image is the render
at the prior, and its depth gives the points.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from geo_nav.evaluation.bench.comparisons.request import Answer, Request
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.geodesy import Pose
from geo_nav.registration.frames import Stopwatch

_CONFIDENCE = 0.1
_FEATURES = 2048
_THRESHOLD = 12.0
_LEAST_MATCHES = 4


class HlocChain:
    """LightGlue to the render at the prior, LO-RANSAC and refinement of pycolmap.

    Raises:
        EvaluationError: pycolmap is not installed.
    """

    name = "hloc_chain"
    description = "LightGlue to the render at the prior, pycolmap's LO-RANSAC (12 px) and refinement, no gate"

    def __init__(self) -> None:
        if importlib.util.find_spec("pycolmap") is None:
            raise EvaluationError("the hloc-like chain needs pycolmap: pip install 'geo_nav[bench]'")
        self._pycolmap: Any = importlib.import_module("pycolmap")

    def locate(self, request: Request) -> Answer:
        """See :class:`~geo_nav.evaluation.bench.comparisons.request.Method`."""
        watch = request.stopwatch()
        pose = self._pose(request, watch)
        return Answer(pose, True, sum(watch.milliseconds.values()))

    def _pose(self, request: Request, watch: Stopwatch) -> Pose | None:
        made = request.render(watch)
        if made is None:
            return None
        view, features = made
        matches = request.match(features, _FEATURES, _CONFIDENCE, watch)
        with watch("resect"):
            points, lifted = view.lift(matches.reference)
            if lifted.sum() < _LEAST_MATCHES:
                return None
            points, pixels = points[lifted], matches.query[lifted].astype(np.float64)
            middle = points.mean(axis=0)
            camera = request.camera
            # COLMAP's first pixel has its centre at 0.5.
            intrinsics = [camera.fx, camera.fy, camera.cx + 0.5, camera.cy + 0.5]
            model = self._pycolmap.Camera(model="PINHOLE", width=camera.width, height=camera.height, params=intrinsics)
            options = self._pycolmap.AbsolutePoseEstimationOptions()
            options.ransac.max_error = _THRESHOLD
            options.ransac.random_seed = 0
            found = self._pycolmap.estimate_and_refine_absolute_pose(pixels + 0.5, points - middle, model, options)
        if found is None:
            return None
        rigid = np.asarray(found["cam_from_world"].matrix())
        if not np.isfinite(rigid).all():
            return None
        T_middle_camera = Pose(rigid[:, :3], rigid[:, 3]).inverse()
        return Pose(T_middle_camera.rotation, T_middle_camera.translation + middle)
