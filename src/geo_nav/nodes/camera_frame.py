"""A camera frame as the nodes hand it on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time

from geo_nav.rendering import Camera


@dataclass(frozen=True, eq=False)
class Frame:
    """A camera frame with its message's stamp and frame."""

    image: npt.NDArray[np.uint8]
    camera: Camera
    stamp: Time
    frame_id: str
