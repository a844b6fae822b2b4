"""A camera pose as people write it: numbers on a command line or JSON, geodetic or local."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from geo_nav.geodesy import GeodesyError, LocalFrame, Pose
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.gimbal import gimbal_from_rotation, rotation_from_gimbal

_HELP = (
    "give 'east,north,up,heading,pitch,roll' (m in the site's frame, degrees), or JSON (text or file) with "
    "east, north, up or latitude, longitude, height, and heading, pitch, roll or quaternion (x y z w)"
)


def parse_pose(text: str, frame: LocalFrame) -> Pose:
    """A pose of the camera's optical frame in `map`.

    Either six numbers ``east,north,up,heading,pitch,roll``: metres in the site's local frame; degrees, heading
    clockwise from north, pitch 0 to the horizon and -90 straight down, roll, as a gimbal reports them. Or JSON, or
    the name of a file that holds it, with ``east``, ``north``, ``up`` or ``latitude``, ``longitude`` (degrees),
    ``height`` (m above the WGS84 ellipsoid), and ``heading``, ``pitch``, ``roll`` or ``quaternion`` (x y z w, the
    optical frame in ENU). What :func:`describe_pose` writes can be read.

    Args:
        text: one of these.
        frame: of the site.

    Raises:
        RegistrationError: it is none of these.
    """
    stripped = text.strip()
    try:
        if stripped.startswith("{"):
            content = json.loads(stripped)
        elif stripped.count(",") == 5:
            names = ("east", "north", "up", "heading", "pitch", "roll")
            content = dict(zip(names, (float(part) for part in stripped.split(",")), strict=True))
        else:
            content = json.loads(Path(stripped).read_text(encoding="utf-8"))
        if isinstance(content, dict) and isinstance(content.get("pose"), dict):
            content = content["pose"]
        return _pose(content, frame)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RegistrationError(f"the pose '{text}' cannot be read ({error!r}): {_HELP}") from error
    except GeodesyError as error:
        raise RegistrationError(f"the pose '{text}' cannot be used: {error}") from error


def describe_pose(T_map_camera: Pose, frame: LocalFrame) -> dict[str, Any]:
    """A pose for JSON: local and geodetic position, gimbal angles in degrees, quaternion x y z w."""
    east, north, up = (float(v) for v in T_map_camera.translation)
    latitude, longitude, height = (float(v) for v in frame.to_geodetic(T_map_camera.translation))
    heading, pitch, roll = (math.degrees(a) for a in gimbal_from_rotation(T_map_camera.rotation))
    return {
        "east": east,
        "north": north,
        "up": up,
        "latitude": latitude,
        "longitude": longitude,
        "height": height,
        "heading": heading,
        "pitch": pitch,
        "roll": roll,
        "quaternion": [float(v) for v in T_map_camera.quaternion],
    }


def _pose(content: dict[str, Any], frame: LocalFrame) -> Pose:
    if "east" in content:
        position = np.array([float(content[k]) for k in ("east", "north", "up")])
    else:
        position = frame.from_geodetic(*(float(content[k]) for k in ("latitude", "longitude", "height")))
    if "quaternion" in content:
        return Pose.from_quaternion([float(v) for v in content["quaternion"]], position)
    heading, pitch, roll = (math.radians(float(content[k])) for k in ("heading", "pitch", "roll"))
    return Pose(rotation_from_gimbal(heading, pitch, roll), position)
