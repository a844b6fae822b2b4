"""Camera intrinsics and lens distortion, as ROS `CameraInfo` and OpenCV define them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.rendering.errors import RenderingError

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_COEFFICIENTS = {"none": (0,), "plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}


@dataclass(frozen=True)
class Camera:
    """Intrinsics of a camera; axes x right, y down, z forward (REP-103 optical frame).

    The centre of the first pixel is (0, 0), as in OpenCV and ROS; COLMAP's principal point is 0.5 larger.

    Attributes:
        width: pixels.
        height: pixels.
        fx: focal length, pixels.
        fy: focal length, pixels.
        cx: principal point, pixels.
        cy: principal point, pixels.
        distortion_model: ``none``, ``plumb_bob`` (k1 k2 p1 p2 [k3]), ``rational_polynomial`` (8) or
            ``equidistant`` (fisheye, 4), the names of ``sensor_msgs/distortion_models``.
        distortion: its coefficients.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = "none"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.width <= 65535 and 0 < self.height <= 65535):
            raise RenderingError(f"not an image size: {self.width}x{self.height}")
        numbers = np.array([self.fx, self.fy, self.cx, self.cy, *self.distortion])
        if not np.isfinite(numbers).all() or self.fx <= 0 or self.fy <= 0:
            raise RenderingError(
                f"the camera is not calibrated: fx {self.fx}, fy {self.fy}, cx {self.cx}, cy {self.cy}"
            )
        if self.distortion_model not in _COEFFICIENTS:
            raise RenderingError(
                f"unknown distortion model '{self.distortion_model}': use one of {', '.join(_COEFFICIENTS)}"
            )
        if len(self.distortion) not in _COEFFICIENTS[self.distortion_model]:
            raise RenderingError(
                f"'{self.distortion_model}' takes {_COEFFICIENTS[self.distortion_model]} coefficients, "
                f"got {len(self.distortion)}"
            )

    @property
    def matrix(self) -> Array:
        """(3, 3) calibration matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def is_distorted(self) -> bool:
        """Whether any distortion coefficient differs from zero."""
        return self.distortion_model == "equidistant" or any(self.distortion)

    def pinhole(self) -> Camera:
        """The same intrinsics without distortion."""
        return replace(self, distortion_model="none", distortion=())

    def resized(self, width: int) -> Camera:
        """The camera of the same picture resized to ``width`` pixels, aspect kept to the nearest row."""
        height = max(1, round(self.height * width / self.width))
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def project(self, points: npt.ArrayLike) -> Array:
        """Points (N, 3) of the optical frame, m → distorted pixels (N, 2); NaN where behind the camera."""
        p = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        pixels = np.full((len(p), 2), np.nan)
        front = p[:, 2] > 1e-6
        if not front.any():
            return pixels
        if not self.is_distorted:
            q = p[front]
            pixels[front] = q[:, :2] / q[:, 2:] * [self.fx, self.fy] + [self.cx, self.cy]
            return pixels
        zero, coefficients = np.zeros(3), np.array(self.distortion)
        q = p[front].reshape(-1, 1, 3)
        if self.distortion_model == "equidistant":
            projected, _ = cv2.fisheye.projectPoints(q, zero, zero, self.matrix, coefficients)
        else:
            projected, _ = cv2.projectPoints(q, zero, zero, self.matrix, coefficients)
        pixels[front] = projected.reshape(-1, 2)
        return pixels

    def undistort_pixels(self, pixels: npt.ArrayLike) -> Array:
        """Pixels (N, 2) of this camera → pixels (N, 2) of :meth:`pinhole`."""
        p = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
        if not self.is_distorted or len(p) == 0:
            return p.reshape(-1, 2)
        coefficients = np.array(self.distortion)
        # OpenCV's five iterations leave 0.2 pixels with a strong rational model.
        precise = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-9)
        # OpenCV 4 takes the criteria under another name.
        perspective = getattr(cv2, "undistortPointsIter", None) or cv2.undistortPoints
        undistort: Any = cv2.fisheye.undistortPoints if self.distortion_model == "equidistant" else perspective
        out: Array = undistort(p, self.matrix, coefficients, R=None, P=self.matrix, criteria=precise).reshape(-1, 2)
        return out

    def rays(self, pixels: npt.ArrayLike) -> Array:
        """Pixels (N, 2) → directions (N, 3) of the optical frame with z = 1."""
        p = self.undistort_pixels(pixels)
        return np.column_stack([(p[:, 0] - self.cx) / self.fx, (p[:, 1] - self.cy) / self.fy, np.ones(len(p))])

    def check_image(self, image: Image) -> None:
        """Raises:
        RenderingError: the image is not (height, width) or (height, width, 3) uint8 of this camera's size.
        """
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise RenderingError(f"an image is (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}")
        if image.shape[:2] != (self.height, self.width):
            raise RenderingError(
                f"the image is {image.shape[1]}x{image.shape[0]}, the camera's calibration {self.width}x{self.height}"
            )


def finer(camera: Camera, factor: int) -> Camera:
    """The camera of the same picture with ``factor`` times the pixels along both axes."""
    return replace(
        camera,
        width=camera.width * factor,
        height=camera.height * factor,
        fx=camera.fx * factor,
        fy=camera.fy * factor,
        cx=(camera.cx + 0.5) * factor - 0.5,
        cy=(camera.cy + 0.5) * factor - 0.5,
    )


class Undistorter:
    """Resamples the frames of one camera to its pinhole twin, optionally resized; the maps are made once.

    Args:
        camera: of the frames as they come.
        width: of the result in pixels; the frame's own when None.

    Attributes:
        camera: of the frames as they come.
        pinhole: of the result.
        valid: (h, w) bool, False where the result has no source pixel.
    """

    def __init__(self, camera: Camera, width: int | None = None) -> None:
        self.camera = camera
        self.pinhole = camera.pinhole() if width is None else camera.pinhole().resized(width)
        out = self.pinhole
        if not camera.is_distorted:
            self._maps = None
            self.valid = np.ones((out.height, out.width), bool)
            return
        u, v = np.meshgrid(np.arange(out.width, dtype=np.float64), np.arange(out.height, dtype=np.float64))
        source = camera.project(out.rays(np.column_stack([u.ravel(), v.ravel()]))).reshape(out.height, out.width, 2)
        # A wide frame shrunk in one bilinear step aliases: it is first reduced by area, then resampled.
        self._reduced = camera.resized(out.width) if out.width < camera.width else camera
        scale = np.array([self._reduced.width / camera.width, self._reduced.height / camera.height])
        source = ((source + 0.5) * scale - 0.5).astype(np.float32)
        self._maps = cv2.convertMaps(source[..., 0], source[..., 1], cv2.CV_16SC2)
        size = np.array([self._reduced.width - 1, self._reduced.height - 1])
        self.valid = ((source >= 0) & (source <= size)).all(axis=-1)

    def __call__(self, image: Image) -> Image:
        """A frame of ``camera`` → the picture that ``pinhole`` would have taken.

        Raises:
            RenderingError: the frame does not have the camera's size.
        """
        self.camera.check_image(image)
        if self._maps is None:
            if image.shape[:2] == (self.pinhole.height, self.pinhole.width):
                return image
            return _resize(image, self.pinhole)
        if image.shape[:2] != (self._reduced.height, self._reduced.width):
            image = _resize(image, self._reduced)
        return np.asarray(cv2.remap(image, self._maps[0], self._maps[1], cv2.INTER_LINEAR), dtype=np.uint8)


def _resize(image: Image, camera: Camera) -> Image:
    interpolation = cv2.INTER_AREA if camera.width < image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (camera.width, camera.height), interpolation=interpolation), dtype=np.uint8)
