"""The figures of the report. Colours are Okabe and Ito's, which the colour-blind can tell apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.metrics import rms
from geo_nav.evaluation.summary import number
from geo_nav.evaluation.top_view import TopView
from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.fusion.types import NavigationState

Array = npt.NDArray[np.float64]

BLUE, VERMILION, GREEN, YELLOW = "#0072B2", "#D55E00", "#009E73", "#F0E442"
ORANGE, PURPLE, SKY, INK, GREY = "#E69F00", "#CC79A7", "#56B4E9", "#1F2933", "#7B8794"

STATE_COLOURS = {
    NavigationState.INITIALIZING: "#B8C2CC",
    NavigationState.TRACKING: GREEN,
    NavigationState.COASTING: YELLOW,
    NavigationState.LOST: VERMILION,
    NavigationState.RELOCALIZING: PURPLE,
}

_GATE_COLOURS = (VERMILION, ORANGE, PURPLE, SKY, INK, GREY, "#8B6914", "#5D3FD3")
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": "#9AA5B1",
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E7EB",
    "text.color": INK,
    "xtick.color": "#52606D",
    "ytick.color": "#52606D",
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_MAX_POINTS = 4000
_SPARSE = 200
_TIME = "time since GPS was cut (s)"


def png(figure: Figure, dpi: int = 130) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    with _style():  # fonts are looked up when the figure is drawn
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(_STYLE):
        yield


def _thin(*columns: Array) -> tuple[Array, ...]:
    """Fewer points of long series: a report is not wider than a few thousand pixels."""
    step = max(1, len(columns[0]) // _MAX_POINTS)
    return tuple(c[::step] for c in columns)


def map_corners(evaluation: RunEvaluation, margin: float = 0.12) -> tuple[Array, Array]:
    """Least and greatest (east, north) of a square around the true and the estimated path, metres."""
    recording = evaluation.recording
    points = np.vstack([recording.truth.positions[:, :2], recording.odometry.poses.positions[:, :2]])
    low, high = np.percentile(points, 0.5, axis=0), np.percentile(points, 99.5, axis=0)
    low, high = (
        np.minimum(low, recording.truth.positions[:, :2].min(axis=0)),
        np.maximum(high, recording.truth.positions[:, :2].max(axis=0)),
    )
    centre, half = (low + high) / 2.0, max(float((high - low).max()) * (0.5 + margin), 30.0)
    return centre - half, centre + half


def path_figure(evaluation: RunEvaluation, view: TopView | None) -> Figure:
    """The true path, geo_nav's, the IMU's alone, and GPS, on the site model seen from above."""
    recording = evaluation.recording
    low, high = map_corners(evaluation)
    with _style():
        figure = Figure(figsize=(9.6, 9.2), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(False)
        if view is not None:
            axes.imshow(_paled(view), extent=view.extent, interpolation="bilinear", zorder=0)
        flown = recording.odometry.poses
        flown = flown.select(flown.stamps <= evaluation.end)
        handles = [_line(axes, recording.truth, "white", INK, 4.5, "truth", 2)]
        if evaluation.imu_only is not None:
            label = _imu_label(evaluation.imu_only, evaluation.begin, low, high)
            handles.append(_line(axes, evaluation.imu_only, VERMILION, "white", 2.2, label, 3))
        handles.insert(1, _line(axes, flown, BLUE, "white", 2.0, "geo_nav", 4))
        if recording.origin is not None and len(recording.gps):
            gps = recording.origin.from_geodetic(recording.gps[:, 1], recording.gps[:, 2], recording.gps[:, 3])
            axes.plot(gps[:, 0], gps[:, 1], "o", ms=4, color=YELLOW, mec=INK, mew=0.5, zorder=6)
            handles.append(Line2D([], [], ls="", marker="o", color=YELLOW, mec=INK, mew=0.5, label="GPS"))
        cut = recording.truth.positions[np.searchsorted(recording.truth.stamps, evaluation.begin, side="right") - 1]
        axes.plot(cut[0], cut[1], marker="X", ms=13, color=VERMILION, mec="white", mew=1.5, zorder=8)
        handles.append(Line2D([], [], ls="", marker="X", ms=10, color=VERMILION, mec="white", label="GPS is cut"))
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.set(xlabel="east (m)", ylabel="north (m)")
        axes.legend(handles=handles, loc="upper right", frameon=True, framealpha=0.92, edgecolor="none", fontsize=10)
    return figure


def _paled(view: TopView) -> npt.NDArray[np.uint8]:
    """The picture with less contrast, so that lines stand out on it."""
    return (view.image * 0.62 + 255 * 0.38).astype(np.uint8)


def _line(axes: Axes, poses: TimedPoses, colour: str, outline: str, width: float, label: str, order: int) -> Line2D:
    east, north = _thin(poses.positions[:, 0], poses.positions[:, 1])
    stroke = [withStroke(linewidth=width + 1.4, foreground=outline)]
    line: Line2D = axes.plot(
        east, north, color=colour, lw=width, zorder=order, label=label, path_effects=stroke, solid_joinstyle="round"
    )[0]
    return line


def _imu_label(poses: TimedPoses, begin: float, low: Array, high: Array) -> str:
    outside = np.flatnonzero(((poses.positions[:, :2] < low) | (poses.positions[:, :2] > high)).any(axis=1))
    return f"IMU only (leaves the map after {poses.stamps[outside[0]] - begin:.0f} s)" if len(outside) else "IMU only"


def comparison_figure(evaluation: RunEvaluation) -> Figure:
    """3D error over time on a logarithmic scale, IMU only and geo_nav, above the bar of states."""
    with _style():
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        top, bar = figure.subplots(2, 1, sharex=True, height_ratios=[8, 1])
        for errors, colour, label in (
            (evaluation.imu_only_errors, VERMILION, "IMU only"),
            (evaluation.errors, BLUE, "geo_nav"),
        ):
            if errors is None or len(errors) == 0:
                continue
            t, distance = _thin(errors.stamps - evaluation.begin, np.maximum(errors.distance, 1e-3))
            marker = "o" if len(t) < _SPARSE else ""
            top.semilogy(
                t,
                distance,
                color=colour,
                lw=1.8,
                marker=marker,
                ms=4,
                label=f"{label}: RMS {number(rms(errors.distance), 'm')}",
            )
        _plain_decades(top)
        top.set(ylabel="3D position error (m)")
        top.legend(loc="upper left")
        top.grid(True, which="minor", color="#F0F2F4")
        _state_bar(bar, evaluation)
        bar.set(xlabel=_TIME, xlim=(0.0, evaluation.end - evaluation.begin))
    return figure


def _plain_decades(axes: Axes) -> None:
    """Labels a logarithmic y axis with plain numbers, and between the decades too where there are few of them."""
    low, high = axes.get_ylim()
    few = np.log10(high / low) < 2.5
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _state_bar(axes: Axes, evaluation: RunEvaluation) -> None:
    status = evaluation.recording.status
    axes.grid(False)
    axes.set(yticks=[], ylim=(0, 1))
    axes.set_ylabel("state", rotation=0, ha="right", va="center")
    axes.spines["left"].set_visible(False)
    edges = np.append(status.stamps, evaluation.end) - evaluation.begin
    begins = np.flatnonzero(np.diff(status.states, prepend=-1) != 0)
    seen: dict[NavigationState, None] = {}
    for k, first in enumerate(begins):
        last = begins[k + 1] if k + 1 < len(begins) else len(edges) - 1
        state = NavigationState(int(status.states[first]))
        axes.axvspan(edges[first], edges[last], color=STATE_COLOURS[state], lw=0)
        if edges[last] > 0:
            seen[state] = None
    handles = [Patch(color=STATE_COLOURS[s], label=s.name) for s in seen]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.9), ncols=5)


def error_figure(evaluation: RunEvaluation) -> Figure:
    """Errors east, north, up and of the heading over time with the band of three sigma that geo_nav claims."""
    errors, sigma = evaluation.errors, evaluation.sigma
    t = errors.stamps - evaluation.begin
    panels = [
        *((f"{name} (m)", errors.position[:, k], sigma[:, k]) for k, name in enumerate(("east", "north", "up"))),
        ("heading (°)", np.degrees(errors.heading), np.degrees(sigma[:, 5])),
    ]
    with _style():
        figure = Figure(figsize=(11, 7.6), layout="constrained")
        axes = figure.subplots(4, 1, sharex=True)
        for panel, (label, error, one_sigma) in zip(axes, panels, strict=True):
            time, e, s = _thin(t, error, one_sigma)
            inside = float((np.abs(error) <= 3.0 * one_sigma).mean())
            panel.fill_between(time, -3 * s, 3 * s, color=SKY, alpha=0.28, lw=0, label="±3σ")
            panel.axhline(0.0, color=GREY, lw=0.8)
            panel.plot(time, e, color=BLUE, lw=1.1, marker="o" if len(time) < _SPARSE else "", ms=3, label="error")
            limit = 1.15 * max(float(np.percentile(3 * s, 99)), float(np.abs(e).max()), 1e-3)
            panel.set(ylabel=label, ylim=(-limit, limit))
            panel.yaxis.set_major_locator(MaxNLocator(5, symmetric=True))
            panel.text(0.995, 0.93, f"{inside:.1%} inside", transform=panel.transAxes, ha="right", va="top", fontsize=9)
        axes[0].legend(loc="upper left", ncols=2)
        axes[-1].set(xlabel=_TIME, xlim=(0.0, evaluation.end - evaluation.begin))
    return figure


def registration_figure(evaluation: RunEvaluation) -> Figure:
    """Each frame tried: its inliers, its error, its duration, and the gate where it was refused."""
    fixes = evaluation.fixes
    t = np.array([s.fix.stamp for s in fixes]) - evaluation.begin
    accepted = np.array([s.fix.accepted for s in fixes], dtype=bool)
    gates = np.array([s.fix.gate for s in fixes])
    panels = (
        ("inliers", np.array([float(s.fix.inliers) for s in fixes]), False),
        ("error of the fix (m)", np.maximum(np.array([s.error_m for s in fixes], dtype=float), 1e-3), True),
        ("registration (ms)", np.array([s.fix.milliseconds for s in fixes]), False),
    )
    with _style():
        figure = Figure(figsize=(11, 6.4), layout="constrained")
        axes = figure.subplots(3, 1, sharex=True)
        for panel, (label, values, logarithmic) in zip(axes, panels, strict=True):
            panel.plot(
                t[accepted],
                values[accepted],
                ".",
                ms=4 if len(t) > _SPARSE else 8,
                color=GREEN,
                label=f"accepted ({accepted.sum()})",
            )
            for k, gate in enumerate(evaluation.fix_statistics.rejected_by_gate):
                which = ~accepted & (gates == gate)
                text = f"{gate.replace('_', ' ')} ({which.sum()})"
                colour = _GATE_COLOURS[k % len(_GATE_COLOURS)]
                panel.plot(t[which], values[which], "x", ms=5, mew=1.3, color=colour, label=text)
            panel.set(ylabel=label)
            if logarithmic and np.isfinite(values).any():
                panel.set_yscale("log")
                _plain_decades(panel)
            else:
                panel.set_ylim(0, 1.12 * max(float(np.nanmax(values, initial=0.0)), 1.0))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=6)
        axes[-1].set(xlabel=_TIME, xlim=(0.0, evaluation.end - evaluation.begin))
    return figure


def histogram_figure(evaluation: RunEvaluation) -> Figure:
    """How often an error of each size came: of the odometry, and of the accepted fixes."""
    fixes = np.array([s.error_m for s in evaluation.fixes if s.fix.accepted], dtype=float)
    panels = (
        ("odometry, 3D error (m)", evaluation.errors.distance, BLUE),
        ("accepted fixes, error of the camera's place (m)", fixes[np.isfinite(fixes)], GREEN),
    )
    with _style():
        figure = Figure(figsize=(11, 3.5), layout="constrained")
        for axes, (label, values, colour) in zip(figure.subplots(1, 2), panels, strict=True):
            axes.set(xlabel=label, ylabel="share of samples (%)")
            if len(values) == 0:
                axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=GREY)
                continue
            limit = max(float(np.percentile(values, 99.5)), 1e-3)
            weights = np.full(len(values), 100.0 / len(values))
            axes.hist(
                np.minimum(values, limit),
                bins=int(np.clip(np.sqrt(len(values)) * 2, 8, 40)),
                range=(0, limit),
                weights=weights,
                color=colour,
                alpha=0.85,
            )
            for q, style in ((0.5, "-"), (0.95, "--")):
                value = float(np.quantile(values, q))
                axes.axvline(value, color=INK, lw=1.2, ls=style, label=f"{q:.0%} below {number(value, 'm')}")
            axes.margins(y=0.3)
            axes.legend(loc="upper right", frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)
    return figure
