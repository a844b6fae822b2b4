"""Where a camera looks, in the words of a pilot: heading, pitch, roll."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy.pose import Pose


def camera_pose(position: npt.ArrayLike, heading: float, pitch: float, roll: float = 0.0) -> Pose:
    """``T_map_camera`` of a camera (optical frame: x right, y down, z forward).

    Args:
        position: (3,) east, north, up, metres.
        heading: of the optical axis, rad clockwise from north; looking straight down, of the picture's upper edge.
        pitch: of the optical axis above the horizon, rad; -pi/2 looks straight down.
        roll: about the optical axis, rad, the picture's right side down.

    Raises:
        GeodesyError: a number is not finite.
    """
    ch, sh, cp, sp = np.cos(heading), np.sin(heading), np.cos(pitch), np.sin(pitch)
    forward = np.array([sh * cp, ch * cp, sp])
    level = np.array([ch, -sh, 0.0])
    down = np.cross(forward, level)
    right = np.cos(roll) * level + np.sin(roll) * down
    return Pose(np.column_stack([right, np.cross(forward, right), forward]), np.asarray(position, dtype=np.float64))
