"""Relative pose error (RPE): how far the estimate drifts over a stretch of path or time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.metrics import rms
from geo_nav.evaluation.trajectory import TimedPoses

Array = npt.NDArray[np.float64]
Pairs = npt.NDArray[np.intp]

DELTAS: tuple[tuple[float, str], ...] = ((10.0, "m"), (100.0, "m"), (1.0, "s"))
"""Stretches over which RPE is told: a length of the true path (m), or a time (s)."""
_ROUNDING = 1e-6
_SPARSE = 1.1


@dataclass(frozen=True)
class RelativeError:
    """RPE over one delta; NaN where the poses are too few or too sparse for it.

    Attributes:
        delta: length of the stretches.
        unit: its unit, ``m`` or ``s``.
        pairs: how many stretches there are.
        translation_rms_m: root mean square of the translation part.
        translation_median_m: its median.
        translation_max_m: its greatest.
        rotation_rms_deg: root mean square of the angle; NaN where the truth has no orientation.
        rotation_max_deg: the greatest angle, with it.
    """

    delta: float
    unit: str
    pairs: int
    translation_rms_m: float
    translation_median_m: float
    translation_max_m: float
    rotation_rms_deg: float
    rotation_max_deg: float


def relative_error(
    estimate: TimedPoses, truth: TimedPoses, delta: float, unit: str, has_orientation: bool = True
) -> RelativeError:
    """RPE of poses that have the same stamps as the true ones.

    As evo defines it (its `RPE` with ``pairs_from_reference``), after Sturm et al., "A benchmark for the evaluation of
    RGB-D SLAM systems", IROS 2012: ``E = (Q_i^-1 Q_j)^-1 (P_i^-1 P_j)`` for true poses Q and estimated P, over
    consecutive stretches from i to j, each of which ends at the first pose that is at least ``delta`` from its begin.
    Where half of them are longer than ``delta`` by more than a tenth, nothing is told: the poses are too sparse.

    Args:
        estimate: N poses.
        truth: the N true ones; without an orientation of their own, those of the estimate.
        delta: length of a stretch.
        unit: ``m`` of true path, or ``s``.
        has_orientation: whether the truth has its own; else only the translation part is told.
    """
    steps = _steps(truth, unit)
    pairs = stretches(steps, delta)
    nan = float("nan")
    i, j = pairs.T
    gone = np.concatenate([[0.0], np.cumsum(steps)])
    if len(pairs) == 0 or np.median(gone[j] - gone[i]) > _SPARSE * delta:
        return RelativeError(delta, unit, 0, nan, nan, nan, nan, nan)
    translation_q, rotation_q = _relative(truth, i, j)
    translation_p, rotation_p = _relative(estimate, i, j)
    # The translation of E is turned by Q_i^-1 Q_j, which leaves its length.
    distance = np.linalg.norm(translation_p - translation_q, axis=1)
    angle = np.degrees((rotation_q.inv() * rotation_p).magnitude())
    return RelativeError(
        delta,
        unit,
        len(pairs),
        rms(distance),
        float(np.median(distance)),
        float(distance.max()),
        rms(angle) if has_orientation else nan,
        float(angle.max()) if has_orientation else nan,
    )


def _steps(truth: TimedPoses, unit: str) -> Array:
    """(N-1,) from each pose to the next, m or s."""
    if unit == "m":
        return np.asarray(np.linalg.norm(np.diff(truth.positions, axis=0), axis=1))
    return np.diff(truth.stamps)


def stretches(steps: Array, delta: float) -> Pairs:
    """(K, 2) first and last index of consecutive stretches, each at least ``delta`` long, of (N-1,) steps."""
    ends, gone = [0], 0.0
    for k, step in enumerate(steps.tolist(), start=1):
        gone += step
        # Stamps are binary fractions: ten steps of 0.1 s may sum up to a little less than a second.
        if gone >= delta - _ROUNDING:
            ends.append(k)
            gone = 0.0
    return np.array([ends[:-1], ends[1:]], dtype=np.intp).T


def _relative(poses: TimedPoses, i: Pairs, j: Pairs) -> tuple[Array, Rotation]:
    """Translation (K, 3) and rotation of ``P_i^-1 P_j``."""
    rotations = poses.rotations
    back = rotations[i].inv()
    return back.apply(poses.positions[j] - poses.positions[i]), back * rotations[j]
