"""A flight or drive with IMU and position fixes, in the axes and on the clock that fusion takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.fusion import FusionConfig
from geo_nav.geodesy import LocalFrame

Array = npt.NDArray[np.float64]

_FLU_FROM_FRD = np.array([1.0, -1.0, -1.0])
_ENU_FROM_NED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])

_MOVING = 3.0
"""Slower than this a vehicle counts as at rest, m/s: a receiver at rest stays below, even just switched on."""

_MOVING_FOR = 3.0
"""And that for so long, s."""

_REST_BEFORE = 20.0
"""So much of the rest before a vehicle moves is kept, s."""


@dataclass(frozen=True, eq=False)
class Imu:
    """IMU samples in `base_link` (x forward, y left, z up).

    Attributes:
        stamps: (N,) s, increasing.
        acceleration: (N, 3) specific force, m/s².
        angular_velocity: (N, 3) rad/s.
    """

    stamps: Array
    acceleration: Array
    angular_velocity: Array


@dataclass(frozen=True, eq=False)
class Fixes:
    """Position fixes in `map`.

    Attributes:
        stamps: (M,) of validity on the IMU's clock, s, increasing.
        positions: (M, 3) m.
        sigmas: (3,) 1 sigma of an axis, m.
        velocities: (M, 3) m/s, or None.
    """

    stamps: Array
    positions: Array
    sigmas: Array
    velocities: Array | None = None


@dataclass(frozen=True, eq=False)
class Attitudes:
    """Attitudes of an autopilot; only the start uses them.

    Attributes:
        stamps: (K,) s, increasing.
        rotations: K rotations of `base_link` in `map`.
    """

    stamps: Array
    rotations: Rotation


@dataclass(frozen=True, eq=False)
class Record:
    """One log.

    Attributes:
        name: of the log.
        frame: the `map` frame.
        imu: samples.
        fixes: all of them, the withheld ones too.
        attitudes: for the start.
        config: of fusion; the other estimators take their noise from it.
        start_seconds: all fixes of so long a time are for the start of every estimator, s.
        notes: what was estimated from the log, in words.
    """

    name: str
    frame: LocalFrame
    imu: Imu
    fixes: Fixes
    attitudes: Attitudes
    config: FusionConfig
    start_seconds: float
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, stamps in (("IMU", self.imu.stamps), ("fix", self.fixes.stamps), ("attitude", self.attitudes.stamps)):
            if len(stamps) < 2 or (np.diff(stamps) <= 0.0).any():
                raise EvaluationError(f"{self.name}: the {what} stamps must be two or more and increase")
        arrays = (self.imu.acceleration, self.imu.angular_velocity, self.fixes.positions)
        if not all(np.isfinite(a).all() for a in arrays):
            raise EvaluationError(f"{self.name}: there are numbers that are not finite")
        if self.fixes.stamps[0] > self.imu.stamps[-1] or self.fixes.stamps[-1] < self.imu.stamps[0]:
            raise EvaluationError(f"{self.name}: IMU and fixes do not overlap in time")

    def moving(self) -> Record:
        """From 20 s before the vehicle first moves to where it last does, as far as the IMU reaches.

        Raises:
            EvaluationError: it never moves.
        """
        t = self.fixes.stamps
        if self.fixes.velocities is None:
            moved = np.linalg.norm(np.diff(self.fixes.positions, axis=0), axis=1)
            speed = np.append(moved / np.diff(t), 0.0)
        else:
            speed = np.linalg.norm(self.fixes.velocities, axis=1)
        slow = t[speed <= _MOVING]
        fast = t[(speed > _MOVING) & (_since(slow, t) > _MOVING_FOR)]
        if len(fast) == 0:
            raise EvaluationError(f"{self.name}: the vehicle never moves at {_MOVING:g} m/s for {_MOVING_FOR:g} s")
        begin = max(float(fast[0]) - _REST_BEFORE, float(self.imu.stamps[0]))
        return self.between(begin, min(float(fast[-1]), float(self.imu.stamps[-1])))

    def between(self, begin: float, end: float) -> Record:
        """The part between two stamps, s."""
        imu, fixes = self.imu, self.fixes
        i = (imu.stamps >= begin) & (imu.stamps <= end)
        # A fix needs an IMU sample before it and one after.
        inside = imu.stamps[i]
        if len(inside) < 2:
            raise EvaluationError(f"{self.name}: no IMU from {begin:.1f} to {end:.1f} s")
        f = (fixes.stamps >= inside[0]) & (fixes.stamps < inside[-1])
        a = (self.attitudes.stamps >= inside[0]) & (self.attitudes.stamps <= inside[-1])
        velocities = None if fixes.velocities is None else fixes.velocities[f]
        return replace(
            self,
            imu=Imu(inside, imu.acceleration[i], imu.angular_velocity[i]),
            fixes=Fixes(fixes.stamps[f], fixes.positions[f], fixes.sigmas, velocities),
            attitudes=Attitudes(self.attitudes.stamps[a], self.attitudes.rotations[a]),
        )

    @property
    def duration(self) -> float:
        """Of the IMU, s."""
        return float(self.imu.stamps[-1] - self.imu.stamps[0])


def _since(events: Array, stamps: Array) -> Array:
    """(N,) seconds from the last of the events before each stamp, or from the first stamp."""
    k = np.searchsorted(events, stamps, side="right")
    out: Array = stamps - np.concatenate([stamps[:1], events])[k]
    return out


def flu_from_frd(vectors: Array) -> Array:
    """(N, 3) vectors in body axes forward, right, down → forward, left, up."""
    out: Array = vectors * _FLU_FROM_FRD
    return out


def enu_from_ned(vectors: Array) -> Array:
    """(N, 3) vectors north, east, down → east, north, up."""
    out: Array = vectors @ _ENU_FROM_NED.T
    return out


def rotation_from_aircraft_angles(roll: Array, pitch: Array, heading: Array) -> Rotation:
    """Rotations of `base_link` (FLU) in ENU from an autopilot's angles.

    Args:
        roll: (N,) degrees, right wing down positive.
        pitch: (N,) degrees, nose up positive.
        heading: (N,) degrees clockwise from north.
    """
    frd_in_ned = Rotation.from_euler("ZYX", np.column_stack([heading, pitch, roll]), degrees=True).as_matrix()
    return Rotation.from_matrix(_ENU_FROM_NED @ frd_in_ned @ np.diag(_FLU_FROM_FRD))


def default_noise(config: FusionConfig) -> FusionConfig:
    """The settings with the IMU noise of ``FusionConfig()``."""
    names = ("accelerometer_noise", "gyroscope_noise", "accelerometer_bias_walk", "gyroscope_bias_walk")
    defaults = FusionConfig()
    return config.model_copy(update={name: getattr(defaults, name) for name in names})


def noise_density(values: Array, stamps: Array) -> float:
    """White noise density of a sampled signal by the differences of successive samples.

    The RMS of the differences is √2 times the noise of a sample (Allan variance at the sampling interval); motion and
    vibration count as noise.

    Args:
        values: (N, 3).
        stamps: (N,) s.

    Returns:
        the RMS of the three axes, in the unit of ``values`` per √Hz.
    """
    interval = float(np.median(np.diff(stamps)))
    return float(np.sqrt((np.diff(values, axis=0) ** 2).mean() / 2.0 * interval))
