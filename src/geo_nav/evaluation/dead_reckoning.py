"""IMU only: what the vehicle would have believed, had the IMU been all it had since GPS ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.trajectory import TimedPoses

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StartState:
    """Where the integration starts.

    Attributes:
        stamp: seconds.
        position: (3,) of `base_link` in `map`, m.
        quaternion: (4,) x y z w of `base_link` in `map`.
        velocity: (3,) m/s in `map`.
        accelerometer_bias: (3,) m/s².
        gyroscope_bias: (3,) rad/s.
    """

    stamp: float
    position: Array
    quaternion: Array
    velocity: Array
    accelerometer_bias: Array
    gyroscope_bias: Array


def integrate_imu(
    start: StartState,
    stamps: Array,
    acceleration: Array,
    angular_velocity: Array,
    gravity: Array,
    earth_rate: Array | None = None,
) -> TimedPoses:
    """Strapdown integration in a local frame (Titterton & Weston, Strapdown Inertial Navigation Technology, ch. 3).

    Rotation, velocity and position advance with the mean of each interval's two samples; the specific force is turned
    with the attitude in the middle of the interval.

    Args:
        start: state at or after the first sample.
        stamps: (N,) seconds, strictly increasing.
        acceleration: (N, 3) specific force in `base_link`, m/s².
        angular_velocity: (N, 3) in `base_link`, rad/s.
        gravity: (3,) in `map`, m/s²; taken as the same all along the way.
        earth_rate: (3,) rotation of the Earth in `map`, rad/s; not modelled when None.

    Returns:
        the start, and a pose at every sample after it.

    Raises:
        EvaluationError: no finite sample lies before the start, or none after it.
    """
    finite = np.isfinite(acceleration).all(axis=1) & np.isfinite(angular_velocity).all(axis=1)
    t, f, w = stamps[finite], acceleration[finite], angular_velocity[finite]
    if not (len(t) and t[0] <= start.stamp < t[-1]):
        raise EvaluationError(f"no IMU samples around the start of the outage at {start.stamp:.3f} s")
    after = t > start.stamp
    time = np.concatenate([[start.stamp], t[after]])
    force = np.vstack([_at(start.stamp, t, f), f[after]]) - start.accelerometer_bias
    rate = np.vstack([_at(start.stamp, t, w), w[after]]) - start.gyroscope_bias
    dt = np.diff(time)
    earth = np.zeros(3) if earth_rate is None else earth_rate
    mean_force, mean_rate = (force[1:] + force[:-1]) / 2.0, (rate[1:] + rate[:-1]) / 2.0
    halves = Rotation.from_rotvec(mean_rate * dt[:, None] / 2.0).as_matrix()
    R = Rotation.from_quat(start.quaternion).as_matrix()
    v, p = np.array(start.velocity, dtype=np.float64), np.array(start.position, dtype=np.float64)
    turned = Rotation.from_rotvec(-earth * dt[:, None]).as_matrix()
    rotations, positions = [R], [p]
    for k in range(len(dt)):
        middle = R @ halves[k]
        a = middle @ mean_force[k] + gravity - 2.0 * np.cross(earth, v)
        p = p + v * dt[k] + a * (dt[k] ** 2 / 2.0)
        v = v + a * dt[k]
        R = turned[k] @ middle @ halves[k]
        rotations.append(R)
        positions.append(p)
    return TimedPoses(time, np.array(positions), Rotation.from_matrix(np.array(rotations)).as_quat())


def _at(stamp: float, stamps: Array, values: Array) -> Array:
    return np.array([np.interp(stamp, stamps, values[:, k]) for k in range(3)])
