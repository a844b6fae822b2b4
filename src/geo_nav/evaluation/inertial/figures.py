"""Error over time and path of one log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.estimators import BATCH, DEAD_RECKONING, EKF, INVARIANT_EKF, OURS
from geo_nav.evaluation.inertial.protocol import Outcome
from geo_nav.evaluation.plots import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, VERMILION, png

_COLOURS = {BATCH: GREEN, EKF: ORANGE, INVARIANT_EKF: PURPLE, OURS: BLUE, DEAD_RECKONING: VERMILION}


def write_figure(outcome: Outcome, path: Path) -> None:
    """The 3D error of every estimator over time on a logarithmic scale, beside their paths.

    Args:
        outcome: one log.
        path: of the PNG.

    Raises:
        EvaluationError: it cannot be written.
    """
    figure = Figure(figsize=(15, 6), layout="constrained")
    errors, paths = figure.subplots(1, 2, width_ratios=[3, 2])
    _errors(errors, outcome)
    _paths(paths, outcome)
    figure.suptitle(f"{outcome.record}: a fix every {outcome.interval:g} s, {len(outcome.truth)} scored")
    try:
        path.write_bytes(png(figure))
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror}") from error


def _errors(axes: Axes, outcome: Outcome) -> None:
    for name, colour in _COLOURS.items():
        if name not in outcome.tracks:
            continue
        track = outcome.tracks[name]
        distance = np.linalg.norm(track.errors, axis=1)
        label = f"{name}: {np.sqrt((distance**2).mean()):.3g} m"
        axes.plot(track.stamps, np.maximum(distance, 1e-3), ".-", ms=3, lw=0.8, color=colour, label=label)
    for stamp in outcome.given if len(outcome.given) < 100 else ():
        axes.axvline(stamp, color=GREY, lw=0.4, alpha=0.6)
    axes.set(yscale="log", xlabel="time (s)", ylabel="3D error at scored fixes (m)")
    axes.legend(loc="upper left")


def _paths(axes: Axes, outcome: Outcome) -> None:
    truth = outcome.truth
    axes.plot(truth[:, 0], truth[:, 1], color=INK, lw=3, alpha=0.35, label="scored fixes")
    for name, colour in _COLOURS.items():
        if name in outcome.tracks:
            axes.plot(*outcome.tracks[name].positions[:, :2].T, ".-", ms=2, lw=0.7, color=colour)
    low, high = truth[:, :2].min(axis=0), truth[:, :2].max(axis=0)
    centre, half = (low + high) / 2.0, 0.65 * float((high - low).max()) + 1.0
    axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
    axes.set(aspect="equal", xlabel="east (m)", ylabel="north (m)")
    axes.legend(loc="upper left")
