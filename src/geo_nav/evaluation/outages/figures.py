"""Errors over time of outages and faults, and what fusion costs over hours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.plots import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, png

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
_WINDOW = (20.0, 20.0)
"""A fault's picture begins and ends so much before its beginning and after its end, s."""
_COLUMNS = 4


def outages_figure(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Error and told sigma of every seed over time, one panel for each vehicle and IMU.

    Raises:
        EvaluationError: the PNG cannot be written.
    """
    groups = sorted({(r["vehicle"], r["imu"]) for r in rows})
    figure = Figure(figsize=(14, 3.2 * len(groups)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(groups), 1, sharex=True))
    for axes, group in zip(panels, groups, strict=True):
        for k, r in enumerate(r for r in rows if (r["vehicle"], r["imu"]) == group):
            series, colour = r["series"], _COLOURS[k % len(_COLOURS)]
            t = np.array(series["seconds"]) / 60.0
            axes.plot(t, np.maximum(series["error_m"], 1e-2), lw=0.8, color=colour, label=f"seed {r['seed']}")
            axes.plot(t, series["sigma_m"], lw=0.6, ls=":", color=colour)
        for outage in rows[0]["outages"]:
            axes.axvspan(outage["begin_s"] / 60.0, outage["end_s"] / 60.0, color=GREY, alpha=0.15, lw=0)
        axes.axhline(1.0, color=INK, lw=0.5)
        axes.set(yscale="log", ylabel="3D (m)", title=f"{group[0]}, {group[1]}: error, and dotted the told 1 sigma")
        axes.legend(loc="upper right", ncols=5)
    panels[-1].set_xlabel("time (min); grey: no fix and no track")
    _write(figure, path)


def faults_figure(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """The error around each fault, one small panel each.

    Raises:
        EvaluationError: the PNG cannot be written.
    """
    lines = int(np.ceil(len(rows) / _COLUMNS))
    figure = Figure(figsize=(4.2 * _COLUMNS, 2.4 * lines), layout="constrained")
    panels = np.atleast_1d(figure.subplots(lines, _COLUMNS)).ravel()
    for axes, r in zip(panels, rows, strict=False):
        _fault(axes, r)
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    figure.supxlabel("time (s); shaded: the fault")
    figure.supylabel("3D error (m)")
    _write(figure, path)


def _fault(axes: Axes, row: dict[str, Any]) -> None:
    t, error = np.array(row["series"]["seconds"]), np.array(row["series"]["error_m"])
    low, high = row["begin_s"] - _WINDOW[0], row["end_s"] + _WINDOW[1]
    inside = (t >= low) & (t <= high)
    # A line across the time without a state would be an invention.
    stamps = np.where(np.diff(t[inside], prepend=t[inside][:1]) > 0.5, np.nan, t[inside])
    axes.axvspan(row["begin_s"], max(row["end_s"], row["begin_s"] + 0.2), color=VERMILION, alpha=0.15, lw=0)
    axes.plot(stamps, np.maximum(error[inside], 1e-2), lw=1.0, color=BLUE)
    axes.set(yscale="log", ylim=(0.05, 300.0))
    axes.set_title(row["fault"], fontsize=8, wrap=True)


def endurance_figure(row: dict[str, Any], path: Path) -> None:
    """Milliseconds and memory minute by minute.

    Raises:
        EvaluationError: the PNG cannot be written.
    """
    hours = np.array([m["minute"] for m in row["minutes"]]) / 60.0
    figure = Figure(figsize=(12, 8), layout="constrained")
    update, callback, memory = figure.subplots(3, 1, sharex=True)
    for axes, name, title in ((update, "update", "an update that solves"), (callback, "callback", "an IMU sample")):
        for key, colour in (("median", BLUE), ("p99", ORANGE)):
            axes.plot(hours, [m[f"{name}_{key}_ms"] for m in row["minutes"]], lw=1.0, color=colour, label=key)
        axes.set(ylabel="ms", title=f"{title}, each minute")
        axes.set_ylim(bottom=0.0)
        axes.legend(loc="upper right")
    resident = [m["memory_mib"] for m in row["minutes"]]
    memory.plot(hours, resident, lw=1.0, color=GREEN)
    memory.set(ylabel="MiB", xlabel="time (h)", title="resident memory of the process")
    memory.set_ylim(0.0, 1.2 * max(resident))
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    try:
        path.write_bytes(png(figure))
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror}") from error
