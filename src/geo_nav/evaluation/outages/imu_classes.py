"""Two classes of IMU, and what fusion is told of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from geo_nav.simulation import SimulationConfig
from geo_nav.simulation.imu import corrupt_imu, gauss_markov

Array = npt.NDArray[np.float64]

_DEFAULTS = SimulationConfig()
_INSTABILITY_TIME = 200.0
"""Correlation time of the flicker floor, s, as in :mod:`geo_nav.simulation.imu`."""

_STILL = SimulationConfig(
    accelerometer_noise=0.0,
    gyroscope_noise=0.0,
    accelerometer_bias=0.0,
    gyroscope_bias=0.0,
    accelerometer_bias_walk=0.0,
    gyroscope_bias_walk=0.0,
    accelerometer_instability=0.0,
    gyroscope_instability=0.0,
    g_sensitivity=0.0,
    scale_error=0.0,
)
"""Vibration and nothing else."""


@dataclass(frozen=True)
class ImuClass:
    """Errors of an IMU, in the words and units of :class:`~geo_nav.simulation.SimulationConfig`.

    Attributes:
        name: of the class.
        accelerometer_noise: white noise density, m/s²/√Hz.
        gyroscope_noise: rad/s/√Hz.
        accelerometer_bias: turn-on bias, 1 sigma an axis, m/s².
        gyroscope_bias: rad/s.
        accelerometer_bias_walk: m/s³/√Hz.
        gyroscope_bias_walk: rad/s²/√Hz.
        accelerometer_instability: flicker floor, 1 sigma, m/s².
        gyroscope_instability: rad/s.
        scale_error: scale and cross-axis error, 1 sigma an entry.
        vibration: share of the vehicle's vibration that reaches the IMU.
        settings: of `FusionConfig`, by name.
    """

    name: str
    accelerometer_noise: float
    gyroscope_noise: float
    accelerometer_bias: float
    gyroscope_bias: float
    accelerometer_bias_walk: float
    gyroscope_bias_walk: float
    accelerometer_instability: float
    gyroscope_instability: float
    scale_error: float
    vibration: float
    settings: dict[str, float] = field(default_factory=dict)


MEMS = ImuClass(
    name="mems",
    accelerometer_noise=_DEFAULTS.accelerometer_noise,
    gyroscope_noise=_DEFAULTS.gyroscope_noise,
    accelerometer_bias=_DEFAULTS.accelerometer_bias,
    gyroscope_bias=_DEFAULTS.gyroscope_bias,
    accelerometer_bias_walk=_DEFAULTS.accelerometer_bias_walk,
    gyroscope_bias_walk=_DEFAULTS.gyroscope_bias_walk,
    accelerometer_instability=_DEFAULTS.accelerometer_instability,
    gyroscope_instability=_DEFAULTS.gyroscope_instability,
    scale_error=_DEFAULTS.scale_error,
    vibration=1.0,
)
"""The IMU of the simulator (class of the BMI088), with the defaults of `FusionConfig`."""

TACTICAL = ImuClass(
    name="tactical",
    accelerometer_noise=3.3e-4,
    gyroscope_noise=3.6e-5,
    accelerometer_bias=9.8e-3,
    gyroscope_bias=4.8e-6,
    accelerometer_bias_walk=1.5e-5,
    gyroscope_bias_walk=1.0e-7,
    accelerometer_instability=4.0e-4,
    gyroscope_instability=1.5e-6,
    scale_error=3e-4,
    vibration=0.1,
    settings={
        "accelerometer_noise": 2.9e-3,
        "gyroscope_noise": 1.4e-4,
        "accelerometer_bias_walk": 3e-5,
        "gyroscope_bias_walk": 2e-7,
        "accelerometer_bias_sigma": 0.029,
        "gyroscope_bias_sigma": 3.4e-5,
    },
)
"""The class of Honeywell's HG1700 (brochure N61-1619: 1 mg, 0.065 ft/s/√h, 1°/h, 0.125°/√h), on isolators.

Walks, flicker floor, scale and what the isolators leave are assumed. Fusion is told its figures times the factors that
lie between the simulated MEMS IMU and the defaults of `FusionConfig`: 8.7 and 4 for the noise, 2 for the walks, 3 and 7
for the turn-on biases.
"""

IMU_CLASSES = {c.name: c for c in (MEMS, TACTICAL)}


class ImuErrors:
    """The errors of one IMU over a whole journey, which is asked for piece by piece.

    Args:
        imu: class.
        seed: of every draw.
        rate: Hz.
        duration: s.
    """

    def __init__(self, imu: ImuClass, seed: int, rate: float, duration: float) -> None:
        self._imu, self._seed, self._rate = imu, seed, rate
        rng = np.random.default_rng([seed, 50])
        n, dt = int(np.ceil(duration * rate)) + 2, 1.0 / rate
        self._biases = [
            rng.normal(0.0, turn_on, 3)
            + np.cumsum(rng.normal(0.0, walk * np.sqrt(dt), (n, 3)), axis=0)
            + gauss_markov(rng, n, dt, instability, _INSTABILITY_TIME)
            for turn_on, walk, instability in (
                (imu.accelerometer_bias, imu.accelerometer_bias_walk, imu.accelerometer_instability),
                (imu.gyroscope_bias, imu.gyroscope_bias_walk, imu.gyroscope_instability),
            )
        ]
        self._scales = [np.eye(3) + rng.normal(0.0, imu.scale_error, (3, 3)) for _ in range(2)]

    def corrupted(self, first: int, force: Array, rate: Array, shaking: Array) -> tuple[Array, Array]:
        """Samples as the IMU gives them.

        The vibration is that of the simulator: lines of a rotor or an engine that wander. Its draws begin anew with
        each piece.

        Args:
            first: number of the first sample.
            force: (N, 3) true specific force, m/s².
            rate: (N, 3) true angular velocity, rad/s.
            shaking: (N,) share of the full vibration.

        Returns:
            (N, 3) m/s² and (N, 3) rad/s.
        """
        n, imu = len(force), self._imu
        rng = np.random.default_rng([self._seed, 51, first])
        vibrating = _STILL.model_copy(update={"imu_rate": self._rate})
        times, zero = np.arange(first, first + n) / self._rate, np.zeros((n, 3))
        vibration = corrupt_imu(times, zero, zero, vibrating, rng)
        size = imu.vibration * shaking[:, None]
        out = []
        for k, (values, shake, density) in enumerate(
            (
                (force, vibration.acceleration, imu.accelerometer_noise),
                (rate, vibration.angular_velocity, imu.gyroscope_noise),
            )
        ):
            noise = rng.normal(0.0, density * np.sqrt(self._rate), (n, 3))
            out.append(values @ self._scales[k].T + self._biases[k][first : first + n] + size * shake + noise)
        return out[0], out[1]
