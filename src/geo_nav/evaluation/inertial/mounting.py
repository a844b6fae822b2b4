"""Clock, mounting and scale of an IMU strapped to a vehicle, from the vehicle's own attitudes.

No position is looked at: what fusion is scored against stays unseen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.record import Attitudes, Imu

Array = npt.NDArray[np.float64]

_STEP = 0.05
"""Of the search for the clock offset, s."""

_LEAST_TURN = np.radians(3.0)
"""RMS of the angular velocity of a vehicle that turns enough, rad/s."""


@dataclass(frozen=True, eq=False)
class Mounting:
    """What brings an IMU's samples to `base_link` and to the vehicle's clock.

    Attributes:
        offset: s, to be added to the IMU's stamps.
        R_base_imu: IMU axes in `base_link`.
        scale: factor that brings the specific force to m/s².
        agreement: correlation of the angular velocities, 0 to 1.
    """

    offset: float
    R_base_imu: Rotation
    scale: float
    agreement: float

    @property
    def yaw(self) -> float:
        """Of the IMU about the vehicle's z axis, rad."""
        return float(self.R_base_imu.as_euler("ZYX")[0])

    @property
    def tilt(self) -> float:
        """Angle between the z axes of IMU and vehicle, rad."""
        return float(np.arccos(np.clip(self.R_base_imu.as_matrix()[2, 2], -1.0, 1.0)))

    def apply(self, imu: Imu) -> Imu:
        """The samples in `base_link`, on the vehicle's clock."""
        return Imu(
            imu.stamps + self.offset,
            self.R_base_imu.apply(imu.acceleration) * self.scale,
            self.R_base_imu.apply(imu.angular_velocity),
        )


def estimate_mounting(imu: Imu, attitudes: Attitudes, gravity: float, search: float) -> Mounting:
    """Finds clock offset, mounting and scale.

    For every offset the rotation that best turns the IMU's angular velocities into those of the attitudes is found
    (Wahba's problem, Kabsch's solution), less a constant bias; the offset that leaves the least residual is refined.
    The scale makes the mean upward specific force that of gravity: over a flight the vehicle's mean vertical
    acceleration is nil.

    Args:
        imu: on its own clock and axes.
        attitudes: of the vehicle, evenly spaced.
        gravity: m/s².
        search: greatest offset to either side, s.

    Raises:
        EvaluationError: the vehicle turns too little, or the two do not overlap.
    """
    rates = (attitudes.rotations[:-1].inv() * attitudes.rotations[1:]).as_rotvec()
    reference = rates / np.diff(attitudes.stamps)[:, None]
    if np.sqrt((reference**2).sum(axis=1).mean()) < _LEAST_TURN:
        raise EvaluationError("the vehicle turns too little to find the IMU's clock and mounting")
    turned = _integral(imu)

    def fit(offset: float) -> tuple[float, Rotation]:
        return _fit(imu.stamps + offset, turned, attitudes.stamps, reference)

    offsets = np.arange(-search, search + _STEP / 2, _STEP)
    best = float(offsets[int(np.argmax([fit(o)[0] for o in offsets]))])
    refined = minimize_scalar(lambda o: -fit(o)[0], bounds=(best - _STEP, best + _STEP), method="bounded")
    offset = float(refined.x)
    agreement, rotation = fit(offset)
    if agreement <= 0.0:
        raise EvaluationError("IMU and attitudes do not overlap at any clock offset")
    return Mounting(offset, rotation, _scale(imu, offset, rotation, attitudes, gravity), agreement)


def _integral(imu: Imu) -> Array:
    """(N, 3) of the angular velocity over time, rad."""
    means = (imu.angular_velocity[1:] + imu.angular_velocity[:-1]) / 2.0
    return np.vstack([np.zeros(3), np.cumsum(means * np.diff(imu.stamps)[:, None], axis=0)])


def _fit(stamps: Array, turned: Array, edges: Array, reference: Array) -> tuple[float, Rotation]:
    """Correlation and rotation at one offset; no correlation where less than half of the attitudes is covered."""
    inside = (edges[:-1] >= stamps[0]) & (edges[1:] <= stamps[-1])
    if inside.sum() < max(10, len(reference) // 2):
        return 0.0, Rotation.identity()
    at = np.column_stack([np.interp(edges, stamps, turned[:, k]) for k in range(3)])
    measured = (np.diff(at, axis=0) / np.diff(edges)[:, None])[inside]
    measured = measured - measured.mean(axis=0)
    wanted = reference[inside] - reference[inside].mean(axis=0)
    rotation, _ = Rotation.align_vectors(wanted, measured)
    product = float((wanted * rotation.apply(measured)).sum())
    return product / float(np.linalg.norm(wanted) * np.linalg.norm(measured)), rotation


def _scale(imu: Imu, offset: float, rotation: Rotation, attitudes: Attitudes, gravity: float) -> float:
    stamps = imu.stamps + offset
    edges = attitudes.stamps
    inside = (edges[:-1] >= stamps[0]) & (edges[1:] <= stamps[-1])
    samples = np.column_stack([np.interp(edges[:-1][inside], stamps, _smoothed(imu, k)) for k in range(3)])
    up = attitudes.rotations[:-1][inside].apply(rotation.apply(samples))[:, 2]
    return gravity / float(up.mean())


def _smoothed(imu: Imu, axis: int) -> Array:
    """Mean of an axis over 0.1 s: vibration is far above what attitudes at 10 Hz show."""
    width = max(1, round(0.1 / float(np.median(np.diff(imu.stamps)))))
    padded = np.pad(imu.acceleration[:, axis], (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
