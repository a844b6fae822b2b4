"""A vehicle that shakes: fast small rotations on top of a trajectory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.simulation.trajectory import Motion, Trajectory, right_jacobian

Array = npt.NDArray[np.float64]


class ShakenTrajectory:
    """A trajectory with two rotary vibrations about every body axis.

    Args:
        trajectory: without the shaking.
        rate: 1 sigma of the angular rate that each axis gains, rad/s.
        frequency: about which the vibrations lie, Hz.
        rng: draws their phases and exact frequencies.
    """

    def __init__(self, trajectory: Trajectory, rate: float, frequency: float, rng: np.random.Generator) -> None:
        self._trajectory = trajectory
        self.start, self.end = trajectory.start, trajectory.end
        # (2, 3): two lines an axis, which beat; each has half of the variance.
        self._omega = 2 * np.pi * frequency * rng.uniform(0.75, 1.25, (2, 3))
        self._phase = rng.uniform(0.0, 2 * np.pi, (2, 3))
        self._amplitude = rate / self._omega

    def motion(self, times: npt.ArrayLike) -> Motion:
        """See :class:`~geo_nav.simulation.Trajectory`."""
        calm = self._trajectory.motion(times)
        angle = np.atleast_1d(np.asarray(times, np.float64))[:, None, None] * self._omega + self._phase
        delta = (self._amplitude * np.sin(angle)).sum(axis=1)
        delta_dot = (self._amplitude * self._omega * np.cos(angle)).sum(axis=1)
        shake = Rotation.from_rotvec(delta).as_matrix()
        omega = np.einsum("nji,nj->ni", shake, np.atleast_2d(calm.angular_velocity))
        omega += np.einsum("nij,nj->ni", right_jacobian(delta), delta_dot)
        rotation = calm.rotation.reshape(-1, 3, 3) @ shake
        return Motion(
            calm.position,
            calm.velocity,
            calm.acceleration,
            rotation.reshape(calm.rotation.shape),
            omega.reshape(calm.angular_velocity.shape),
        )
