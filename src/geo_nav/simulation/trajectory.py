"""Smooth motion: pose, velocity, acceleration and angular rate as exact derivatives of one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline, make_interp_spline
from scipy.spatial.transform import Rotation, RotationSpline

from geo_nav.geodesy import Pose
from geo_nav.simulation.errors import SimulationError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion of `base_link` at N instants; N is left out for one instant.

    Attributes:
        position: (N, 3) in `map`, m.
        velocity: (N, 3) in `map`, m/s.
        acceleration: (N, 3) in `map`, m/s², of the coordinates (gravity is not in it).
        rotation: (N, 3, 3) of T_map_base.
        angular_velocity: (N, 3) of base_link relative to map, in base_link, rad/s.
    """

    position: Array
    velocity: Array
    acceleration: Array
    rotation: Array
    angular_velocity: Array

    def pose(self) -> Pose:
        """``T_map_base`` of one instant."""
        return Pose(self.rotation, self.position)

    @property
    def T_map_base(self) -> Pose:
        """`base_link` in `map` at one instant."""
        return self.pose()


class Trajectory(Protocol):
    """Anything that can say how the vehicle moves between two instants."""

    start: float
    end: float

    def motion(self, times: npt.ArrayLike) -> Motion:
        """The motion at times (N,) or at one time, s.

        Raises:
            SimulationError: a time lies outside ``start`` … ``end``.
        """
        ...


def check_times(trajectory: Trajectory, times: Array) -> None:
    """Raises:
    SimulationError: a time is not finite or lies outside the trajectory.
    """
    slack = 1e-6
    if times.size and not (times.min() >= trajectory.start - slack and times.max() <= trajectory.end + slack):
        raise SimulationError(
            f"the motion is known from {trajectory.start:.3f} s to {trajectory.end:.3f} s, "
            f"asked for {times.min():.3f} s to {times.max():.3f} s"
        )


def right_jacobian(rotation_vectors: Array) -> Array:
    """(N, 3, 3) right Jacobian of SO(3) at rotation vectors (N, 3), rad."""
    angle = np.linalg.norm(rotation_vectors, axis=1)[:, None, None]
    x, y, z = rotation_vectors.T
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    small = np.maximum(angle, 1e-4)
    a = np.where(angle < 1e-4, 0.5 - angle**2 / 24, (1 - np.cos(small)) / small**2)
    b = np.where(angle < 1e-4, 1 / 6 - angle**2 / 120, (small - np.sin(small)) / small**3)
    out: Array = np.eye(3) - a * skew + b * skew @ skew
    return out


class PoseSpline:
    """A smooth trajectory through sparse timed poses, for example those of a photo flight.

    Position is a quintic spline (four continuous derivatives), rotation a spline with continuous angular
    acceleration; both meet every pose.

    Args:
        times: (N,) seconds, increasing, N ≥ 6.
        poses: N poses ``T_map_base``.

    Raises:
        SimulationError: too few poses, or times that do not increase.
    """

    def __init__(self, times: npt.ArrayLike, poses: Sequence[Pose]) -> None:
        t = np.asarray(times, np.float64)
        if len(t) < 6 or len(t) != len(poses):
            raise SimulationError(f"a trajectory needs 6 timed poses or more, got {len(t)} times, {len(poses)} poses")
        if not (np.isfinite(t).all() and (np.diff(t) > 0).all()):
            raise SimulationError("the times of a trajectory must be finite and increase")
        self.start, self.end = float(t[0]), float(t[-1])
        self._position = make_interp_spline(t, np.stack([p.translation for p in poses]), k=5)
        self._rotation = RotationSpline(t, Rotation.from_matrix(np.stack([p.rotation for p in poses])))

    def motion(self, times: npt.ArrayLike) -> Motion:
        """See :class:`Trajectory`."""
        t = np.atleast_1d(np.asarray(times, np.float64))
        check_times(self, t)
        t = np.clip(t, self.start, self.end)
        out = Motion(
            self._position(t),
            self._position(t, 1),
            self._position(t, 2),
            self._rotation(t).as_matrix(),
            self._rotation(t, 1),
        )
        return _like(out, times)


class FlightSpline:
    """A vehicle that flies a position spline in coordinated turns.

    The x axis points along the airspeed, raised by the angle of attack; the z axis lies along the specific force,
    so that a turn is banked and nothing is felt sideways. Turbulence rocks it about that attitude.

    Args:
        position: spline (3,) in `map`, m, with at least four continuous derivatives.
        start: first instant, s.
        end: last instant, s.
        wind: (3,) in `map`, m/s.
        disturbance: spline (3,) of small rotation vectors in the body frame, rad.
        gravity: m/s².
        angle_of_attack: rad.
    """

    def __init__(
        self,
        position: BSpline,
        start: float,
        end: float,
        wind: Array,
        disturbance: BSpline,
        gravity: float,
        angle_of_attack: float = 0.05,
    ) -> None:
        self.start, self.end = start, end
        self._p = [position.derivative(n) if n else position for n in range(4)]
        self._d = [disturbance, disturbance.derivative()]
        self._wind, self._gravity = wind, gravity
        self._attack = Rotation.from_euler("y", -angle_of_attack).as_matrix()

    def motion(self, times: npt.ArrayLike) -> Motion:
        """See :class:`Trajectory`."""
        t = np.atleast_1d(np.asarray(times, np.float64))
        check_times(self, t)
        t = np.clip(t, self.start, self.end)
        p, v, a, j = (spline(t) for spline in self._p)
        frame, rate = self._coordinated(v - self._wind, a, j)
        delta, delta_dot = self._d[0](t), self._d[1](t)
        rock = Rotation.from_rotvec(delta).as_matrix()
        turn = self._attack @ rock
        rotation = frame @ turn
        omega = np.einsum("nij,ni->nj", turn, rate) + np.einsum("nij,nj->ni", right_jacobian(delta), delta_dot)
        return _like(Motion(p, v, a, rotation, omega), times)

    def _coordinated(self, airspeed: Array, a: Array, j: Array) -> tuple[Array, Array]:
        """Axes (N, 3, 3) of the undisturbed vehicle, and their rate (N, 3) in those axes."""
        x, x_dot = _unit_with_rate(airspeed, a)
        force = a + np.array([0.0, 0.0, self._gravity])
        along = (x * force).sum(1, keepdims=True)
        along_dot = (x_dot * force + x * j).sum(1, keepdims=True)
        z, z_dot = _unit_with_rate(force - along * x, j - along_dot * x - along * x_dot)
        y = np.cross(z, x)
        y_dot = np.cross(z_dot, x) + np.cross(z, x_dot)
        rate = np.column_stack([(z * y_dot).sum(1), (x * z_dot).sum(1), (y * x_dot).sum(1)])
        return np.stack([x, y, z], axis=2), rate


def _unit_with_rate(vector: Array, rate: Array) -> tuple[Array, Array]:
    """Unit vectors (N, 3), and their derivatives, of vectors with known derivatives."""
    norm = np.linalg.norm(vector, axis=1, keepdims=True)
    unit = vector / norm
    return unit, (rate - unit * (unit * rate).sum(1, keepdims=True)) / norm


def _like(motion: Motion, times: npt.ArrayLike) -> Motion:
    if np.ndim(times) > 0:
        return motion
    return Motion(
        motion.position[0], motion.velocity[0], motion.acceleration[0], motion.rotation[0], motion.angular_velocity[0]
    )
