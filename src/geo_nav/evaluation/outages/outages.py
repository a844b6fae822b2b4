"""Thirty minutes with registrations as they come, and four times sixty seconds with none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from geo_nav.evaluation.metrics import rms
from geo_nav.evaluation.outages.journey import Journey, JourneyOptions
from geo_nav.evaluation.outages.laws import FRAME_RATE, GAPS, LATENCY
from geo_nav.evaluation.outages.play import Player, Trace
from geo_nav.fusion import StatusReport

Array = npt.NDArray[np.float64]

DURATION = 1800.0
"""Of a journey, s."""
OUTAGES = tuple((t, t + 60.0) for t in (300.0, 700.0, 1100.0, 1500.0))
"""Times without any fix or track, s."""

_SETTLED = 30.0
"""Scored from here on, s: GPS ends at 10 s."""
_REGAINED = 5.0
"""So long after the first fix that follows an outage, errors count neither as of it nor as of the rest, s."""
_INSIDE = 0.95


def run_outages(options: JourneyOptions) -> dict[str, Any]:
    """One journey; JSON, the keys as in the tables.

    Args:
        options: of the journey; its blackouts are the outages.
    """
    journey = Journey(options)
    player = Player.of(journey, status=False)
    trace = player.play(journey.items())
    rest = trace.between(_SETTLED, np.inf).without(_without_fix(journey, span) for span in options.blackouts)
    series = trace.between(0.0, np.inf)
    return {
        "rms_m": rest.rms,
        "horizontal_rms_m": rms(np.linalg.norm(rest.errors[:, :2], axis=1)),
        "largest_m": rest.largest,
        "nees_position": _mean(rest.position_nees) / 3.0,
        "nees_pose": _mean(rest.pose_nees) / 6.0,
        "heading_rms_deg": float(np.degrees(rms(rest.errors[:, 5]))),
        "outages": [_outage(trace, span) for span in options.blackouts],
        "counts": _counts(trace, player.fusion.status()),
        "drawn": drawn_statistics(journey),
        "series": {
            "seconds": np.round(series.times[::5], 2).tolist(),
            "error_m": np.round(series.distances[::5], 4).tolist(),
            "sigma_m": np.round(series.sigmas[::5], 4).tolist(),
        },
    }


def _without_fix(journey: Journey, span: tuple[float, float]) -> tuple[float, float]:
    """From the beginning of an outage until the first fix after it has arrived and had its time."""
    stamps = journey.drawn.stamps[journey.drawn.accepted]
    following = stamps[stamps >= span[1]]
    return span[0], (float(following[0]) + LATENCY + _REGAINED if len(following) else np.inf)


def _outage(trace: Trace, span: tuple[float, float]) -> dict[str, float]:
    """Of the states inside one outage."""
    scores = trace.between(*span)
    normalised = scores.position_nees
    return {
        "begin_s": span[0],
        "end_s": span[1],
        "error_at_end_m": float(scores.distances[-1]),
        "sigma_at_end_m": float(scores.sigmas[-1]),
        "normalised_at_end": float(normalised[-1]),
        "share_inside_95": float((normalised <= chi2.ppf(_INSIDE, 3)).mean()),
        "nees_position": float(normalised.mean() / 3.0),
    }


def _counts(trace: Trace, status: StatusReport) -> dict[str, Any]:
    return {
        "fixes_used": status.fixes_used,
        "fixes_refused": status.fixes_refused,
        "fixes_too_old": status.fixes_too_old,
        "tracks_used": status.tracks_used,
        "tracks_refused": status.tracks_refused,
        "rebuilds": status.graph_rebuilds,
        "starts": [f"{t:.1f} s: {how}" for t, how in trace.restarts],
        "refusals": dict(trace.refusals.most_common()),
        "raised": dict(trace.raised),
        "used_by_kind": {kind: count.used for kind, count in sorted(status.measurements.items())},
    }


def drawn_statistics(journey: Journey) -> dict[str, float]:
    """What was drawn for the registrations, in the numbers of the recording, outages left out."""
    drawn = journey.drawn
    open_sky = np.ones(len(drawn.stamps), dtype=bool)
    for begin, end in journey.options.blackouts:
        open_sky &= (drawn.stamps < begin) | (drawn.stamps >= end)
    use = drawn.accepted
    errors = drawn.errors[use]
    white = np.linalg.solve(np.linalg.cholesky(drawn.covariances[use]), errors[..., None])[..., 0]
    apart = np.diff(drawn.stamps[drawn.accepted])
    apart = apart[apart < GAPS.max() + 10.0]
    gaps = apart[apart > 0.5]
    out = {
        "frames": float(open_sky.sum()),
        "accepted": float(use.sum()),
        "accepted_share": float(use[open_sky].mean()),
        "position_rms_m": rms(np.linalg.norm(errors[:, :3], axis=1)),
        "position_median_m": float(np.median(np.linalg.norm(errors[:, :3], axis=1))),
        "rotation_rms_deg": float(np.degrees(rms(np.linalg.norm(errors[:, 3:], axis=1)))),
        "nees": float((white**2).sum(axis=1).mean() / 6.0),
        "gaps_per_minute": float(60.0 * len(gaps) / (open_sky.sum() / FRAME_RATE)),
        "share_in_gaps": float(gaps.sum() / (open_sky.sum() / FRAME_RATE)),
        "longest_gap_s": float(apart.max()),
    }
    return out | {f"correlation_{lag:g}_s": _autocorrelation(drawn.stamps[use], white, lag) for lag in (1.0, 5.0)}


def _autocorrelation(stamps: Array, white: Array, lag: float) -> float:
    """Of (N, 6) whitened errors over a lag, s."""
    other = np.searchsorted(stamps, stamps + lag - 0.5 / FRAME_RATE)
    first = np.flatnonzero(other < len(stamps))
    pairs = first[np.abs(stamps[other[first]] - stamps[first] - lag) < 0.5 / FRAME_RATE]
    return float((white[pairs] * white[other[pairs]]).mean() / (white**2).mean())


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")
