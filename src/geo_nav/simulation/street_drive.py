"""A drive along the streets of the town, one street after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline, make_interp_spline
from scipy.spatial.transform import Rotation

from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.parcels import Border
from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.street_world import town_square
from geo_nav.simulation.trajectory import Motion, check_times

Array = npt.NDArray[np.float64]

SPEED = 8.0
"""Of the drive, m/s."""
HEIGHTS = (1.80, 2.50)
"""Of `base_link` over the street: a camera on a car's roof to one on a van's, m."""
_END = 8.0
"""This much of a street's ends, where it meets the next, is not driven, m."""
_SHORTEST = 60.0
_EDGE = 80.0
_OFFSETS = np.radians([3.0, 1.5, 1.0])
"""How far yaw, pitch and roll of the vehicle are off the street's direction, 1 sigma, rad."""


@dataclass(frozen=True, eq=False)
class _Street:
    """One street: when its drive begins and how long it takes (s), where it leads, and the attitude of the vehicle."""

    start: float
    duration: float
    position: BSpline
    offset: Array


class StreetDrive:
    """The motion of a vehicle along every street of a town in turn; it is set from one to the next in no time.

    Args:
        plan: of the world.

    Raises:
        SimulationError: the world has no street that is long enough.
    """

    def __init__(self, plan: WorldPlan) -> None:
        rng = np.random.default_rng([plan.seed, 46])
        self._streets: list[_Street] = []
        self.start = self.end = 0.0
        west, south, east, north = town_square(plan)
        for line in plan.lines:
            if line.border is not Border.STREET:
                continue
            path = _trimmed(line.path, _END)
            inside = ((path > [west + _EDGE, south + _EDGE]) & (path < [east - _EDGE, north - _EDGE])).all()
            length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
            if not inside or length < _SHORTEST:
                continue
            self._add(plan, path[:: rng.choice([-1, 1])], rng)
        if not self._streets:
            raise SimulationError(f"the world of {plan.size:g} m with seed {plan.seed} has no street to drive along")
        self._starts = np.array([street.start for street in self._streets])

    def _add(self, plan: WorldPlan, path: Array, rng: np.random.Generator) -> None:
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]) / SPEED
        height = plan.terrain.at(path[:, 0], path[:, 1]) + rng.uniform(*HEIGHTS)
        position = make_interp_spline(along, plan.to_map(np.column_stack([path, height])), k=3)
        offset = Rotation.from_euler("ZYX", rng.normal(0.0, 1.0, 3) * _OFFSETS).as_matrix()
        self._streets.append(_Street(self.end, float(along[-1]), position, offset))
        self.end += float(along[-1])

    def motion(self, times: npt.ArrayLike) -> Motion:
        """See :class:`~geo_nav.simulation.Trajectory`."""
        t = np.atleast_1d(np.asarray(times, np.float64))
        check_times(self, t)
        instants = [self._instant(float(time)) for time in t]
        parts = [np.stack(values) for values in zip(*instants, strict=True)]
        if np.ndim(times) == 0:
            parts = [values[0] for values in parts]
        return Motion(*parts)

    def _instant(self, time: float) -> tuple[Array, ...]:
        """Position, velocity, acceleration, rotation and angular rate at one time."""
        street = self._streets[max(int(np.searchsorted(self._starts, time, side="right")) - 1, 0)]
        s = min(max(time - street.start, 0.0), street.duration)
        position, velocity, acceleration = (street.position(s, nu=n) for n in range(3))
        heading = Rotation.from_euler("z", np.arctan2(velocity[1], velocity[0])).as_matrix()
        rate = (velocity[0] * acceleration[1] - velocity[1] * acceleration[0]) / (velocity[:2] @ velocity[:2])
        omega = street.offset.T @ np.array([0.0, 0.0, rate])
        return position, velocity, acceleration, heading @ street.offset, omega


def _trimmed(path: Array, end: float) -> Array:
    """A path (N, 2) without ``end`` metres at both ends, a vertex about every 8 m; one point when nothing is left."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    length = along[-1] - 2 * end
    if length <= 0.0:
        return path[:1]
    s = np.linspace(end, along[-1] - end, max(4, round(length / 8.0) + 1))
    return np.column_stack([np.interp(s, along, path[:, 0]), np.interp(s, along, path[:, 1])])
