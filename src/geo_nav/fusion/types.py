"""The state that fusion estimates, and the words for how well it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]


class NavigationState(IntEnum):
    """The state machine of DESIGN.md §5; the numbers are those of `NavigationStatus.msg`."""

    INITIALIZING = 0
    TRACKING = 1
    COASTING = 2
    LOST = 3
    RELOCALIZING = 4


@dataclass(frozen=True, eq=False)
class ImuSample:
    """One IMU sample in the body frame (`base_link`, x forward, y left, z up).

    Attributes:
        stamp: seconds.
        acceleration: (3,) specific force, m/s².
        angular_velocity: (3,) rad/s.
    """

    stamp: float
    acceleration: Array
    angular_velocity: Array


@dataclass(frozen=True, eq=False)
class MotionOrigin:
    """The pose that the points of a tracked motion were anchored by: an error of it is in the motion, too.

    Attributes:
        T_map_camera: `camera_optical` in `map` at the reference's stamp, registered or predicted.
        covariance: (6, 6) of that, ROS order, m and rad.
        by_pose: (6, 6) the motion's error by that pose's, both estimate less truth in ROS order about the axes of the
            reference camera.
        noise: (6, 6) covariance of the motion where that pose is right, in the same order and axes, m and rad.
    """

    T_map_camera: Pose
    covariance: Array
    by_pose: Array
    noise: Array


@dataclass(frozen=True, eq=False)
class NavState:
    """Pose, velocity and biases at one instant.

    Attributes:
        stamp: seconds.
        T_map_base: `base_link` in `map`.
        velocity: (3,) m/s in `map`.
        angular_velocity: (3,) rad/s in `base_link`, bias removed.
        accelerometer_bias: (3,) m/s².
        gyroscope_bias: (3,) rad/s.
        pose_covariance: (6, 6) ROS order, m and rad.
        velocity_covariance: (3, 3) in `map`, (m/s)².
        T_map_odom: the correction; ``T_map_base = T_map_odom @ T_odom_base`` and T_odom_base never jumps.
    """

    stamp: float
    T_map_base: Pose
    velocity: Array
    angular_velocity: Array
    accelerometer_bias: Array
    gyroscope_bias: Array
    pose_covariance: Array
    velocity_covariance: Array
    T_map_odom: Pose
