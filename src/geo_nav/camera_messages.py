"""Camera messages as images and calibrations, whoever deserialized them: rclpy in a node, rosbags elsewhere."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav import GeoNavError
from geo_nav.rendering import Camera


class MessageError(GeoNavError):
    """A message that cannot be used."""


def camera_from_message(message: Any) -> Camera:
    """The calibration that a sensor_msgs/CameraInfo holds.

    Raises:
        MessageError: the camera is binned or cropped.
        RenderingError: it is not calibrated, or its distortion model is unknown.
    """
    if max(message.binning_x, message.binning_y) > 1 or message.roi.x_offset or message.roi.y_offset:
        raise MessageError(
            "camera_info with binning or a region of interest is not supported: publish the full frame's"
        )
    distortion = tuple(float(d) for d in message.d)
    model = message.distortion_model or "none"
    if not distortion or model == "none":
        model, distortion = "none", ()
    k = message.k
    return Camera(message.width, message.height, float(k[0]), float(k[4]), float(k[2]), float(k[5]), model, distortion)


_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1, "8UC3": 3}
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
}


def image_from_message(message: Any) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB or (H, W) grey of an image message.

    Raises:
        MessageError: the encoding is not supported, or there are fewer bytes than the size says.
    """
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise MessageError(f"image encoding '{message.encoding}' is not supported: use one of {', '.join(_CHANNELS)}")
    data = np.frombuffer(message.data, np.uint8)
    if message.step < message.width * channels or len(data) < message.step * message.height or message.height == 0:
        raise MessageError(
            f"an image of {message.width}x{message.height} {message.encoding}, step {message.step}, "
            f"cannot be made of {len(data)} bytes"
        )
    rows = data[: message.step * message.height].reshape(message.height, message.step)
    pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    if channels == 1:
        return np.ascontiguousarray(pixels[..., 0])
    if message.encoding in _TO_RGB:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), _TO_RGB[message.encoding]), np.uint8)
    return np.ascontiguousarray(pixels)


def compressed_image_from_message(message: Any) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB of a compressed image message.

    Raises:
        MessageError: it cannot be decoded.
    """
    data = np.frombuffer(message.data, np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if len(data) else None
    if pixels is None:
        raise MessageError(f"a compressed image of {len(data)} bytes that cannot be decoded")
    return np.asarray(pixels, np.uint8)
