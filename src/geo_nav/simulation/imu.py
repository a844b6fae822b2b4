"""The inertial measurement unit: what a small MEMS sensor makes of a motion.

Noise and bias figures are those of the class of the Bosch BMI088 and TDK ICM-42688-P (data sheets: 0.014 and
0.0028 °/s/√Hz, 175 and 70 µg/√Hz, bias instability about 2 °/h and 40 µg), as found in flight controllers. The
error model is that of IEEE Std 952 and of Woodman, *An introduction to inertial navigation* (2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from geo_nav.fusion.types import ImuSample
from geo_nav.geodesy import LocalFrame, normal_gravity
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.trajectory import Motion, Trajectory

Array = npt.NDArray[np.float64]

EARTH_RATE = 7.292115e-5
"""Rotation of the earth, rad/s (WGS84)."""
_EARTH_RADIUS = 6_371_000.0
_INSTABILITY_TIME = 200.0
_ACCELEROMETER_STEP = 9.80665 * 24.0 / 32768.0
_GYROSCOPE_STEP = np.radians(1000.0) / 32768.0


@dataclass(frozen=True, eq=False)
class ImuRecord:
    """The samples of a whole flight.

    Attributes:
        times: (N,) s.
        acceleration: (N, 3) specific force in `base_link`, m/s².
        angular_velocity: (N, 3) in `base_link`, rad/s.
        accelerometer_bias: (N, 3) the true bias in it, m/s².
        gyroscope_bias: (N, 3) the true bias in it, rad/s.
    """

    times: Array
    acceleration: Array
    angular_velocity: Array
    accelerometer_bias: Array
    gyroscope_bias: Array

    def __len__(self) -> int:
        return len(self.times)

    def sample(self, k: int) -> ImuSample:
        """Sample number ``k``."""
        return ImuSample(float(self.times[k]), self.acceleration[k], self.angular_velocity[k])


def ideal_imu(motion: Motion, frame: LocalFrame) -> tuple[Array, Array]:
    """What a perfect IMU feels.

    The local frame turns with the earth, so the gyroscope sees the earth's rate and the accelerometer the Coriolis
    term; gravity points along the local vertical, which tilts by one part in 6371 of the distance to the datum.

    Args:
        motion: N instants.
        frame: of `map`.

    Returns:
        specific force (N, 3) m/s² and angular velocity relative to inertial space (N, 3) rad/s, in `base_link`.
    """
    latitude = np.radians(frame.latitude)
    earth = EARTH_RATE * np.array([0.0, np.cos(latitude), np.sin(latitude)])
    east, north, up = motion.position.T
    vertical = np.column_stack([east / _EARTH_RADIUS, north / _EARTH_RADIUS, np.ones_like(up)])
    vertical /= np.linalg.norm(vertical, axis=1, keepdims=True)
    place = frame.latitude + np.degrees(north / _EARTH_RADIUS)
    gravity = normal_gravity(place, frame.height + up)
    force = motion.acceleration + 2.0 * np.cross(earth, motion.velocity) + gravity[:, None] * vertical
    specific = np.einsum("nij,ni->nj", motion.rotation, force)
    rate = motion.angular_velocity + np.einsum("nij,i->nj", motion.rotation, earth)
    return specific, rate


def synthesise_imu(
    trajectory: Trajectory, frame: LocalFrame, config: SimulationConfig, rng: np.random.Generator
) -> ImuRecord:
    """The samples of a MEMS IMU carried along a trajectory, from its start to its end at ``config.imu_rate``.

    Args:
        trajectory: of `base_link`; see :class:`~geo_nav.simulation.PoseSpline` for one through known poses.
        frame: of `map`.
        config: rates and sensor errors.
        rng: source of randomness.

    Raises:
        SimulationError: the trajectory is shorter than two samples.
    """
    count = int(np.floor((trajectory.end - trajectory.start) * config.imu_rate + 1e-9)) + 1
    if count < 2:
        raise SimulationError(f"a trajectory of {trajectory.end - trajectory.start:.3f} s holds no two IMU samples")
    times = trajectory.start + np.arange(count) / config.imu_rate
    force, rate = ideal_imu(trajectory.motion(times), frame)
    return corrupt_imu(times, force, rate, config, rng)


def corrupt_imu(
    times: Array, force: Array, rate: Array, config: SimulationConfig, rng: np.random.Generator
) -> ImuRecord:
    """Adds the errors of the sensor to ideal samples (N, 3) m/s² and rad/s taken at ``config.imu_rate``."""
    n, dt = len(times), 1.0 / config.imu_rate
    accelerometer_bias = _bias(
        rng, n, dt, config.accelerometer_bias, config.accelerometer_bias_walk, config.accelerometer_instability
    )
    gyroscope_bias = _bias(rng, n, dt, config.gyroscope_bias, config.gyroscope_bias_walk, config.gyroscope_instability)
    shake_a, shake_g = _vibration(rng, times, config)
    scale_a = np.eye(3) + rng.normal(0.0, config.scale_error, (3, 3))
    scale_g = np.eye(3) + rng.normal(0.0, config.scale_error, (3, 3))
    sensitivity = rng.normal(0.0, config.g_sensitivity, (3, 3))
    acceleration = force @ scale_a.T + accelerometer_bias + shake_a
    angular = rate @ scale_g.T + gyroscope_bias + shake_g + force @ sensitivity.T
    acceleration += rng.normal(0.0, config.accelerometer_noise / np.sqrt(dt), (n, 3))
    angular += rng.normal(0.0, config.gyroscope_noise / np.sqrt(dt), (n, 3))
    return ImuRecord(
        times,
        np.round(acceleration / _ACCELEROMETER_STEP) * _ACCELEROMETER_STEP,
        np.round(angular / _GYROSCOPE_STEP) * _GYROSCOPE_STEP,
        accelerometer_bias,
        gyroscope_bias,
    )


def gauss_markov(rng: np.random.Generator, n: int, dt: float, sigma: npt.ArrayLike, time_constant: float) -> Array:
    """(n, 3) first-order Gauss-Markov processes, stationary from the first sample."""
    decay = np.exp(-dt / time_constant)
    drive = rng.standard_normal((n, 3)) * np.sqrt(1.0 - decay**2)
    drive[0] /= np.sqrt(1.0 - decay**2)
    out: Array = lfilter([1.0], [1.0, -decay], drive, axis=0) * np.asarray(sigma)
    return out


def _bias(rng: np.random.Generator, n: int, dt: float, turn_on: float, walk: float, instability: float) -> Array:
    constant = rng.normal(0.0, turn_on, 3)
    wander = np.cumsum(rng.normal(0.0, walk * np.sqrt(dt), (n, 3)), axis=0)
    return constant + wander + gauss_markov(rng, n, dt, instability, _INSTABILITY_TIME)


def _vibration(rng: np.random.Generator, times: Array, config: SimulationConfig) -> tuple[Array, Array]:
    """Lines at the rotor's rate and its harmonics, whose rate wanders with the throttle; sampled, so they alias."""
    n, dt = len(times), 1.0 / config.imu_rate
    rotor = 88.0 + 3.0 * gauss_markov(rng, n, dt, 1.0, 4.0)[:, 0]
    phase = 2.0 * np.pi * np.cumsum(rotor) * dt
    swell = np.exp(gauss_markov(rng, n, dt, 0.25, 2.0)[:, :1])
    acceleration, rate = np.zeros((n, 3)), np.zeros((n, 3))
    for harmonic, share in ((1, 1.0), (2, 0.45), (4, 0.2)):
        line = np.sin(harmonic * phase[:, None] + rng.uniform(0.0, 2 * np.pi, 6))
        amplitude = share * np.sqrt(2.0 / 1.2425)
        acceleration += config.accelerometer_vibration * amplitude * line[:, :3]
        rate += config.gyroscope_vibration * amplitude * line[:, 3:]
    return acceleration * swell, rate * swell
