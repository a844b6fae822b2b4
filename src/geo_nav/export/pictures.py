"""Camera frames and tie points of a run, read from its bags, as an undistorted camera would have seen them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.camera_messages import (
    MessageError,
    camera_from_message,
    compressed_image_from_message,
    image_from_message,
)
from geo_nav.evaluation.bag_input import BagInput, open_bag
from geo_nav.evaluation.topics import choose_topics
from geo_nav.rendering import Camera, RenderingError, Undistorter

Array = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

TIE_POINTS = "/geo_nav/tie_points"
_ROLES = ("image", "camera_info")
_QUALITY = [int(cv2.IMWRITE_JPEG_QUALITY), 80]
_TOLERANCE = 1e-3
"""Two stamps nearer than this are the same frame, s."""


@dataclass(frozen=True, eq=False)
class FramePicture:
    """A camera frame.

    Attributes:
        stamp: of the exposure, seconds.
        camera: the pinhole camera that would have taken it.
        jpeg: the picture.
    """

    stamp: float
    camera: Camera
    jpeg: bytes


@dataclass(frozen=True, eq=False)
class FrameTiePoints:
    """The tie points of a registered frame.

    Attributes:
        stamp: of the exposure, seconds.
        camera: the pinhole camera that the pixels are of, that of the frame's picture.
        pixels: (N, 2).
        points: (N, 3) m in `map`.
    """

    stamp: float
    camera: Camera
    pixels: Array
    points: Array


def frame_contents(
    bags: Sequence[Path], told: Mapping[str, str], stamps: Array, width: int, images: bool, notes: list[str]
) -> Iterator[FramePicture | FrameTiePoints]:
    """What the bags hold of the frames of some stamps, in the order of arrival.

    Args:
        bags: the run's own and those that went in.
        told: topic of a role, where `run.json` names it; else it is guessed.
        stamps: (N,) seconds, increasing.
        width: of the pictures, pixels; no picture is made larger.
        images: whether pictures are wanted.
        notes: what cannot be used is told here.

    Raises:
        EvaluationError: a bag cannot be read.
    """
    with open_bag(bags) as bag:
        known = {role: topic for role, topic in told.items() if role in _ROLES and topic in bag.topics}
        topics = choose_topics(bag.topics, known).topics
        undistorter = _undistorter(bag, topics.get("camera_info"), width, notes)
        pinhole = None if undistorter is None else undistorter.pinhole
        shown = images and undistorter is not None and "image" in topics
        wanted = [TIE_POINTS, *([topics["image"]] if shown else [])]
        skipped: Counter[str] = Counter()
        for topic, _, message in bag.decoded(wanted):
            stamp = _seconds(message.header.stamp)
            if not _is_among(stamp, stamps):
                continue
            try:
                if topic == TIE_POINTS:
                    if _seconds(message.reference_stamp) == stamp:
                        yield _tie_points(stamp, message, pinhole)
                elif undistorter is not None:
                    yield _frame_picture(stamp, message, undistorter)
            except (MessageError, RenderingError) as error:
                skipped[f"on {topic} are not shown: {error}"] += 1
        notes.extend(bag.problems)
        notes.extend(f"{count} message(s) {reason}" for reason, count in skipped.items())


def _seconds(stamp: Any) -> float:
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def _is_among(stamp: float, stamps: Array) -> bool:
    return len(stamps) > 0 and bool(np.abs(stamps - stamp).min() <= _TOLERANCE)


def _undistorter(bag: BagInput, topic: str | None, width: int, notes: list[str]) -> Undistorter | None:
    """Of the first calibration that the bag holds; None, and a note, where there is none that can be used."""
    if topic is None:
        return None
    for _, _, message in bag.decoded([topic]):
        try:
            camera = camera_from_message(message)
        except (MessageError, RenderingError) as error:
            notes.append(f"camera frames are not shown: {topic}: {error}")
            return None
        return Undistorter(camera, min(width, camera.width))
    return None


def _frame_picture(stamp: float, message: Any, undistorter: Undistorter) -> FramePicture:
    jpeg = cv2.imencode(".jpg", undistorter(_picture(message)), _QUALITY)[1].tobytes()
    return FramePicture(stamp, undistorter.pinhole, jpeg)


def _picture(message: Any) -> Picture:
    """(H, W, 3) blue, green, red, of an Image or a CompressedImage.

    Raises:
        MessageError: it cannot be decoded.
    """
    image = image_from_message(message) if hasattr(message, "encoding") else compressed_image_from_message(message)
    conversion = cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def _tie_points(stamp: float, message: Any, camera: Camera | None) -> FrameTiePoints:
    """The tie points in a camera's picture; in that of their own intrinsics where it is None."""
    fx, fy, cx, cy = (float(value) for value in message.intrinsics)
    own = Camera(round(2.0 * cx) + 1, round(2.0 * cy) + 1, fx, fy, cx, cy)
    camera = camera or own
    pixels = np.column_stack([message.u, message.v]).astype(np.float64)
    rays = (pixels - [cx, cy]) / [fx, fy]
    points = np.array([(p.x, p.y, p.z) for p in message.points], dtype=np.float64).reshape(-1, 3)
    return FrameTiePoints(stamp, camera, rays * [camera.fx, camera.fy] + [camera.cx, camera.cy], points)
