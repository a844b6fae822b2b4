"""A resected pose and the prior's tilt together: what is known of the place once the vertical is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.linearization import moved

Array = npt.NDArray[np.float64]

_UP = np.array([0.0, 0.0, 1.0])
_TILT = slice(3, 5)
"""Rotation about the horizontal axes, in the ROS order."""


def levelled(T_map_camera: Pose, covariance: Array, prior: Pose, prior_covariance: Array) -> tuple[Pose, Array]:
    """A pose corrected by the tilt of its prior (one step of a Kalman filter).

    Seen from above, a camera that is tilted a little sees nearly what one sees that is shifted a little: over flat
    ground a frame leaves a combination of both open that an inertial sensor, which feels the vertical, does not.
    Nothing else of the prior is used, neither its place nor its heading, which drift. The result is the better
    place, but not independent of the prior: a filter that has an attitude of its own takes the pose as it was.

    Args:
        T_map_camera: pose from the frame alone, z of `map` up.
        covariance: (6, 6) of it, ROS order, m and rad.
        prior: camera in `map` as predicted.
        prior_covariance: (6, 6) of that; only the block of the tilt counts.

    Returns:
        The pose and its covariance.
    """
    # The vertical as the prior has it, in the camera and from there in the map: no heading enters.
    up = T_map_camera.rotation @ (prior.rotation.T @ _UP)
    tilt = np.cross(up, _UP)[:2]
    turn = _heading_turn(prior, T_map_camera)
    noise = turn @ prior_covariance[_TILT, _TILT] @ turn.T
    gain = covariance[:, _TILT] @ np.linalg.inv(covariance[_TILT, _TILT] + noise)
    kept = np.eye(6)
    kept[:, _TILT] -= gain
    after = kept @ covariance @ kept.T + gain @ noise @ gain.T
    return moved(T_map_camera, gain @ tilt), 0.5 * (after + after.T)


def _heading_turn(prior: Pose, pose: Pose) -> Array:
    """(2, 2) rotation about the vertical from the prior to the pose: the tilt's axes go with the vehicle."""
    relative = pose.rotation @ prior.rotation.T
    angle = np.arctan2(relative[1, 0] - relative[0, 1], relative[0, 0] + relative[1, 1])
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
