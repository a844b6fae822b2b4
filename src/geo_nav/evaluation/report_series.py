"""A run's series made small enough for a page: what is drawn, and what the page's script looks up."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.fixes import ScoredFix
from geo_nav.evaluation.integrity import states_at
from geo_nav.evaluation.summary import number
from geo_nav.fusion.types import NavigationState

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_COLUMNS = 1200
"""Columns of pixels that a plot over time has at most; each needs its least and its greatest value."""
_MOMENTS = 3000
_MOMENT_SECONDS = 0.2
_LEAD = 0.15
"""Share of the outage that is shown of the time before it."""


def extremes(values: Array, columns: int = _COLUMNS) -> Indices:
    """Indices that keep the look of a long series: the least and the greatest value of each column of pixels.

    Args:
        values: (N,) evenly drawn; NaN is kept only where a whole column has nothing else.
        columns: of pixels.

    Returns:
        increasing indices, at most ``2 * columns + 2``; all N where there are no more. The first and last are kept.
    """
    count = len(values)
    if count <= 2 * columns:
        return np.arange(count)
    edges = np.linspace(0, count, columns + 1).astype(int)
    finite = np.isfinite(values)
    low, high = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
    kept = {0, count - 1}
    for first, last in pairwise(edges.tolist()):
        kept.update((first + int(low[first:last].argmin()), first + int(high[first:last].argmax())))
    return np.array(sorted(kept), dtype=np.intp)


def time_range(evaluation: RunEvaluation) -> tuple[float, float]:
    """First and last time that a plot shows at first, s since the GPS cut: the outage, and a little before it."""
    outage = evaluation.end - evaluation.begin
    before = evaluation.begin - float(evaluation.recording.odometry.poses.stamps[0])
    return -min(max(before, 0.0), _LEAD * outage), outage


def beginning(evaluation: RunEvaluation) -> str:
    """What happened at time 0, in words: GPS was cut, or, where it never served as a measurement, the run began."""
    recording = evaluation.recording
    said = recording.info.gps_cut is not None or recording.announced_gps_cut is not None
    return "GPS was cut" if said or (len(recording.gps) and not recording.gps_is_truth) else "the run began"


def verdict(scored: ScoredFix, false_fix_distance: float) -> str:
    """``accepted``, ``rejected``, or ``false``: accepted, yet further from truth than the limit (m)."""
    if not scored.fix.accepted:
        return "rejected"
    return "false" if scored.error_m > false_fix_distance else "accepted"


def told(scored: ScoredFix) -> str:
    """A fix in a line of words."""
    fix = scored.fix
    words = [f"{fix.inliers} of {fix.matches} matches agree"]
    if math.isfinite(scored.error_m):
        angle = f" and {number(scored.error_deg, '°')}" if math.isfinite(scored.error_deg) else ""
        words.append(f"off by {number(scored.error_m, 'm')}{angle}")
    if not fix.accepted:
        words.append(f"{fix.gate.replace('_', ' ')}: {fix.reason or 'no reason given'}")
    return " · ".join(words)


def moment_stamps(evaluation: RunEvaluation) -> Array:
    """(M,) stamps of odometry that the page can point at, evenly over the run, and at every sparse score stamp, s."""
    stamps = evaluation.recording.odometry.poses.stamps
    stamps = stamps[stamps <= evaluation.end]
    step = max(_MOMENT_SECONDS, float(stamps[-1] - stamps[0]) / _MOMENTS)
    wanted = np.append(np.arange(stamps[0], stamps[-1], step), stamps[-1])
    if len(evaluation.errors) < _MOMENTS / 3:
        wanted = np.concatenate([wanted, evaluation.errors.stamps])
    return np.unique(stamps[_nearest(stamps, wanted)])


def error_at(evaluation: RunEvaluation, stamps: Array) -> Array:
    """(M,) 3D error at each of M stamps, m; NaN where none is scored so near as two odometry messages may be apart."""
    known = evaluation.errors.stamps
    nearest = _nearest(known, stamps)
    near = np.abs(known[nearest] - stamps) <= evaluation.config.max_estimate_gap / 2.0
    return np.where(near, evaluation.errors.distance[nearest], np.nan)


def _nearest(stamps: Array, wanted: Array) -> Indices:
    right = np.clip(np.searchsorted(stamps, wanted), 0, len(stamps) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(stamps[left] - wanted) < np.abs(stamps[right] - wanted), left, right)


def state_names(evaluation: RunEvaluation, stamps: Array) -> list[str]:
    """Name of the navigation state at each of M stamps; "unknown" before the first status."""
    names = {int(state): state.name for state in NavigationState}
    return [names.get(int(state), "unknown") for state in states_at(evaluation.recording.status, stamps)]


def moments(evaluation: RunEvaluation) -> dict[str, Any]:
    """What the page's script says of a time.

    Returns:
        `since`: see :func:`beginning`. `track`: lists `t` (s since then), `east`, `north` (m in `map`), `error` (3D,
        m; None where not scored), `sigma` (claimed 1 sigma of the position in 3D, m), `state`. `fixes`: lists `t`,
        `verdict`, `text`.
    """
    poses, covariances = evaluation.recording.odometry.poses, evaluation.recording.odometry.covariances
    stamps = moment_stamps(evaluation)
    where = np.searchsorted(poses.stamps, stamps)
    sigma = np.sqrt(np.maximum(np.trace(covariances[where, :3, :3], axis1=1, axis2=2), 0.0))
    limit = evaluation.config.false_fix_distance
    return {
        "since": beginning(evaluation),
        "track": {
            "t": _rounded(stamps - evaluation.begin, 3),
            "east": _rounded(poses.positions[where, 0], 2),
            "north": _rounded(poses.positions[where, 1], 2),
            "error": _rounded(error_at(evaluation, stamps), 3),
            "sigma": _rounded(sigma, 3),
            "state": state_names(evaluation, stamps),
        },
        "fixes": {
            "t": _rounded(np.array([s.fix.stamp for s in evaluation.fixes]) - evaluation.begin, 3),
            "verdict": [verdict(s, limit) for s in evaluation.fixes],
            "text": [told(s) for s in evaluation.fixes],
        },
    }


def _rounded(values: Array, digits: int) -> list[float | None]:
    return [round(x, digits) if math.isfinite(x) else None for x in values.tolist()]
