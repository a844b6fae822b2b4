"""An aircraft on a round over two kilometres, and a car that stops now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation

from geo_nav.fusion import FusionConfig
from geo_nav.fusion.sensors.standstill import StandstillConfig
from geo_nav.simulation import FlightSpline, Motion, SimulationConfig, Trajectory
from geo_nav.simulation.flight import GRAVITY, KNOT, TURN_RADIUS, WAYPOINTS, round_corners
from geo_nav.simulation.trajectory import check_times

Array = npt.NDArray[np.float64]

_DEGREE = 5
_SIDE = 2000.0
_SPEED = 15.0
_HEIGHTS = (120.0, 250.0)
_GUST_KNOT = 0.35
_TURBULENCE = np.radians([1.6, 1.6, 0.8])
"""1 sigma of the control points of the rocking, rad: the spline keeps 0.63 of it."""

_STREET_RADIUS = 30.0
_STREET_STEP = 5.0
_CAR_KNOT = 1.0
_CAR_SPEEDS = (5.0, 10.0)
_CAR_DRIVES = (20.0, 60.0)
_CAR_STOPS = (12.0, 25.0)


def make_flight(seed: int, duration: float) -> FlightSpline:
    """The way points of the simulator's flight, each seed with others by 80 m, at a steady 15 m/s without wind.

    Args:
        seed: of the way points, the start and the rocking.
        duration: s, of any length: the round is flown again and again.
    """
    rng = np.random.default_rng([seed, 60])
    low, high = _HEIGHTS
    places = (WAYPOINTS[:, :2] + rng.normal(0.0, 0.04, (len(WAYPOINTS), 2)) - 0.5) * _SIDE
    way = round_corners(np.column_stack([places, low + WAYPOINTS[:, 2] * (high - low)]), TURN_RADIUS)
    count = int(np.ceil(duration / KNOT)) + 8
    control = _along(way, rng.uniform() * 1e4 + _SPEED * KNOT * np.arange(count))
    gusts = int(np.ceil(duration / _GUST_KNOT)) + 8
    rocking = _spline(rng.normal(0.0, 1.0, (gusts, 3)) * _TURBULENCE, _GUST_KNOT)
    return FlightSpline(_spline(control, KNOT), 0.0, duration, np.zeros(3), rocking, GRAVITY)


class Drive:
    """A car in streets with rounded corners and gentle hills: 5 to 10 m/s for 20 to 60 s, then a stop.

    Args:
        seed: of way, speeds and stops.
        duration: s.
    """

    def __init__(self, seed: int, duration: float) -> None:
        rng = np.random.default_rng([seed, 61])
        self.start, self.end = 0.0, duration
        corners = (np.round(WAYPOINTS[:, :2] * 10.0) / 10.0 + rng.normal(0.0, 0.01, (len(WAYPOINTS), 2)) - 0.5) * _SIDE
        hills = 6.0 * np.sin(corners[:, 0] / 170.0) + 4.0 * np.cos(corners[:, 1] / 130.0)
        way = round_corners(np.column_stack([corners, hills]), _STREET_RADIUS)
        # Between two knots of the same place nothing moves: a stop is a stop.
        places = np.concatenate([[0.0], np.cumsum(_speeds(rng, duration))]) * _CAR_KNOT
        self._place = _spline(places, _CAR_KNOT)
        steps = np.arange(int(places[-1] / _STREET_STEP) + 10) * _STREET_STEP
        self._way = _spline(_along(way, rng.uniform() * 1e4 + steps), _STREET_STEP)

    def motion(self, times: npt.ArrayLike) -> Motion:
        """See :class:`~geo_nav.simulation.Trajectory`."""
        t = np.atleast_1d(np.asarray(times, np.float64))
        check_times(self, t)
        t = np.clip(t, self.start, self.end)
        s, ds, dds = (self._place(t, n)[:, None] for n in range(3))
        p, dp, ddp = (self._way(s[:, 0], n) for n in range(3))
        h = 1e-3  # metres of way: over a radius of 30 m the error of the difference is 1e-10
        turn = (_heading(self._way(s[:, 0] - h, 1)).inv() * _heading(self._way(s[:, 0] + h, 1))).as_rotvec() / (2.0 * h)
        out = Motion(p, dp * ds, ddp * ds**2 + dp * dds, _heading(dp).as_matrix(), turn * ds)
        if np.ndim(times) > 0:
            return out
        return Motion(out.position[0], out.velocity[0], out.acceleration[0], out.rotation[0], out.angular_velocity[0])


def _heading(tangent: Array) -> Rotation:
    """Rotations of a vehicle that looks along its way and does not lean."""
    yaw = np.arctan2(tangent[:, 1], tangent[:, 0])
    pitch = -np.arctan2(tangent[:, 2], np.hypot(tangent[:, 0], tangent[:, 1]))
    return Rotation.from_euler("ZYX", np.column_stack([yaw, pitch, np.zeros_like(yaw)]))


def _speeds(rng: np.random.Generator, duration: float) -> Array:
    """(N,) m/s, one for every knot of the car's place; begins with a stop."""
    speeds: list[float] = []
    while len(speeds) * _CAR_KNOT < duration + 10.0:
        speeds += [0.0] * round(rng.uniform(*_CAR_STOPS) / _CAR_KNOT)
        drive = round(rng.uniform(*_CAR_DRIVES) / _CAR_KNOT)
        ramp = np.clip(np.minimum(np.arange(drive), np.arange(drive)[::-1]) * 1.5 * _CAR_KNOT, 0.0, None)
        speeds += np.minimum(ramp, rng.uniform(*_CAR_SPEEDS)).tolist()
    return np.array(speeds)


def _along(way: Array, distances: npt.NDArray[np.floating]) -> Array:
    """(N, 3) places at distances (N,) along a closed way, round and round, m."""
    steps = np.linalg.norm(np.diff(way[:, :2], axis=0), axis=1)
    way = way[np.concatenate([[True], steps > 1e-6])]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way[:, :2], axis=0), axis=1))])
    return np.column_stack([np.interp(distances % along[-1], along, way[:, axis]) for axis in range(3)])


def _spline(control: Array, knot: float) -> BSpline:
    return BSpline((np.arange(len(control) + _DEGREE + 1) - _DEGREE) * knot, control, _DEGREE)


@dataclass(frozen=True)
class Vehicle:
    """A vehicle and what it carries.

    Attributes:
        name: of the vehicle.
        trajectory: of a seed and a duration, s.
        camera_tilt: of the optical axis forward of straight down, degrees.
        config: of fusion, but for the IMU.
        wheels: whether it has wheel odometry.
        shaking: share of the full vibration by speed in m/s.
    """

    name: str
    trajectory: Callable[[int, float], Trajectory]
    camera_tilt: float
    config: FusionConfig
    wheels: bool
    shaking: Callable[[Array], Array]


AERIAL = Vehicle(
    "aerial", make_flight, SimulationConfig().camera_tilt, FusionConfig(), False, lambda speed: np.ones_like(speed)
)
"""`config/aerial.yaml`: the defaults."""

GROUND = Vehicle(
    "ground",
    Drive,
    90.0,
    FusionConfig(coasting_after=5.0, standstill=StandstillConfig(enabled=True)),
    True,
    lambda speed: np.minimum(1.0, speed),
)
"""`config/ground.yaml`: wheels, and the detection of standstill. A car at rest with its engine off does not shake."""

VEHICLES = {v.name: v for v in (AERIAL, GROUND)}
