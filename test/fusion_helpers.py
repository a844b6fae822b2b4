"""A small synthetic vehicle for the fusion tests: smooth analytic flight, IMU with bias and noise, fixes with delay."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.fusion import Fusion, FusionConfig, ImuSample, NavState, UpdateInfo
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.geodesy.pose import error_vector

Array = npt.NDArray[np.float64]

FRAME = LocalFrame(47.4, 8.5, 450.0)
T_BASE_CAMERA = Pose.from_rotation_vector([np.pi * 0.9, 0.1, -0.05], [0.3, -0.1, -0.15])
FIX_SIGMAS = np.array([0.3, 0.3, 0.3, *np.radians([0.5, 0.5, 0.5])])
CONFIG = FusionConfig(
    # The fixes made here err independently, and the IMU is a worse one than the default's.
    fix_correlation_time=0.0,
    gyroscope_noise=0.002,
    accelerometer_bias_walk=1e-3,
    gyroscope_bias_walk=1e-4,
    accelerometer_bias_sigma=0.2,
    gyroscope_bias_sigma=0.02,
)


class Flight:
    """A figure of eight with banked turns at about 15 m/s; every method takes one time or (N,) times."""

    def position(self, t: npt.ArrayLike) -> Array:
        t = np.asarray(t, dtype=np.float64)
        return np.stack([200.0 * np.sin(0.07 * t), 55.0 * np.sin(0.14 * t), 150.0 + 8.0 * np.sin(0.11 * t)], axis=-1)

    def velocity(self, t: npt.ArrayLike) -> Array:
        t = np.asarray(t, dtype=np.float64)
        return np.stack([14.0 * np.cos(0.07 * t), 7.7 * np.cos(0.14 * t), 0.88 * np.cos(0.11 * t)], axis=-1)

    def acceleration(self, t: npt.ArrayLike) -> Array:
        t = np.asarray(t, dtype=np.float64)
        return np.stack([-0.98 * np.sin(0.07 * t), -1.078 * np.sin(0.14 * t), -0.0968 * np.sin(0.11 * t)], axis=-1)

    def rotation(self, t: npt.ArrayLike) -> Rotation:
        velocity, acceleration = self.velocity(t), self.acceleration(t)
        yaw = np.arctan2(velocity[..., 1], velocity[..., 0])
        lateral = -acceleration[..., 0] * np.sin(yaw) + acceleration[..., 1] * np.cos(yaw)
        pitch = -np.arctan2(velocity[..., 2], np.hypot(velocity[..., 0], velocity[..., 1])) - 0.03
        return Rotation.from_euler("ZYX", np.stack([yaw, pitch, -np.arctan2(lateral, 9.8)], axis=-1))

    def angular_velocity(self, t: npt.ArrayLike) -> Array:
        t, h = np.asarray(t, dtype=np.float64), 1e-3
        return (self.rotation(t - h).inv() * self.rotation(t + h)).as_rotvec() / (2 * h)

    def pose(self, t: float) -> Pose:
        return Pose(self.rotation(t).as_matrix(), self.position(t))


class Straight(Flight):
    """At constant velocity: nothing shows where the nose points."""

    def position(self, t):
        return np.multiply.outer(np.asarray(t, dtype=np.float64), np.array([15.0, 5.0, 0.0])) + np.array(
            [0.0, 0.0, 150.0]
        )

    def velocity(self, t):
        return np.zeros((*np.shape(t), 3)) + np.array([15.0, 5.0, 0.0])

    def acceleration(self, t):
        return np.zeros((*np.shape(t), 3))


@dataclass
class Fix:
    """An absolute pose with its arrival."""

    stamp: float
    arrival: float
    T_map_camera: Pose
    covariance: Array

    def give(self, fusion: Fusion) -> None:
        fusion.add_absolute_pose(self.stamp, self.T_map_camera, self.covariance)


@dataclass
class World:
    """IMU samples and fixes of one seed."""

    seed: int = 0
    duration: float = 40.0
    rate: float = 200.0
    fix_rate: float = 5.0
    delay: float = 0.3
    noise: float = 1.0
    flight: Flight = field(default_factory=Flight)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.stamps = np.arange(0.0, self.duration, 1.0 / self.rate)
        self.imu = self._imu()
        self.fixes = self._fixes()

    def _imu(self) -> list[ImuSample]:
        c, n, dt = CONFIG, len(self.stamps), 1.0 / self.rate
        model = ImuModel(c, FRAME)
        k = self.noise
        # A stream for each, so that a shorter world of the same seed is the beginning of a longer one.
        walk_a, walk_g, white_a, white_g = (
            np.random.default_rng([self.seed, i]).normal(0, k, (n, 3)) for i in range(4)
        )
        self.accelerometer_bias = self.rng.normal(0, 0.1 * k, 3) + np.cumsum(
            walk_a * c.accelerometer_bias_walk * np.sqrt(dt), axis=0
        )
        self.gyroscope_bias = self.rng.normal(0, 0.01 * k, 3) + np.cumsum(
            walk_g * c.gyroscope_bias_walk * np.sqrt(dt), axis=0
        )
        noise_a = white_a * c.accelerometer_noise / np.sqrt(dt)
        noise_g = white_g * c.gyroscope_noise / np.sqrt(dt)
        to_body = self.flight.rotation(self.stamps).inv()
        positions = self.flight.position(self.stamps)
        # Gravity turns by 0.03 mrad over the flight's 200 m; one value every second is exact enough.
        gravity = np.repeat([model.gravity(p) for p in positions[:: round(self.rate)]], round(self.rate), axis=0)[:n]
        coriolis = 2.0 * np.cross(model.earth_rate(), self.flight.velocity(self.stamps))
        force = (
            to_body.apply(self.flight.acceleration(self.stamps) + coriolis - gravity)
            + self.accelerometer_bias
            + noise_a
        )
        rate = self.flight.angular_velocity(self.stamps) + to_body.apply(model.earth_rate())
        rate += self.gyroscope_bias + noise_g
        return [ImuSample(float(t), f, w) for t, f, w in zip(self.stamps, force, rate, strict=True)]

    def _fixes(self) -> list[Fix]:
        out = []
        # Never on an IMU stamp: a state cuts the interval between two samples.
        for t in np.arange(0.1 + 0.0013, self.duration - 0.1, 1.0 / self.fix_rate):
            out.append(self.fix(float(t)))
        return out

    def fix(self, t: float, offset: npt.ArrayLike = (0.0, 0.0, 0.0)) -> Fix:
        truth = self.flight.pose(t) @ T_BASE_CAMERA
        error = self.rng.normal(0, FIX_SIGMAS)
        measured = Pose(
            Rotation.from_rotvec(error[3:]).as_matrix() @ truth.rotation,
            truth.translation + error[:3] + np.asarray(offset),
        )
        return Fix(t, t + self.delay, measured, np.diag(FIX_SIGMAS**2))

    def correlate_fixes(self, correlation_time: float, rng: np.random.Generator) -> None:
        """Give the fixes errors of the same sigmas that are an AR(1) process."""
        rho = np.exp(-1.0 / (self.fix_rate * correlation_time))
        error = rng.normal(0.0, FIX_SIGMAS)
        for fix in self.fixes:
            error = rho * error + np.sqrt(1.0 - rho**2) * rng.normal(0.0, FIX_SIGMAS)
            truth = self.flight.pose(fix.stamp) @ T_BASE_CAMERA
            turned = Rotation.from_rotvec(error[3:]).as_matrix() @ truth.rotation
            fix.T_map_camera = Pose(turned, truth.translation + error[:3])


@dataclass
class Trace:
    """What came out of a run, beside the truth."""

    states: list[NavState]
    flight: Flight

    def after(self, t: float, until: float = np.inf) -> Trace:
        return Trace([s for s in self.states if t <= s.stamp <= until], self.flight)

    @property
    def position_errors(self) -> Array:
        return np.array([s.T_map_base.translation - self.flight.position(s.stamp) for s in self.states])

    @property
    def rms(self) -> float:
        return float(np.sqrt((self.position_errors**2).sum(axis=1).mean()))

    @property
    def heading_errors(self) -> Array:
        return np.array([error_vector(s.T_map_base, self.flight.pose(s.stamp))[5] for s in self.states])

    def nees(self, every: int = 100) -> Array:
        """Normalised squared pose errors (6 dof), thinned."""
        out = []
        for s in self.states[::every]:
            e = error_vector(s.T_map_base, self.flight.pose(s.stamp))
            out.append(e @ np.linalg.solve(s.pose_covariance, e))
        return np.array(out)


def new_fusion(**changes: object) -> Fusion:
    return Fusion(CONFIG.model_copy(update=changes), FRAME, T_BASE_CAMERA)


class Clocked(Fusion):
    """Notes the processor time of the updates that solve, ms: for benchmarks."""

    def __init__(self, config: FusionConfig, frame: LocalFrame = FRAME, T_base_camera: Pose = T_BASE_CAMERA) -> None:
        super().__init__(config, frame, T_base_camera)
        self.milliseconds: list[float] = []

    def update(self) -> UpdateInfo:
        """As ever."""
        begin = time.process_time()
        info = super().update()
        if info.solved:
            self.milliseconds.append(1e3 * (time.process_time() - begin))
        return info


def give_fix(fusion: Fusion, fix: Fix) -> None:
    fix.give(fusion)


def run(
    fusion: Fusion, world: World, fixes: list[Fix] | None = None, update_every: float = 0.1, start: float = 0.0
) -> Trace:
    """Play the IMU and the fixes in order of arrival; update at a fixed period."""
    waiting = sorted(world.fixes if fixes is None else fixes, key=lambda f: f.arrival)
    states, next_update = [], start
    for sample in world.imu:
        if sample.stamp < start:
            continue
        state = fusion.add_imu(sample)
        if state is not None:
            states.append(state)
        while waiting and waiting[0].arrival <= sample.stamp:
            give_fix(fusion, waiting.pop(0))
        if sample.stamp >= next_update:
            fusion.update()
            next_update += update_every
    return Trace(states, world.flight)


def numeric_jacobian(factor: Any, values: Any) -> Array:
    """Of a factor's error by the tangents of its keys, in their order: X, V, B, and numbers A."""
    error, columns, h = factor.unwhitenedError(values), [], 1e-6
    for key in list(factor.keys()):
        for direction in h * np.eye({"x": 6, "v": 3, "b": 6, "a": 1}[chr(gtsam.Symbol(key).chr())]):
            step = gtsam.VectorValues()
            step.insert(key, direction)
            columns.append((factor.unwhitenedError(values.retract(step)) - error) / h)
    return np.array(columns).T
