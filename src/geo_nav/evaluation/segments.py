"""Errors and fixes of a run by segment, of time and of path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.fixes import ScoredFix
from geo_nav.evaluation.metrics import PoseErrors, rms
from geo_nav.evaluation.trajectory import TimedPoses

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """A part of a run; NaN where nothing in it is scored.

    Attributes:
        begin_s: since the GPS cut.
        end_s: since the GPS cut.
        begin_m: true path since the GPS cut.
        end_m: the same at its end.
        samples: scored stamps.
        rms_3d_m: root mean square of the 3D position error.
        rms_horizontal_m: of east and north together.
        rms_vertical_m: of up.
        max_3d_m: the greatest 3D position error.
        fixes_tried: frames that registration tried.
        fixes_accepted: of them.
        false_fixes: of the accepted.
    """

    begin_s: float
    end_s: float
    begin_m: float
    end_m: float
    samples: int
    rms_3d_m: float
    rms_horizontal_m: float
    rms_vertical_m: float
    max_3d_m: float
    fixes_tried: int
    fixes_accepted: int
    false_fixes: int


def segments(
    errors: PoseErrors,
    fixes: Sequence[ScoredFix],
    truth: TimedPoses,
    edges: Array,
    false_fix_distance: float,
) -> list[Segment]:
    """The parts of a run between neighbouring edges; the last takes its own end in.

    Args:
        errors: of the run.
        fixes: of the run.
        truth: the true path from begin to end.
        edges: (K+1,) stamps, increasing; see :func:`time_edges` and :func:`path_edges`.
        false_fix_distance: an accepted fix further from truth than this is false, m.
    """
    tried = np.array([s.fix.stamp for s in fixes])
    accepted = np.array([s.fix.accepted for s in fixes], dtype=bool)
    false = accepted & (np.array([s.error_m for s in fixes]) > false_fix_distance)
    gone = np.interp(edges, truth.stamps, _path(truth))
    out = []
    for k in range(len(edges) - 1):
        inside = _between(errors.stamps, edges, k)
        frames = _between(tried, edges, k)
        distance = errors.distance[inside]
        out.append(
            Segment(
                begin_s=float(edges[k] - edges[0]),
                end_s=float(edges[k + 1] - edges[0]),
                begin_m=float(gone[k]),
                end_m=float(gone[k + 1]),
                samples=int(inside.sum()),
                rms_3d_m=rms(distance),
                rms_horizontal_m=rms(errors.horizontal[inside]),
                rms_vertical_m=rms(errors.position[inside, 2]),
                max_3d_m=float(distance.max()) if len(distance) else float("nan"),
                fixes_tried=int(frames.sum()),
                fixes_accepted=int((frames & accepted).sum()),
                false_fixes=int((frames & false).sum()),
            )
        )
    return out


def time_edges(begin: float, end: float, length: float) -> Array:
    """Stamps from begin to end, ``length`` seconds apart; the last part may be shorter."""
    return _closed(np.arange(begin, end, length), end)


def path_edges(truth: TimedPoses, begin: float, end: float, length: float) -> Array:
    """Stamps at which the true path is each ``length`` metres longer; the last part may be shorter.

    Args:
        truth: the true path from begin to end.
        begin: stamp, s.
        end: stamp, s.
        length: m.
    """
    path = _path(truth)
    # A vehicle at rest adds nothing to its path: the stamp at which a length is reached is the first.
    moving = np.concatenate([[True], np.diff(path) > 0]) if len(path) else np.zeros(0, bool)
    marks = np.arange(length, path[-1] if len(path) else 0.0, length)
    return _closed(np.concatenate([[begin], np.interp(marks, path[moving], truth.stamps[moving])]), end)


def _closed(edges: Array, end: float) -> Array:
    return np.append(edges[edges < end], end)


def _path(truth: TimedPoses) -> Array:
    """(N,) metres since the first true pose."""
    steps = np.linalg.norm(np.diff(truth.positions, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _between(stamps: Array, edges: Array, k: int) -> npt.NDArray[np.bool_]:
    last = k == len(edges) - 2
    return np.asarray((stamps >= edges[k]) & ((stamps <= edges[k + 1]) if last else (stamps < edges[k + 1])))
