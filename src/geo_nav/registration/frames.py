"""A camera frame made ready to be matched, and the checks that it must pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.matching import Features
from geo_nav.registration.errors import RegistrationError
from geo_nav.rendering import Camera, Undistorter

Array = npt.NDArray[np.float64]


@dataclass
class Stopwatch:
    """Milliseconds of each stage, summed over the passes."""

    milliseconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Adds the time spent inside to a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            spent = (perf_counter() - start) * 1e3
            self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + spent


@dataclass(frozen=True, eq=False)
class Frame:
    """An undistorted frame at working width with its features, extracted once.

    Attributes:
        image: (H, W) or (H, W, 3) uint8.
        camera: its pinhole camera.
        features: of the image.
        usable: (H, W) False where the masks let nothing be matched.
    """

    image: npt.NDArray[np.uint8]
    camera: Camera
    features: Features
    usable: npt.NDArray[np.bool_]


class FrameReader:
    """Undistorts and reduces frames; keeps the maps of the cameras it has seen last."""

    _KEPT = 4

    def __init__(self) -> None:
        self._undistorters: dict[tuple[Camera, int], Undistorter] = {}

    def undistorter(self, camera: Camera, width: int) -> Undistorter:
        """The one of this camera and width."""
        key = (camera, width)
        if key not in self._undistorters:
            while len(self._undistorters) >= self._KEPT:
                self._undistorters.pop(next(iter(self._undistorters)))
            self._undistorters[key] = Undistorter(camera, None if width == camera.width else width)
        return self._undistorters[key]


def check_contrast(image: npt.NDArray[np.uint8], least: float) -> None:
    """Raises:
    RegistrationError: the frame is blank (lens cap, fog, over-exposure).
    """
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    contrast = float(np.std(small.astype(np.float64).reshape(64 * 64, -1).mean(axis=1)))
    if contrast < least:
        raise RegistrationError(f"the frame is blank: its grey levels vary by {contrast:.1f}, {least:.1f} are needed")


def check_prior(prior: Pose, covariance: npt.ArrayLike) -> Array:
    """The prior's covariance as (6, 6) float64, symmetric.

    Raises:
        RegistrationError: it is not a covariance.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (6, 6):
        raise RegistrationError(f"the prior's covariance must be (6, 6), got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise RegistrationError("the prior's covariance is not finite")
    if not np.allclose(matrix, matrix.T, rtol=1e-4, atol=1e-9):
        raise RegistrationError("the prior's covariance is not symmetric")
    symmetric: Array = 0.5 * (matrix + matrix.T)
    least = float(np.linalg.eigvalsh(symmetric)[0])
    if least < -1e-9 * max(1.0, float(np.trace(symmetric))):
        raise RegistrationError(f"the prior's covariance is not positive: its least eigenvalue is {least:.3g}")
    return symmetric
