"""A camera's attitude as drones report it: heading, pitch, roll of the gimbal."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from geo_nav.registration.errors import RegistrationError

Array = npt.NDArray[np.float64]

_VERTICAL = 1e-4
"""Cosine of the pitch below which the camera looks straight down or up, and heading and roll are one angle."""


def rotation_from_gimbal(heading: float, pitch: float, roll: float) -> Array:
    """(3, 3) camera optical frame in `map` (ENU).

    Args:
        heading: of the optical axis, rad clockwise from north; straight down, of the picture's upper edge.
        pitch: rad; 0 looks at the horizon, -π/2 straight down.
        roll: about the optical axis, rad; positive lowers the right side of the camera.

    Raises:
        RegistrationError: an angle is not finite, or the pitch exceeds ± π/2.
    """
    if not all(map(math.isfinite, (heading, pitch, roll))) or abs(pitch) > math.pi / 2 + 1e-6:
        raise RegistrationError(
            f"not an attitude: heading {math.degrees(heading):.2f}°, pitch {math.degrees(pitch):.2f}° "
            f"(-90 looks straight down), roll {math.degrees(roll):.2f}°"
        )
    forward = np.array([math.sin(heading) * math.cos(pitch), math.cos(heading) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.cos(heading), -math.sin(heading), 0.0])
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    return np.column_stack([c * right + s * down, c * down - s * right, forward])


def gimbal_from_rotation(rotation: Array) -> tuple[float, float, float]:
    """The inverse of :func:`rotation_from_gimbal`: heading in [0, 2π), pitch, roll; roll is 0 straight down."""
    right, down, forward = rotation[:, 0], rotation[:, 1], rotation[:, 2]
    pitch = math.asin(float(np.clip(forward[2], -1.0, 1.0)))
    if math.hypot(forward[0], forward[1]) < _VERTICAL:
        heading, roll = math.atan2(-right[1], right[0]), 0.0
    else:
        heading = math.atan2(forward[0], forward[1])
        roll = math.atan2(-right[2], -down[2])
    return heading % (2.0 * math.pi), pitch, roll
