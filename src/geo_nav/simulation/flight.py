"""The flight over a generated world: its way points, and the smooth trajectory through them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline

from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.trajectory import FlightSpline

Array = npt.NDArray[np.float64]

KNOT = 2.5
"""Spacing of the position spline's control points, s: corners are rounded over about two of them."""
TURN_RADIUS = 95.0
"""Of the way between legs, m: 15 m/s need 15 degrees of bank there, a headwind's groundspeed up to 25."""
GRAVITY = 9.81
_GUST_KNOT = 0.35
SMALL = 1000.0
"""A world with a shorter side is flown in a ring, m."""

WAYPOINTS = np.array(
    [
        # share of the side east, north; share of the height range
        # The first three minutes: fields, a corner of the wood, the stream, the town, climbs and turns.
        [0.30, 0.22, 0.20], [0.48, 0.30, 0.30], [0.47, 0.50, 0.35], [0.60, 0.62, 0.08],
        [0.45, 0.70, 0.55], [0.30, 0.62, 0.70], [0.28, 0.40, 0.60], [0.45, 0.34, 0.25],
        # Then east along the valley, and over the bare fields.
        [0.72, 0.26, 0.30], [0.78, 0.38, 0.80], [0.70, 0.52, 0.95], [0.70, 0.70, 0.75],
        [0.74, 0.77, 0.45], [0.82, 0.70, 0.40], [0.78, 0.62, 0.45],
        # Home by the north-west, high, and down into the valley again.
        [0.55, 0.72, 0.75], [0.42, 0.78, 0.98], [0.24, 0.78, 0.85], [0.22, 0.58, 0.45], [0.30, 0.50, 0.10],
        [0.52, 0.56, 0.05], [0.62, 0.42, 0.40], [0.50, 0.24, 0.60], [0.32, 0.26, 0.50],
        [0.22, 0.36, 0.35], [0.22, 0.54, 0.30], [0.42, 0.60, 0.45],
    ]
)  # fmt: skip


def route(plan: WorldPlan, config: SimulationConfig) -> Array:
    """The legs to fly, (N, 3): east and north of the corner, height above the ellipsoid, m; flown round and round.

    A small world gets a ring round its middle instead of the way points, which its turns would not fit.
    """
    rng = np.random.default_rng([config.seed, 40])
    if plan.size < SMALL:
        angle = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
        radius = 0.22 * plan.size
        places = plan.size / 2 + radius * np.column_stack([np.cos(angle), np.sin(angle)])
        share = 0.5 + 0.3 * np.sin(angle)
    else:
        places = WAYPOINTS[:, :2] * plan.size + rng.uniform(-0.02, 0.02, (len(WAYPOINTS), 2)) * plan.size
        share = WAYPOINTS[:, 2]
    # A camera high over a small world would look past its edge.
    ceiling = (
        config.max_height if plan.size >= SMALL else min(config.max_height, max(config.min_height, 0.2 * plan.size))
    )
    height = config.min_height + share * (ceiling - config.min_height)
    return np.column_stack([places, plan.terrain.at(places[:, 0], places[:, 1]) + height])


def round_corners(legs: Array, radius: float, repeat: bool = True) -> Array:
    """The way along legs (N, 3), corners cut by arcs of ``radius`` metres, a point about every 5 m."""
    points = []
    n = len(legs)
    for i in range(n if repeat else n - 2):
        before, corner, after = legs[i - 1], legs[i], legs[(i + 1) % n]
        a, b = before - corner, after - corner
        la, lb = np.linalg.norm(a[:2]), np.linalg.norm(b[:2])
        half = 0.5 * np.arccos(np.clip(a[:2] @ b[:2] / (la * lb), -1.0, 1.0))
        reach = min(radius / np.tan(half), 0.48 * la, 0.48 * lb) if half < np.pi / 2 - 1e-3 else 0.0
        s = np.linspace(0.0, 1.0, max(2, int(2 * reach / 5.0) + 2))[:, None]
        # A quadratic Bézier curve: tangent to both legs, its curvature close to the arc's.
        start, end = corner + a * reach / la, corner + b * reach / lb
        points.append((1 - s) ** 2 * start + 2 * s * (1 - s) * corner + s**2 * end)
    return np.vstack([*points, points[0][:1]])


def make_flight(plan: WorldPlan, config: SimulationConfig, wind: npt.ArrayLike | None = None) -> FlightSpline:
    """The flight of a world, from 0 to ``config.duration`` seconds, airborne and moving from the first.

    The control points of a quintic B-spline walk the rounded route at the groundspeed that the wind leaves; the
    spline smooths what corners remain and has four continuous derivatives.

    Raises:
        SimulationError: the flight would come too near to the ground.
    """
    rng = np.random.default_rng([config.seed, 41])
    heading = rng.uniform(0.0, 2 * np.pi)
    breeze = np.array([np.cos(heading), np.sin(heading), 0.0]) * config.wind_speed if wind is None else np.asarray(wind)
    small = plan.size < SMALL
    way = plan.to_map(round_corners(route(plan, config), 0.22 * plan.size if small else TURN_RADIUS))
    count = int(np.ceil(config.duration / KNOT)) + 8
    control = _walk(way, config.speed, breeze, count)
    degree = 5
    knots = (np.arange(count + degree + 1) - degree) * KNOT
    position = BSpline(knots, control, degree)
    flight = FlightSpline(position, 0.0, config.duration, breeze, _turbulence(rng, config), GRAVITY)
    _check_clearance(flight, plan, config)
    return flight


def _walk(way: Array, airspeed: float, wind: Array, count: int) -> Array:
    """(count, 3) places along a closed way, one every :data:`KNOT` seconds at constant airspeed."""
    steps = np.linalg.norm(np.diff(way[:, :2], axis=0), axis=1)
    keep = np.concatenate([[True], steps > 1e-6])
    way = way[keep]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way[:, :2], axis=0), axis=1))])
    length = along[-1]
    tick = 0.1
    s, places = 0.3 * airspeed, []
    for k in range(round(count * KNOT / tick)):
        if k % round(KNOT / tick) == 0:
            places.append([np.interp(s % length, along, way[:, axis]) for axis in range(3)])
        i = min(int(np.searchsorted(along, s % length, side="right")) - 1, len(way) - 2)
        d = (way[i + 1] - way[i])[:2]
        d /= np.linalg.norm(d)
        # Half of the wind's push is flown out, so that groundspeed stays within 12…18 m/s.
        s += (airspeed + 0.5 * float(wind[:2] @ d)) * tick
    return np.array(places)


def _turbulence(rng: np.random.Generator, config: SimulationConfig) -> BSpline:
    """Small rotations that rock the vehicle: white control points, smoothed by the spline, up to about 1 Hz."""
    count = int(np.ceil(config.duration / _GUST_KNOT)) + 8
    # A quintic B-spline keeps about 0.63 of the standard deviation of white control points.
    sigma = np.radians(config.turbulence) / 0.63 * np.array([1.0, 1.0, 0.5])
    knots = (np.arange(count + 6) - 5) * _GUST_KNOT
    return BSpline(knots, rng.normal(0.0, 1.0, (count, 3)) * sigma, 5)


def _check_clearance(flight: FlightSpline, plan: WorldPlan, config: SimulationConfig) -> None:
    times = np.arange(flight.start, flight.end, 0.5)
    places = plan.from_map(flight.motion(times).position)
    height = places[:, 2] - plan.terrain.at(places[:, 0], places[:, 1])
    if height.min() < 0.5 * config.min_height:
        raise SimulationError(
            f"the flight comes within {height.min():.0f} m of the ground at {times[height.argmin()]:.0f} s: "
            f"raise min_height ({config.min_height:g} m) or take another seed"
        )
