"""Timed poses: interpolation, association, and the TUM file format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

UNIT_TOLERANCE = 1e-2
"""A quaternion whose length is off from one by more is none."""


@dataclass(frozen=True, eq=False)
class TimedPoses:
    """Poses of one frame in another, in the order of time.

    Attributes:
        stamps: (N,) seconds, strictly increasing.
        positions: (N, 3) metres.
        quaternions: (N, 4) x y z w, unit length.
    """

    stamps: Array
    positions: Array
    quaternions: Array

    def __post_init__(self) -> None:
        stamps = np.array(self.stamps, dtype=np.float64).reshape(-1)
        positions = np.array(self.positions, dtype=np.float64).reshape(-1, 3)
        quaternions = np.array(self.quaternions, dtype=np.float64).reshape(-1, 4)
        if not len(stamps) == len(positions) == len(quaternions):
            raise EvaluationError(
                f"a trajectory has {len(stamps)} stamps, {len(positions)} positions and {len(quaternions)} quaternions"
            )
        if not (np.isfinite(stamps).all() and np.isfinite(positions).all() and np.isfinite(quaternions).all()):
            raise EvaluationError("a trajectory has numbers that are not finite")
        if (np.diff(stamps) <= 0).any():
            raise EvaluationError("the stamps of a trajectory must increase")
        norms = np.linalg.norm(quaternions, axis=1)
        if (np.abs(norms - 1.0) > UNIT_TOLERANCE).any():
            raise EvaluationError("a trajectory has a quaternion that is not of unit length")
        object.__setattr__(self, "stamps", stamps)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "quaternions", quaternions / norms[:, None])

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def rotations(self) -> Rotation:
        """The N orientations."""
        return Rotation.from_quat(self.quaternions)

    @property
    def length(self) -> float:
        """Length of the path, metres."""
        return float(np.linalg.norm(np.diff(self.positions, axis=0), axis=1).sum())

    def pose(self, index: int) -> Pose:
        """One of the poses."""
        return Pose.from_quaternion(self.quaternions[index], self.positions[index])

    def select(self, which: Mask) -> TimedPoses:
        """The poses where ``which`` (N,) is true."""
        return TimedPoses(self.stamps[which], self.positions[which], self.quaternions[which])

    def covers(self, stamps: npt.ArrayLike, max_gap: float) -> Mask:
        """(M,) whether each stamp lies on a pose, or between two that are at most ``max_gap`` seconds apart."""
        t = np.asarray(stamps, dtype=np.float64)
        if len(self) == 0:
            return np.zeros(len(t), bool)
        right = np.searchsorted(self.stamps, t)
        exact = self.stamps[np.minimum(right, len(self) - 1)] == t
        inside = (right > 0) & (right < len(self))
        r = np.clip(right, 1, max(len(self) - 1, 1))
        short = np.zeros(len(t), bool)
        if len(self) > 1:
            short = (self.stamps[r] - self.stamps[r - 1]) <= max_gap
        covered: Mask = exact | (inside & short)
        return covered

    def at(self, stamps: npt.ArrayLike) -> TimedPoses:
        """Poses at other stamps: positions linear, orientations by slerp.

        Args:
            stamps: (M,) seconds, strictly increasing, within the trajectory's time.

        Raises:
            EvaluationError: a stamp lies outside the trajectory.
        """
        t = np.asarray(stamps, dtype=np.float64)
        if len(t) == 0:
            return TimedPoses(t, np.zeros((0, 3)), np.zeros((0, 4)))
        if len(self) == 0 or t[0] < self.stamps[0] or t[-1] > self.stamps[-1]:
            raise EvaluationError("a trajectory is asked for a time that it does not cover")
        if len(self) == 1:
            return self
        positions = np.column_stack([np.interp(t, self.stamps, self.positions[:, k]) for k in range(3)])
        return TimedPoses(t, positions, Slerp(self.stamps, self.rotations)(t).as_quat())


def sorted_unique(stamps: Array) -> npt.NDArray[np.intp]:
    """Indices that put stamps in order and keep the first of equal ones."""
    order = np.argsort(stamps, kind="stable")
    keep = np.ones(len(order), bool)
    keep[1:] = np.diff(stamps[order]) > 0
    return np.asarray(order[keep], dtype=np.intp)


def read_tum(path: Path) -> TimedPoses:
    """Poses from a TUM file: lines ``stamp x y z qx qy qz qw``, `#` begins a comment.

    Raises:
        EvaluationError: the file is missing or a line has other than eight numbers.
    """
    try:
        table = np.loadtxt(path, comments="#", ndmin=2, dtype=np.float64)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read as a TUM trajectory: {error}") from error
    if table.ndim != 2 or table.shape[1] != 8:
        raise EvaluationError(f"{path}: a TUM line has eight numbers (stamp x y z qx qy qz qw), not {table.shape[-1]}")
    table = table[sorted_unique(table[:, 0])]
    return TimedPoses(table[:, 0], table[:, 1:4], table[:, 4:8])


def write_tum(path: Path, poses: TimedPoses) -> None:
    """Writes poses as a TUM file, which `evo` and others read; stamps to the nanosecond."""
    table = np.column_stack([poses.stamps, poses.positions, poses.quaternions])
    np.savetxt(path, table, fmt=["%.9f", *["%.6f"] * 3, *["%.9f"] * 4], header="stamp x y z qx qy qz qw")
