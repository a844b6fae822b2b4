"""What reaches fusion, each with its arrival."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from geo_nav.fusion import Fusion, ImuSample, MotionOrigin, NavState
from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Item:
    """Something that arrives.

    Attributes:
        arrival: true time, s.
        stamp: on the sensors' clock, s.
    """

    arrival: float
    stamp: float


@dataclass(frozen=True, eq=False)
class Imu(Item):
    """An IMU sample; it arrives when it is measured.

    Attributes:
        acceleration: (3,) m/s².
        angular_velocity: (3,) rad/s.
        truth: `base_link` in `map` at the arrival, where the state is to be scored.
    """

    acceleration: Array
    angular_velocity: Array
    truth: Pose | None = None

    def give(self, fusion: Fusion) -> NavState | None:
        """Hand it in."""
        return fusion.add_imu(ImuSample(self.stamp, self.acceleration, self.angular_velocity))


@dataclass(frozen=True, eq=False)
class Registered(Item):
    """An accepted registration.

    Attributes:
        pose: T_map_camera.
        covariance: (6, 6) ROS order.
    """

    pose: Pose
    covariance: Array

    def give(self, fusion: Fusion) -> None:
        """Hand it in."""
        fusion.add_absolute_pose(self.stamp, self.pose, self.covariance)

    def displaced(self, offset: Array) -> Registered:
        """The same at another place; (3,) m."""
        return replace(self, pose=Pose(self.pose.rotation, self.pose.translation + offset))


@dataclass(frozen=True, eq=False)
class Tracked(Item):
    """A tracked frame.

    Attributes:
        reference_stamp: of the registered frame, s.
        motion: the camera at ``stamp`` in the camera at ``reference_stamp``.
        covariance: (6, 6) ROS order.
        origin: what of its error is that of the reference's pose, where that is told.
    """

    reference_stamp: float
    motion: Pose
    covariance: Array
    origin: MotionOrigin | None = None

    def give(self, fusion: Fusion) -> None:
        """Hand it in."""
        fusion.add_relative_pose(self.reference_stamp, self.stamp, self.motion, self.covariance, self.origin)


@dataclass(frozen=True, eq=False)
class Gps(Item):
    """A GPS position.

    Attributes:
        position: (3,) in `map`, m.
        covariance: (3, 3) m².
    """

    position: Array
    covariance: Array

    def give(self, fusion: Fusion) -> None:
        """Hand it in."""
        fusion.add_gps(self.stamp, self.position, self.covariance)


@dataclass(frozen=True, eq=False)
class Ahrs(Item):
    """The autopilot's attitude.

    Attributes:
        rotation: (3, 3) R_map_base.
        covariance: (3, 3) rad².
    """

    rotation: Array
    covariance: Array

    def give(self, fusion: Fusion) -> None:
        """Hand it in where the node would: only before there is a state."""
        if fusion.state() is None:
            fusion.add_attitude(self.stamp, self.rotation, self.covariance)


@dataclass(frozen=True, eq=False)
class Wheels(Item):
    """A wheel speed, m/s."""

    speed: float

    def give(self, fusion: Fusion) -> None:
        """Hand it in."""
        fusion.add_wheel_speed(self.stamp, self.speed)


Delivery = Imu | Registered | Tracked | Gps | Ahrs | Wheels
_T = TypeVar("_T", bound=Delivery)


def clock_shifted(item: _T, seconds: float) -> _T:
    """The same by a clock that is ahead by so many seconds."""
    if isinstance(item, Tracked):
        return replace(item, stamp=item.stamp + seconds, reference_stamp=item.reference_stamp + seconds)
    return replace(item, stamp=item.stamp + seconds)
