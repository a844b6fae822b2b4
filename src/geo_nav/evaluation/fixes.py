"""Absolute poses of single frames against truth: how many, how right, how fast, and which gate refused the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.metrics import nees, positive_definite
from geo_nav.evaluation.recording import Fix
from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredFix:
    """A fix beside the truth.

    Attributes:
        fix: the fix.
        error_m: distance of the levelled pose's camera centre from truth; NaN without pose or truth.
        alone_error_m: the same of the pose by the frame alone.
        error_deg: angle of the levelled pose to the true orientation; NaN with it, and where the truth has none.
        nees: ``e^T P^-1 e / 6`` of the pose by the frame alone, which is what the graph takes (``/ 3`` of its position
            where the truth has no orientation); NaN with it.
    """

    fix: Fix
    error_m: float
    alone_error_m: float
    error_deg: float
    nees: float


@dataclass(frozen=True)
class FixStatistics:
    """All fixes in numbers.

    Attributes:
        camera_frames: sent by the camera.
        tried: that registration worked on (the others came while it was busy).
        accepted: that passed every gate.
        rejected: that did not, whether or not a pose was found.
        rejected_by_gate: how many each gate refused.
        judged: of the accepted, those with a truth to compare with.
        false_fixes: of the judged, those further from truth than the limit.
        registered_share: accepted a camera frame sent.
        median_error_m: of the accepted, levelled.
        p95_error_m: of the accepted, levelled.
        max_error_m: of the accepted, levelled.
        median_alone_error_m: of the accepted, by the frame alone.
        max_alone_error_m: of the accepted, by the frame alone.
        median_error_deg: of the accepted.
        nees: mean of the accepted, a dimension; 1 is honest.
        inliers_median: of the accepted.
        registration_ms_median: of all tried.
        registration_ms_p90: of all tried.
        stage_ms_median: of each stage.
        longest_gap_s: longest time without an accepted fix.
        latency_s_median: from exposure to the fix's arrival; NaN where the clocks differ.
    """

    camera_frames: int
    tried: int
    accepted: int
    rejected: int
    rejected_by_gate: dict[str, int]
    judged: int
    false_fixes: int
    registered_share: float
    median_error_m: float
    p95_error_m: float
    max_error_m: float
    median_alone_error_m: float
    max_alone_error_m: float
    median_error_deg: float
    nees: float
    inliers_median: float
    registration_ms_median: float
    registration_ms_p90: float
    stage_ms_median: dict[str, float]
    longest_gap_s: float
    latency_s_median: float


def score_fixes(
    fixes: Sequence[Fix],
    truth: TimedPoses,
    T_base_camera: Pose | None,
    max_truth_gap: float,
    truth_sigma: Array | None = None,
    has_orientation: bool = True,
) -> list[ScoredFix]:
    """Each fix beside the true camera pose at its stamp.

    Args:
        fixes: in the order of stamps.
        truth: `base_link` in `map`.
        T_base_camera: the camera in `base_link`; without it no error is known.
        max_truth_gap: see :meth:`TimedPoses.covers`, s.
        truth_sigma: (N, 3) the truth's own 1 sigma, m, which the NEES allows for; none when None.
        has_orientation: whether the truth has one of its own; else it is only there to carry the lever arm.
    """
    stamps = np.array([fix.stamp for fix in fixes])
    covered = truth.covers(stamps, max_truth_gap)
    times, where = np.unique(stamps[covered], return_inverse=True)
    true_base = truth.at(times)
    index = np.full(len(fixes), -1)
    index[covered] = where
    scored = []
    for fix, k in zip(fixes, index, strict=True):
        pose, alone = fix.T_map_camera_levelled, fix.T_map_camera
        if pose is None or alone is None or k < 0 or T_base_camera is None:
            scored.append(ScoredFix(fix, *[float("nan")] * 4))
            continue
        T_true = true_base.pose(int(k)) @ T_base_camera
        angle = float(np.degrees(pose.angle_to(T_true))) if has_orientation else float("nan")
        sigma = np.zeros(3) if truth_sigma is None else _interpolated(times[k], truth.stamps, truth_sigma)
        honesty = _nees(fix, T_true, sigma, 6 if has_orientation else 3)
        scored.append(ScoredFix(fix, pose.distance_to(T_true), alone.distance_to(T_true), angle, honesty))
    return scored


def _interpolated(stamp: float, stamps: Array, columns: Array) -> Array:
    return np.array([np.interp(stamp, stamps, column) for column in columns.T])


def _nees(fix: Fix, T_true: Pose, sigma: Array, dimensions: int) -> float:
    if fix.T_map_camera is None or fix.covariance is None or not positive_definite(fix.covariance[None])[0]:
        return float("nan")
    P = fix.covariance + np.diag(np.concatenate([sigma**2, np.zeros(3)]))
    e = error_vector(fix.T_map_camera, T_true)[:dimensions]
    return float(nees(e[None], P[None, :dimensions, :dimensions])[0] / dimensions)


def fix_statistics(
    scored: Sequence[ScoredFix],
    camera_frames: int,
    longest_gap_s: float,
    false_fix_distance: float,
    same_clock: bool,
) -> FixStatistics:
    """Counts and quantiles.

    Args:
        scored: the fixes of the time that is judged.
        camera_frames: that the camera sent in that time.
        longest_gap_s: see :func:`longest_gap`, of every accepted fix, whether or not it is scored.
        false_fix_distance: an accepted fix further from truth than this is false, m.
        same_clock: whether arrivals are on the clock of the stamps.
    """
    accepted = [s for s in scored if s.fix.accepted]
    errors, alone = np.array([(s.error_m, s.alone_error_m) for s in accepted]).reshape(-1, 2).T
    milliseconds = np.array([s.fix.milliseconds for s in scored if s.fix.milliseconds > 0])
    gates = Counter(s.fix.gate or "unknown" for s in scored if not s.fix.accepted)
    return FixStatistics(
        camera_frames=camera_frames,
        tried=len(scored),
        accepted=len(accepted),
        rejected=len(scored) - len(accepted),
        rejected_by_gate=dict(gates.most_common()),
        judged=int(np.isfinite(errors).sum()),
        false_fixes=int((errors > false_fix_distance).sum()),
        registered_share=len(accepted) / camera_frames if camera_frames else float("nan"),
        median_error_m=quantile(errors, 0.5),
        p95_error_m=quantile(errors, 0.95),
        max_error_m=quantile(errors, 1.0),
        median_alone_error_m=quantile(alone, 0.5),
        max_alone_error_m=quantile(alone, 1.0),
        median_error_deg=quantile(np.array([s.error_deg for s in accepted]), 0.5),
        nees=_mean(np.array([s.nees for s in accepted])),
        inliers_median=quantile(np.array([float(s.fix.inliers) for s in accepted]), 0.5),
        registration_ms_median=quantile(milliseconds, 0.5),
        registration_ms_p90=quantile(milliseconds, 0.9),
        stage_ms_median=_stage_medians(scored),
        longest_gap_s=longest_gap_s,
        latency_s_median=quantile(np.array([s.fix.received - s.fix.stamp for s in scored if same_clock]), 0.5),
    )


def longest_gap(stamps: Array, begin: float, end: float) -> float:
    """Longest time between two neighbours of ``begin``, the stamps (N,) in between, and ``end``, s."""
    inside = stamps[(stamps >= begin) & (stamps <= end)]
    return float(np.diff(np.concatenate([[begin], inside, [end]])).max())


def _stage_medians(scored: Sequence[ScoredFix]) -> dict[str, float]:
    names = dict.fromkeys(name for s in scored for name in s.fix.stages)
    return {
        name: quantile(np.array([s.fix.stages[name] for s in scored if name in s.fix.stages]), 0.5) for name in names
    }


def quantile(values: Array, q: float) -> float:
    """A quantile of the finite values; NaN of nothing."""
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, q)) if len(finite) else float("nan")


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
