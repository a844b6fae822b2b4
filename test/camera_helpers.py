"""What the tests of the camera's calibration share: flights, and fixes of a camera whose clock and mounting are off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from fusion_helpers import FIX_SIGMAS, T_BASE_CAMERA, Array, Fix, Flight, Trace, World, new_fusion, run
from geo_nav.fusion import Fusion
from geo_nav.fusion.camera import CameraCalibrationConfig
from geo_nav.geodesy import Pose
from sensor_helpers import Event


class Manoeuvres(Flight):
    """Turns with up to 45° of bank to either side, climbs, and a speed that varies between 11 and 19 m/s or so."""

    _X = ((52.0, 0.25, 0.0), (9.0, 0.41, 1.0))
    _Y = ((26.0, 0.5, 0.0), (8.0, 0.37, 0.5))
    _Z = ((8.0, 0.31, 0.0), (3.0, 0.53, 2.0))

    def _sum(self, t: npt.ArrayLike, order: int) -> Array:
        t = np.asarray(t, dtype=np.float64)
        return np.stack(
            [
                sum(a * w**order * np.sin(w * t + p + 0.5 * np.pi * order) for a, w, p in axis)
                for axis in (self._X, self._Y, self._Z)
            ],
            axis=-1,
        )

    def position(self, t: npt.ArrayLike) -> Array:
        return self._sum(t, 0) + np.array([0.0, 0.0, 150.0])

    def velocity(self, t: npt.ArrayLike) -> Array:
        return self._sum(t, 1)

    def acceleration(self, t: npt.ArrayLike) -> Array:
        return self._sum(t, 2)


class Straight(Flight):
    """Level, to the north-east at 15 m/s, without a turn."""

    _VELOCITY = 15.0 * np.array([np.cos(0.7), np.sin(0.7), 0.0])

    def position(self, t: npt.ArrayLike) -> Array:
        return np.multiply.outer(np.asarray(t, dtype=np.float64), self._VELOCITY) + np.array([0.0, 0.0, 150.0])

    def velocity(self, t: npt.ArrayLike) -> Array:
        return np.zeros((*np.shape(t), 3)) + self._VELOCITY

    def acceleration(self, t: npt.ArrayLike) -> Array:
        return np.zeros((*np.shape(t), 3))


def misfit(
    world: World, late: float = 0.0, rotation: npt.ArrayLike = (0, 0, 0), translation: npt.ArrayLike = (0, 0, 0)
) -> list[Fix]:
    """The fixes of a world whose camera is ``late`` and mounted at ``T_BASE_CAMERA · Exp(rotation, translation)``."""
    rng = np.random.default_rng([world.seed, 11])
    error = Pose(Rotation.from_rotvec(rotation).as_matrix(), np.asarray(translation, dtype=np.float64))
    fixes = []
    for fix in world.fixes:
        truth = world.flight.pose(fix.stamp - late) @ T_BASE_CAMERA @ error
        noise = rng.normal(0.0, FIX_SIGMAS)
        measured = Pose(Rotation.from_rotvec(noise[3:]).as_matrix() @ truth.rotation, truth.translation + noise[:3])
        fixes.append(Fix(fix.stamp, fix.arrival, measured, fix.covariance))
    return fixes


def motions(world: World, fixes: list[Fix], late: float, rotation: npt.ArrayLike) -> list[Event]:
    """Frames tracked at 5 Hz for a second from each fix on, by the same camera; the flow drifts by 5 cm and 0.03°."""
    rng = np.random.default_rng([world.seed, 13])
    mounting = T_BASE_CAMERA @ Pose(Rotation.from_rotvec(rotation).as_matrix(), np.zeros(3))
    sigmas = np.array([0.05, 0.05, 0.05, *np.radians([0.03, 0.03, 0.03])])
    events = []
    for fix in fixes:
        error = np.zeros(6)
        for age in (0.4, 0.6, 0.8, 1.0):
            error = error + rng.normal(0.0, sigmas * np.sqrt(0.4 if age == 0.4 else 0.2))
            begin, end = (world.flight.pose(t - late) @ mounting for t in (fix.stamp, fix.stamp + age))
            truth = begin.inverse() @ end
            motion = Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ truth.rotation, truth.translation + error[:3])
            stamps, covariance = (fix.stamp, fix.stamp + age), np.diag(sigmas**2 * age)
            events.append(
                Event(stamps[1] + 0.08, lambda f, s=stamps, m=motion, c=covariance: f.add_relative_pose(*s, m, c))
            )
    return events


def fly(
    world: World, fixes: list[Fix], camera: CameraCalibrationConfig, update_every: float = 0.2, **changes: object
) -> tuple[Fusion, Trace]:
    """A start from fixes, and the flight."""
    fusion = new_fusion(camera=camera, **changes)
    return fusion, run(fusion, world, [f for f in fixes if f.stamp > 0.3], update_every=update_every)
