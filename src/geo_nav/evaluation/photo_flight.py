"""A smooth flight through photographs whose poses are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]

T_BASE_CAMERA = Pose(np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), np.zeros(3))
"""A camera that looks straight down, the top of its picture forward, at the place of `base_link`."""

_LEAD_SPACING = 2.0


@dataclass(frozen=True, eq=False)
class PhotoFlight:
    """The path of `base_link`: twice continuously differentiable, and exactly in every photograph's pose at its time.

    Positions follow a natural cubic spline, orientations a rotation spline (continuous angular acceleration). Before
    the first photograph and after the last, the path goes straight on at the speed that it had, without turning.

    Attributes:
        stamps: (N,) of the photographs, seconds, strictly increasing, N >= 2.
        poses: N, of `base_link` in `map`.
        lead_in: length of the straight stretch before the first photograph, s.
        tail: length of the straight stretch after the last, s.
    """

    stamps: Array
    poses: tuple[Pose, ...]
    lead_in: float
    tail: float

    def __post_init__(self) -> None:
        if len(self.stamps) != len(self.poses) or len(self.poses) < 2:
            raise EvaluationError(f"a flight needs two or more poses with a stamp each, not {len(self.poses)}")
        if (np.diff(self.stamps) <= 0).any():
            raise EvaluationError("the stamps of a flight must increase")

    @property
    def begin(self) -> float:
        """First stamp of the flight, s."""
        return float(self.stamps[0]) - self.lead_in

    @property
    def end(self) -> float:
        """Last stamp of the flight, s."""
        return float(self.stamps[-1]) + self.tail

    @cached_property
    def _knots(self) -> tuple[Array, Array, Rotation]:
        """Stamps since the begin, positions and rotations of the photographs and of the straight stretches."""
        t = self.stamps - self.begin
        p = np.array([pose.translation for pose in self.poses])
        R = Rotation.from_matrix(np.array([pose.rotation for pose in self.poses]))
        before = _stretch(self.lead_in)
        after = _stretch(self.tail)
        v_first, v_last = (p[1] - p[0]) / (t[1] - t[0]), (p[-1] - p[-2]) / (t[-1] - t[-2])
        times = np.concatenate([t[0] - before[::-1], t, t[-1] + after])
        positions = np.vstack([p[0] - before[::-1, None] * v_first, p, p[-1] + after[:, None] * v_last])
        index = np.concatenate([np.zeros(len(before), int), np.arange(len(t)), np.full(len(after), len(t) - 1)])
        return times, positions, R[index]

    @cached_property
    def _position(self) -> CubicSpline:
        return CubicSpline(self._knots[0], self._knots[1], bc_type="natural")

    @cached_property
    def _rotation(self) -> RotationSpline:
        return RotationSpline(self._knots[0], self._knots[2])

    def poses_at(self, stamps: Array) -> TimedPoses:
        """`base_link` in `map` at (M,) stamps."""
        t = self._time(stamps)
        return TimedPoses(stamps, self._position(t), self._rotation(t).as_quat())

    def velocities_at(self, stamps: Array) -> Array:
        """(M, 3) m/s in `map`."""
        return np.asarray(self._position(self._time(stamps), 1))

    def accelerations_at(self, stamps: Array) -> Array:
        """(M, 3) m/s² in `map`."""
        return np.asarray(self._position(self._time(stamps), 2))

    def angular_velocities_at(self, stamps: Array) -> Array:
        """(M, 3) rad/s in `base_link`."""
        return np.asarray(self._rotation(self._time(stamps), 1))

    def _time(self, stamps: Array) -> Array:
        t = np.asarray(stamps, dtype=np.float64) - self.begin
        if len(t) and (t.min() < -1e-6 or t.max() > self.end - self.begin + 1e-6):
            raise EvaluationError("a flight is asked for a time outside its own")
        return np.asarray(np.clip(t, 0.0, self._knots[0][-1]))


def _stretch(length: float) -> Array:
    """Distances in time of a straight stretch's knots from the photograph that it joins; empty for no length."""
    if length <= 0:
        return np.zeros(0)
    return np.linspace(0.0, length, max(1, int(np.ceil(length / _LEAD_SPACING))) + 1)[1:]


def flight_of_cameras(stamps: Array, cameras: list[Pose], lead_in: float, tail: float) -> PhotoFlight:
    """The flight of a vehicle that carries the camera as :data:`T_BASE_CAMERA` says.

    Args:
        stamps: (N,) of the exposures, s.
        cameras: N true poses ``T_map_camera``.
        lead_in: straight stretch before the first, s.
        tail: straight stretch after the last, s.
    """
    T_camera_base = T_BASE_CAMERA.inverse()
    return PhotoFlight(stamps, tuple(T_map_camera @ T_camera_base for T_map_camera in cameras), lead_in, tail)
