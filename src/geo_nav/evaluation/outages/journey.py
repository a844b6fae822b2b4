"""A simulated journey: all that reaches fusion, minute by minute, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.outages.imu_classes import IMU_CLASSES, ImuErrors
from geo_nav.evaluation.outages.items import Ahrs, Delivery, Gps, Imu, Registered, Tracked, Wheels
from geo_nav.evaluation.outages.laws import FRAME_RATE, LATENCY, TRACK_LATENCY, Drawn, draw
from geo_nav.evaluation.outages.vehicles import VEHICLES
from geo_nav.fusion import FusionConfig, MotionOrigin
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.simulation import GpsReceiver, Motion, SimulationConfig, camera_mounting, ideal_imu
from geo_nav.simulation.aiding import AttitudeReference
from geo_nav.simulation.imu import gauss_markov

Array = npt.NDArray[np.float64]

FRAME = LocalFrame(47.4, 8.5, 450.0)
GPS_UNTIL = 10.0
"""GPS is cut here unless told otherwise, s, as in the demo."""

_FIRST_FRAME = 1.0013
"""No frame is on the stamp of an IMU sample."""
_AHRS_RATE = 10.0
_GPS_LATENCY = 0.1
_WHEEL_RATE = 10.0
_WHEEL_LATENCY = 0.05
_WHEEL_TIME = 0.2
_PIECE = 60.0
_SCORE_RATE = 5.0


@dataclass(frozen=True)
class JourneyOptions:
    """All that a journey depends on.

    Attributes:
        vehicle: ``aerial`` or ``ground``.
        imu: ``mems`` or ``tactical``.
        seed: of every draw.
        duration: s.
        imu_rate: Hz.
        gaps: whether fields and woods hide the model now and then.
        blackouts: times without any fix or track, s.
        gps_until: GPS fixes end here, s.
        registrations: whether there are any.
        origins: whether the tracks tell theirs, as the nodes do. None of their error is drawn as that of a reference's
            pose, so it changes what they cost and not what they say.
    """

    vehicle: str
    imu: str
    seed: int
    duration: float
    imu_rate: float = 200.0
    gaps: bool = True
    blackouts: tuple[tuple[float, float], ...] = ()
    gps_until: float = GPS_UNTIL
    registrations: bool = True
    origins: bool = False


class Journey:
    """The truth and the sensors of one journey.

    Attributes:
        options: of it.
        config: of fusion.
        T_base_camera: the camera's mounting.
        drawn: what registration made of the frames.
    """

    def __init__(self, options: JourneyOptions) -> None:
        self.options = options
        self._vehicle = VEHICLES[options.vehicle]
        imu = IMU_CLASSES[options.imu]
        self.config = FusionConfig.model_validate({**self._vehicle.config.model_dump(), **imu.settings})
        simulation = SimulationConfig(camera_tilt=self._vehicle.camera_tilt)
        self.T_base_camera = camera_mounting(simulation)
        self._trajectory = self._vehicle.trajectory(options.seed, options.duration)
        end = options.duration - LATENCY
        self.drawn: Drawn = draw(options.seed, _FIRST_FRAME, end, options.gaps, options.blackouts)
        self._errors = ImuErrors(imu, options.seed, options.imu_rate, options.duration)
        rng = np.random.default_rng([options.seed, 80])
        self._gps = GpsReceiver(self._trajectory, simulation, rng)
        self._ahrs = AttitudeReference(self._trajectory, simulation, rng)
        wheels = self.config.wheels
        self._scale = wheels.scale + rng.normal(0.0, wheels.scale_sigma)
        count = int(np.ceil(options.duration * _WHEEL_RATE)) + 1
        self._slip = gauss_markov(rng, count, 1.0 / _WHEEL_RATE, wheels.speed_sigma, _WHEEL_TIME)[:, 0]

    def motion(self, times: Array) -> Motion:
        """The truth at times (N,), s."""
        return self._trajectory.motion(times)

    def items(self) -> Iterator[Delivery]:
        """Everything in order of arrival; made a minute at a time, so that a long journey needs no more memory."""
        waiting: list[Delivery] = []
        for begin in np.arange(0.0, self.options.duration, _PIECE):
            end = min(begin + _PIECE, self.options.duration)
            frames = self._frames(begin, end) if self.options.registrations else []
            made = [*waiting, *self._imu(begin, end), *frames, *self._aiding(begin, end)]
            waiting = sorted(made, key=lambda item: item.arrival)
            due = next((k for k, item in enumerate(waiting) if item.arrival >= end), len(waiting))
            yield from waiting[:due]
            waiting = waiting[due:]

    def _imu(self, begin: float, end: float) -> list[Imu]:
        rate = self.options.imu_rate
        first, last = round(begin * rate), round(end * rate)
        times = np.arange(first, last) / rate
        motion = self.motion(times)
        force, turn = ideal_imu(motion, FRAME)
        shaking = self._vehicle.shaking(np.linalg.norm(motion.velocity, axis=1))
        force, turn = self._errors.corrupted(first, force, turn, shaking)
        every = round(rate / _SCORE_RATE)
        return [
            Imu(t, t, force[k], turn[k], None if k % every else Pose(motion.rotation[k], motion.position[k]))
            for k, t in enumerate(times.tolist())
        ]

    def _frames(self, begin: float, end: float) -> list[Registered | Tracked]:
        """The registrations and tracks of the frames between two times."""
        drawn, out = self.drawn, list[Registered | Tracked]()
        span = [int(k) for k in np.searchsorted(drawn.stamps, [begin, end])]
        earliest = max(0, span[0] - round(10.0 * FRAME_RATE))
        cameras = self._cameras(drawn.stamps[earliest : span[1]])
        for k in range(*span):
            t, camera = float(drawn.stamps[k]), cameras[k - earliest]
            if drawn.accepted[k]:
                R = camera.rotation
                to_map = np.kron(np.eye(2), R)
                covariance = to_map @ drawn.covariances[k] @ to_map.T
                pose = _erring(camera, drawn.errors[k], R)
                out.append(Registered(t + LATENCY, t, pose, 0.5 * (covariance + covariance.T)))
            reference = drawn.reference(k)
            if reference is None:
                continue
            age = t - float(drawn.stamps[reference])
            drift, covariance = drawn.drift(reference)
            begin_pose, covariance = cameras[reference - earliest], age**2 * covariance
            motion = _erring(begin_pose.inverse() @ camera, age * drift, np.eye(3))
            origin = None
            if self.options.origins:
                axes = np.kron(np.eye(2), begin_pose.rotation)
                of_pose = axes @ drawn.covariances[reference] @ axes.T
                origin = MotionOrigin(begin_pose, 0.5 * (of_pose + of_pose.T), np.zeros((6, 6)), covariance)
            out.append(Tracked(t + TRACK_LATENCY, t, t - age, motion, covariance, origin))
        return out

    def _cameras(self, stamps: Array) -> list[Pose]:
        if len(stamps) == 0:
            return []
        motion = self.motion(stamps)
        return [Pose(R, p) @ self.T_base_camera for R, p in zip(motion.rotation, motion.position, strict=True)]

    def _aiding(self, begin: float, end: float) -> list[Gps | Ahrs | Wheels]:
        """GPS while there is any, the AHRS, and the wheels."""
        out: list[Gps | Ahrs | Wheels] = []
        last = min(end, self.options.gps_until)
        for t in _ticks(begin, last, SimulationConfig().gps_rate):
            out.append(Gps(t + _GPS_LATENCY, t, *self._gps.fix(t)))
        for t in _ticks(begin, end, _AHRS_RATE):
            out.append(Ahrs(t, t, *self._ahrs.at(t)))
        if self._vehicle.wheels:
            stamps = np.array(_ticks(begin, end, _WHEEL_RATE))
            for t, v in zip(stamps.tolist(), np.linalg.norm(self.motion(stamps).velocity, axis=1), strict=True):
                speed = self._scale * float(v) + (self._slip[round(t * _WHEEL_RATE)] if v > 0.05 else 0.0)
                out.append(Wheels(t + _WHEEL_LATENCY, t, speed))
        return out


def _ticks(begin: float, end: float, rate: float) -> list[float]:
    """Times of a rate from ``begin`` to before ``end``, s."""
    return [float(t) for t in np.arange(np.ceil(begin * rate - 1e-9), np.ceil(end * rate - 1e-9)) / rate]


def _erring(truth: Pose, error: Array, axes: Array) -> Pose:
    """A pose that is off by an error (6,) in the given axes (3, 3), m and rad."""
    turn = Rotation.from_rotvec(axes @ error[3:]).as_matrix()
    return Pose(turn @ truth.rotation, truth.translation + axes @ error[:3])
