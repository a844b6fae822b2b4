"""What the tests of the sensors share: runs with events in order of arrival, a random belief, a ground vehicle."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from fusion_helpers import FRAME, Array, Fix, Flight, Trace, World, give_fix
from geo_nav.fusion import Fusion, ImuSample
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.sensors.barometer import BarometerConfig
from geo_nav.fusion.sensors.heading import HeadingConfig
from geo_nav.geodesy import Pose

DIP, DECLINATION = math.radians(64.0), math.radians(3.5)
NORTH = 0.5 * math.pi - DECLINATION
FIELD = 48e-6 * np.array([math.cos(DIP) * math.cos(NORTH), math.cos(DIP) * math.sin(NORTH), -math.sin(DIP)])
"""The Earth's field in `map`, T."""

BAROMETER = BarometerConfig(sigma=0.5, offset_walk=0.1, correlation_time=0.0)
"""What :func:`pressures` makes."""

SCALE = 1.03
"""What the wheels say over what is true."""


@dataclass
class Event:
    """Something that a sensor says, and when that arrives."""

    arrival: float
    give: Callable[[Fusion], None]


def play(
    fusion: Fusion,
    world: World,
    fixes: Sequence[Fix],
    events: Sequence[Event],
    update_every: float = 0.25,
    heading: tuple[float, float] = (0.0, 0.02),
) -> Trace:
    """The vehicle from a given pose at 0.5 s on; ``heading`` is the error of the heading there, and its sigma."""
    truth = world.flight.pose(0.5)
    turn = Rotation.from_rotvec([0.0, 0.0, heading[0]]).as_matrix()
    start = Pose(turn @ truth.rotation, truth.translation)
    sigmas = np.array([0.5, 0.5, 0.5, 0.01, 0.01, heading[1]])
    fusion.set_pose(0.5, start, np.diag(sigmas**2), world.flight.velocity(0.5), np.eye(3) * 0.25)
    waiting = sorted(
        [*(Event(f.arrival, lambda fusion, f=f: give_fix(fusion, f)) for f in fixes), *events], key=lambda e: e.arrival
    )
    states, next_update, k = [], 0.0, 0
    for sample in world.imu:
        state = fusion.add_imu(sample)
        if state is not None:
            states.append(state)
        while k < len(waiting) and waiting[k].arrival <= sample.stamp:
            waiting[k].give(fusion)
            k += 1
        if sample.stamp >= next_update:
            fusion.update()
            next_update += update_every
    return Trace(states, world.flight)


def random_belief(seed: int) -> Belief:
    """Banked, pitched, moving, with biases."""
    rng = np.random.default_rng(seed)
    nav = gtsam.NavState(gtsam.Rot3.Expmap(rng.normal(0.0, 0.8, 3)), rng.normal(0.0, 100.0, 3), rng.normal(0.0, 8.0, 3))
    bias = gtsam.imuBias.ConstantBias(rng.normal(0.0, 0.1, 3), rng.normal(0.0, 0.01, 3))
    return Belief(1.0, nav, bias, np.eye(15))


class Drive(Flight):
    """A ground vehicle on a winding road: 15 s of driving at up to 11 m/s, 5 s of standing, and so on."""

    def _along(self, t: Array) -> tuple[Array, Array, Array]:
        """Eastward place, speed and acceleration."""
        cycle, tau = np.floor(t / 20.0), np.minimum(t % 20.0, 15.0)
        w = 2.0 * np.pi / 15.0
        u = 75.0 * cycle + 5.0 * (tau - np.sin(w * tau) / w)
        return u, 5.0 * (1.0 - np.cos(w * tau)), 5.0 * w * np.sin(w * tau)

    def position(self, t: npt.ArrayLike) -> Array:
        u, _, _ = self._along(np.asarray(t, dtype=np.float64))
        return np.stack([u, 15.0 * np.sin(u / 30.0), np.zeros_like(u)], axis=-1)

    def velocity(self, t: npt.ArrayLike) -> Array:
        u, du, _ = self._along(np.asarray(t, dtype=np.float64))
        return np.stack([du, 0.5 * du * np.cos(u / 30.0), np.zeros_like(u)], axis=-1)

    def acceleration(self, t: npt.ArrayLike) -> Array:
        u, du, ddu = self._along(np.asarray(t, dtype=np.float64))
        north = 0.5 * ddu * np.cos(u / 30.0) - du**2 / 60.0 * np.sin(u / 30.0)
        return np.stack([ddu, north, np.zeros_like(u)], axis=-1)

    def rotation(self, t: npt.ArrayLike) -> Rotation:
        u, _, _ = self._along(np.asarray(t, dtype=np.float64))
        return Rotation.from_euler("z", np.arctan(0.5 * np.cos(u / 30.0))[..., None])

    def speed(self, t: float) -> float:
        return float(np.linalg.norm(self.velocity(t)))


class Parked(Drive):
    """At a place of the road, for ever."""

    def _along(self, t: Array) -> tuple[Array, Array, Array]:
        return np.full_like(t, 20.0), np.zeros_like(t), np.zeros_like(t)


def shaken(world: World) -> World:
    """The same with the vibration of a vehicle that moves: 17 and 13 Hz, 0.7 m/s² and 0.02 rad/s from 1 m/s on."""
    samples = []
    for sample in world.imu:
        size = min(1.0, float(np.linalg.norm(world.flight.velocity(sample.stamp))))
        phases = 2.0 * np.pi * sample.stamp * np.array([17.0, 13.0, 17.0]) + [0.0, 1.0, 2.0]
        force = sample.acceleration + 0.7 * size * np.sin(phases)
        samples.append(ImuSample(sample.stamp, force, sample.angular_velocity + 0.02 * size * np.cos(phases)))
    world.imu = samples
    return world


def drive(seed: int, duration: float) -> World:
    return shaken(World(seed=seed, duration=duration, rate=50.0, flight=Drive()))


def pressures(world: World, offset: float = 35.0, walk: float = 0.1, sigma: float = 0.5) -> tuple[list[Event], float]:
    """2 Hz, late by 0.1 s, with an offset that drifts; and the offset at the end."""
    rng = np.random.default_rng([world.seed, 7])
    events = []
    for t in np.arange(0.7, world.duration - 0.2, 0.5):
        offset += rng.normal(0.0, walk * np.sqrt(0.5))
        altitude = FRAME.height + world.flight.position(t)[2] + offset + rng.normal(0.0, sigma)
        events.append(Event(t + 0.1, lambda f, t=float(t), a=float(altitude): f.add_pressure_altitude(t, a)))
    return events, offset


def directions(world: World, kind: str, config: HeadingConfig) -> list[Event]:
    """2 Hz, late by 0.1 s; the errors are a first-order process, as configured."""
    sigma = config.sigma if kind == "heading" else config.magnetic_sigma
    rng, events = np.random.default_rng([world.seed, 9]), []
    e, keep = float(rng.normal(0.0, sigma)), math.exp(-0.5 / config.correlation_time)
    for t in np.arange(0.7, world.duration - 0.3, 0.5):
        R = world.flight.rotation(t).as_matrix().reshape(3, 3)
        if kind == "heading":
            yaw = math.atan2(R[1, 0], R[0, 0]) + e
            events.append(Event(t + 0.1, lambda f, t=float(t), y=yaw: f.add_heading(t, y)))
        else:
            field = R.T @ Rotation.from_rotvec([0.0, 0.0, -e]).as_matrix() @ FIELD
            events.append(Event(t + 0.1, lambda f, t=float(t), b=field: f.add_magnetic_field(t, b)))
        e = keep * e + math.sqrt(1.0 - keep**2) * float(rng.normal(0.0, sigma))
    return events


def speeds(world: World, scale: float = SCALE, slip: tuple[float, float] = (-1.0, -1.0)) -> list[Event]:
    """5 Hz, late by 50 ms; between the two stamps of the slip the wheels spin."""
    rng, out = np.random.default_rng([world.seed, 8]), []
    for t in np.arange(0.71, world.duration - 0.2, 0.2):
        v = scale * float(np.linalg.norm(world.flight.velocity(t))) + rng.normal(0.0, 0.1)
        v += 5.0 * (slip[0] <= t < slip[1])
        out.append(Event(t + 0.05, lambda f, t=float(t), v=float(v): f.add_wheel_speed(t, v)))
    return out
