"""The report's figures over time; all share one axis of time, which the page's script keeps together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.fixes import ScoredFix, quantile
from geo_nav.evaluation.plots import BLUE, GATE_COLOURS, GREEN, GREY, ORANGE, SKY, STATE_COLOURS, VERMILION, YELLOW
from geo_nav.evaluation.report_series import beginning, extremes, time_range, told, verdict
from geo_nav.evaluation.summary import number
from geo_nav.fusion.types import NavigationState

Array = npt.NDArray[np.float64]

_LANE, _PANEL, _MARGIN = 21, 150, 142
"""Heights, pixels."""
_STATE, _GAPS, _ACCEPTED, _FALSE = "state", "odometry gap", "fix accepted", "false fix"
_SPARSE = 200
"""No more errors than that are drawn as dots too: photographs that are scored one by one."""


def timeline_figure(evaluation: RunEvaluation) -> go.Figure:
    """States, fixes by verdict and gaps as lanes, and below them the 3D error, geo_nav's, the IMU's and the fixes'."""
    lanes = _lanes(evaluation)
    labels = [_STATE, _GAPS, *lanes]
    figure = _panels(evaluation, [_LANE * len(labels), 2 * _PANEL])
    for state, colour in STATE_COLOURS.items():
        _state_bars(figure, evaluation, state, colour)
    _gap_bars(figure, evaluation)
    for label, lane in lanes.items():
        _marks(figure, lane.seconds, [label] * len(lane.seconds), label, lane.colour, "line-ns", lane.text, size=12)
    figure.update_yaxes(
        row=1,
        categoryorder="array",
        categoryarray=labels[::-1],
        range=[-0.6, len(labels) - 0.4],
        fixedrange=True,
        showgrid=False,
        tickmode="array",
        tickvals=labels,
    )
    _fix_errors(figure, evaluation)
    for errors, colour, name in (
        (evaluation.imu_only_errors, VERMILION, "IMU only"),
        (evaluation.errors, BLUE, "geo_nav"),
    ):
        if errors is not None and len(errors):
            _line(figure, 2, errors.stamps - evaluation.begin, np.maximum(errors.distance, 1e-3), name, colour, "m")
    figure.update_yaxes(row=2, type="log", title="3D error (m)", dtick=1)
    figure.update_layout(barmode="overlay", hovermode="closest", bargap=0.25)
    return figure


@dataclass(frozen=True)
class _Lane:
    """Marks of one kind: their colour, times (N,) s since the beginning, and words."""

    colour: str
    seconds: Array
    text: list[str] | None = None


def _lanes(evaluation: RunEvaluation) -> dict[str, _Lane]:
    """The lanes of marks by their labels, from the top: GPS, and each verdict on a frame."""
    recording, begin, limit = evaluation.recording, evaluation.begin, evaluation.config.false_fix_distance
    lanes: dict[str, _Lane] = {}
    if len(recording.gps):
        name = "GPS, as truth" if recording.gps_is_truth else "GPS"
        lanes[name] = _Lane(YELLOW, recording.gps[:, 0] - begin)
    groups: dict[str, list[ScoredFix]] = {_ACCEPTED: [], _FALSE: []}
    for scored in evaluation.fixes:
        named = {"accepted": _ACCEPTED, "false": _FALSE}
        name = named.get(verdict(scored, limit), scored.fix.gate or "no gate named")
        groups.setdefault(name.replace("_", " "), []).append(scored)
    refused = sorted((name for name in groups if name not in (_ACCEPTED, _FALSE)), key=lambda name: -len(groups[name]))
    colours = {_ACCEPTED: GREEN, _FALSE: VERMILION}
    colours |= {name: GATE_COLOURS[k % len(GATE_COLOURS)] for k, name in enumerate(refused)}
    for name, colour in colours.items():
        if groups[name]:
            seconds = np.array([s.fix.stamp for s in groups[name]]) - begin
            lanes[name] = _Lane(colour, seconds, [told(s) for s in groups[name]])
    return lanes


def _gap_bars(figure: go.Figure, evaluation: RunEvaluation) -> None:
    """Times without odometry."""
    stamps = evaluation.recording.odometry.poses.stamps
    broken = np.flatnonzero(np.diff(stamps) > evaluation.config.max_estimate_gap)
    if len(broken):
        lengths = np.diff(stamps)[broken]
        text = [number(float(x), "s") for x in lengths]
        _bar(figure, _GAPS, stamps[broken] - evaluation.begin, lengths, VERMILION, text)


def _state_bars(figure: go.Figure, evaluation: RunEvaluation, state: NavigationState, colour: str) -> None:
    """Bars of one state; each tells the reason with which it began."""
    status = evaluation.recording.status
    # Before a simulated clock ticks, a status has the stamp 0.
    first = np.searchsorted(status.stamps, evaluation.recording.odometry.poses.stamps[0])
    stamps, states, reasons = status.stamps[first:], status.states[first:], status.reasons[first:]
    if not len(stamps):
        return
    begins = np.flatnonzero(np.diff(states, prepend=-1) != 0)
    ends = np.append(stamps[begins[1:]], max(evaluation.end, float(stamps[-1])))
    chosen = [k for k, index in enumerate(begins) if states[index] == state]
    base = stamps[begins[chosen]] - evaluation.begin
    lengths = ends[chosen] - stamps[begins[chosen]]
    text = [f"{reasons[begins[k]]}<br>{number(float(ends[k] - stamps[begins[k]]), 's')}" for k in chosen]
    if chosen:
        _bar(figure, _STATE, base, lengths, colour, text, state.name)


def _bar(
    figure: go.Figure,
    lane: str,
    base: Iterable[float],
    lengths: Iterable[float],
    colour: str,
    text: list[str],
    name: str = "",
) -> None:
    base = list(base)
    figure.add_bar(
        base=base,
        x=list(lengths),
        y=[lane] * len(base),
        orientation="h",
        name=name or lane,
        showlegend=bool(name),
        marker={"color": colour, "line": {"width": 0}},
        hovertext=text,
        hovertemplate=f"{name or lane}<br>from %{{base:.1f}} s: %{{hovertext}}<extra></extra>",
        row=1,
        col=1,
    )


def _marks(
    figure: go.Figure,
    seconds: Array,
    y: list[str] | npt.NDArray[np.floating[Any]],
    name: str,
    colour: str,
    symbol: str,
    text: list[str] | None,
    row: int = 1,
    size: int = 6,
) -> None:
    figure.add_scatter(
        x=seconds.astype(np.float32),
        y=y,
        name=name,
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": size, "line": {"width": 1.5, "color": colour}},
        text=text,
        showlegend=False,
        hovertemplate=f"{name}, %{{x:.1f}} s" + ("<br>%{text}" if text else "") + "<extra></extra>",
        row=row,
        col=1,
    )


def _fix_errors(figure: go.Figure, evaluation: RunEvaluation) -> None:
    limit = evaluation.config.false_fix_distance
    for word, name, colour, symbol in (
        ("accepted", _ACCEPTED, GREEN, "circle-open"),
        ("rejected", "fix refused", ORANGE, "x-thin"),
        ("false", _FALSE, VERMILION, "diamond"),
    ):
        chosen = [s for s in evaluation.fixes if verdict(s, limit) == word and np.isfinite(s.error_m)]
        if chosen:
            seconds = np.array([s.fix.stamp for s in chosen]) - evaluation.begin
            errors = np.maximum(np.array([s.error_m for s in chosen]), 1e-3).astype(np.float32)
            _marks(figure, seconds, errors, name, colour, symbol, [told(s) for s in chosen], row=2)
            figure.data[-1].update(showlegend=True, opacity=0.7)


def error_figure(evaluation: RunEvaluation) -> go.Figure:
    """Errors east, north, up and of the heading with three sigma; horizontal and vertical ones with protection levels.

    Without a true orientation there is no heading, without protection levels there are no panels for them.
    """
    errors, sigma = evaluation.errors, evaluation.sigma
    t = errors.stamps - evaluation.begin
    signed = [(f"{name} (m)", errors.position[:, k], sigma[:, k]) for k, name in enumerate(("east", "north", "up"))]
    if np.isfinite(errors.heading).any():
        signed.append(("heading (°)", np.degrees(errors.heading), np.degrees(sigma[:, 5])))
    sizes = [("horizontal (m)", errors.horizontal, 0), ("vertical (m)", np.abs(errors.position[:, 2]), 2)]
    bounded = [size for size in sizes if np.isfinite(evaluation.levels[:, size[2] : size[2] + 2]).any()]
    figure = _panels(evaluation, [_PANEL] * (len(signed) + len(bounded)))
    for row, (label, error, one_sigma) in enumerate(signed, start=1):
        _band(figure, row, t, 3.0 * one_sigma)
        unit = label.split("(")[1].rstrip(")")
        _line(figure, row, t, error, "error", BLUE, unit, in_legend=row == 1)
        inside = np.isfinite(error) & (np.abs(error) <= 3.0 * one_sigma)
        share = f"{inside.sum() / max(int(np.isfinite(error).sum()), 1):.1%} inside ±3σ"
        _note(figure, row, share)
        # A covariance that was wide for a moment must not make all else look flat.
        limit = 1.15 * np.nanmax([quantile(3.0 * one_sigma, 0.99), quantile(np.abs(error), 1.0), 1e-3])
        figure.update_yaxes(row=row, title=label, range=[-limit, limit])
    for row, (label, error, column) in enumerate(bounded, start=len(signed) + 1):
        for k, (name, colour) in enumerate((("protection level 95 %", ORANGE), ("protection level 99.9 %", VERMILION))):
            level = evaluation.levels[:, column + k]
            level = np.where(np.isfinite(level), level, np.nan)
            _line(figure, row, t, level, name, colour, "m", in_legend=row == len(signed) + 1)
        _line(figure, row, t, error, "error", BLUE, "m", in_legend=False)
        figure.update_yaxes(row=row, title=label, rangemode="tozero")
    figure.update_layout(hovermode="x")
    return figure


def registration_figure(evaluation: RunEvaluation) -> go.Figure:
    """Inliers and duration of every frame that registration tried."""
    figure = _panels(evaluation, [_PANEL, _PANEL])
    accepted = [s for s in evaluation.fixes if s.fix.accepted]
    refused = [s for s in evaluation.fixes if not s.fix.accepted]
    for row, (label, name) in enumerate((("inliers", "inliers"), ("duration (ms)", "milliseconds")), start=1):
        for chosen, words, colour, symbol in (
            (accepted, "accepted", GREEN, "circle"),
            (refused, "refused", VERMILION, "x-thin"),
        ):
            if chosen:
                seconds = np.array([s.fix.stamp for s in chosen]) - evaluation.begin
                values = np.array([getattr(s.fix, name) for s in chosen], dtype=np.float32)
                _marks(figure, seconds, values, words, colour, symbol, [told(s) for s in chosen], row=row)
                figure.data[-1].update(showlegend=row == 1, legendgroup=words, marker={"size": 5})
        figure.update_yaxes(row=row, title=label, rangemode="tozero")
    figure.update_layout(hovermode="closest")
    return figure


def odometry_histogram(evaluation: RunEvaluation) -> go.Figure:
    """How often a 3D error of the odometry of each size came."""
    return _histogram(evaluation.errors.distance, "3D error of the odometry (m)", BLUE)


def fix_histogram(evaluation: RunEvaluation) -> go.Figure:
    """How often an accepted fix of each error came."""
    errors = np.array([s.error_m for s in evaluation.fixes if s.fix.accepted], dtype=float)
    return _histogram(errors[np.isfinite(errors)], "error of the accepted fixes (m)", GREEN)


def _histogram(values: Array, title: str, colour: str) -> go.Figure:
    figure = go.Figure(layout={"template": "none", "showlegend": False, "bargap": 0, "height": 270})
    figure.update_layout(margin=_margins() | {"l": 46, "t": 48}, xaxis={"title": title}, yaxis={"title": "share (%)"})
    if not len(values):
        return figure.add_annotation(text="none", showarrow=False)
    limit = max(float(np.percentile(values, 99.5)), 1e-3)
    bins = int(np.clip(np.sqrt(len(values)) * 2, 8, 40))
    counts, edges = np.histogram(np.minimum(values, limit), bins=bins, range=(0.0, limit))
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2.0,
        y=100.0 * counts / len(values),
        width=np.diff(edges),
        marker={"color": colour},
        hovertemplate="%{x:.2f} m: %{y:.1f} %<extra></extra>",
    )
    for q, style, shift in ((0.5, "solid", 18), (0.95, "dash", 0)):
        value = float(np.quantile(values, q))
        anchor = "left" if value < limit / 2.0 else "right"
        label = {"text": f"{q:.0%} below {number(value, 'm')}", "yanchor": "top", "yshift": shift, "xanchor": anchor}
        figure.add_vline(value, line={"dash": style, "color": GREY}, annotation=label)
    return figure


def _panels(evaluation: RunEvaluation, heights: list[int]) -> go.Figure:
    """Panels below each other over one axis of time, with the line of the cut."""
    total = sum(heights)
    gap = min(18.0 / total, 1.0 / len(heights))
    figure = make_subplots(rows=len(heights), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=gap)
    line = {"color": GREY, "width": 1.2, "dash": "dot"}
    figure.add_shape(type="line", xref="x", yref="paper", x0=0, x1=0, y0=0, y1=1, line=line)
    figure.update_xaxes(range=list(time_range(evaluation)), zeroline=False)
    figure.update_xaxes(title=f"time since {beginning(evaluation)} (s)", row=len(heights))
    figure.update_layout(
        template="none",
        height=total + _MARGIN,
        margin=_margins(),
        dragmode="zoom",
        legend={"orientation": "h", "y": 1.0 + 6.0 / total, "yanchor": "bottom", "x": 0},
    )
    return figure


def _margins() -> dict[str, int]:
    return {"l": 92, "r": 12, "t": 88, "b": 46}


def _line(
    figure: go.Figure, row: int, t: Array, values: Array, name: str, colour: str, unit: str, in_legend: bool = True
) -> None:
    kept = extremes(values)
    figure.add_scatter(
        x=t[kept].astype(np.float32),
        y=values[kept].astype(np.float32),
        name=name,
        legendgroup=name,
        showlegend=in_legend,
        mode="lines+markers" if len(t) < _SPARSE else "lines",
        line={"color": colour, "width": 1.6},
        marker={"size": 4},
        hovertemplate=f"{name} %{{y:.3g}} {unit}, %{{x:.1f}} s<extra></extra>",
        row=row,
        col=1,
    )


def _band(figure: go.Figure, row: int, t: Array, half_width: Array) -> None:
    """From minus to plus; one outline there and back."""
    kept = extremes(half_width)
    x, y = t[kept].astype(np.float32), half_width[kept].astype(np.float32)
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([y, -y[::-1]]),
        name="±3σ",
        legendgroup="±3σ",
        showlegend=row == 1,
        mode="lines",
        line={"width": 0.5, "color": SKY},
        fill="toself",
        fillcolor="rgba(86,180,233,0.28)",
        hoverinfo="skip",
        row=row,
        col=1,
    )


def _note(figure: go.Figure, row: int, text: str) -> None:
    axis = "" if row == 1 else str(row)
    figure.add_annotation(
        text=text,
        xref=f"x{axis} domain",
        yref=f"y{axis} domain",
        x=1,
        y=1,
        yanchor="top",
        showarrow=False,
        font_size=11,
    )
