"""The map of the report: paths, fixes and covariances on the site model seen from above."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.plots import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, YELLOW
from geo_nav.evaluation.report_series import beginning, error_at, moment_stamps, state_names, told, verdict
from geo_nav.evaluation.summary import number
from geo_nav.evaluation.top_view import TopView

Array = npt.NDArray[np.float64]

_ELLIPSES = 150
_ELLIPSE_SPACINGS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_ELLIPSE_SCALE = float(np.sqrt(-2.0 * np.log(0.05)))
"""Radius of 95 % of a plane Gaussian distribution, in sigmas."""
_QUALITY = 80


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


def map_figure(evaluation: RunEvaluation, view: TopView | None) -> go.Figure:
    """The map, in metres east and north of the origin.

    Args:
        evaluation: of the run.
        view: the site from above; None where it cannot be shown.
    """
    low, high = map_corners(evaluation)
    figure = go.Figure(layout={"template": "none"})
    if view is not None:
        figure.add_layout_image(_image(view))
    _add_references(figure, evaluation)
    _add_ellipses(figure, evaluation)
    _add_fixes(figure, evaluation)
    _add_estimate(figure, evaluation)
    cut = evaluation.recording.truth.positions[
        max(int(np.searchsorted(evaluation.recording.truth.stamps, evaluation.begin, side="right")) - 1, 0)
    ]
    figure.add_scatter(
        x=[cut[0]],
        y=[cut[1]],
        name=beginning(evaluation),
        mode="markers",
        marker={"symbol": "x", "size": 13, "color": VERMILION, "line": {"color": "white", "width": 1.5}},
        customdata=[0.0],
        hovertemplate="%{fullData.name}<extra></extra>",
    )
    figure.update_layout(
        dragmode="pan",
        hovermode="closest",
        margin={"l": 46, "r": 8, "t": 30, "b": 30},
        legend={"orientation": "h", "y": -0.07, "yanchor": "top"},
        xaxis={"range": [low[0], high[0]], "zeroline": False, "showgrid": False},
        yaxis={"range": [low[1], high[1]], "zeroline": False, "showgrid": False, "scaleanchor": "x"},
    )
    return figure


def _image(view: TopView) -> dict[str, object]:
    """The view as a layout image, see-through where there is no model."""
    alpha = view.covered.astype(np.uint8)[..., None] * 255
    pixels = np.concatenate([view.image[..., ::-1], alpha], axis=2)
    data = cv2.imencode(".webp", np.ascontiguousarray(pixels), [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1]
    west, east, south, north = view.extent
    return {
        "source": "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode(),
        "xref": "x",
        "yref": "y",
        "x": west,
        "y": north,
        "sizex": east - west,
        "sizey": north - south,
        "sizing": "stretch",
        "layer": "below",
        "opacity": 0.72,
    }


def _add_references(figure: go.Figure, evaluation: RunEvaluation) -> None:
    recording, begin = evaluation.recording, evaluation.begin
    stamps = moment_stamps(evaluation)
    covered = recording.truth.covers(stamps, evaluation.config.max_position_gap)
    # Where truth is interrupted the line is, too.
    truth = np.full((len(stamps), 2), np.nan)
    truth[covered] = recording.truth.at(stamps[covered]).positions[:, :2]
    seconds = stamps - begin
    for colour, width, told_once in ((GREY, 6.5, True), ("white", 4.0, False)):
        _line(figure, truth, seconds, "truth", colour, width, told_once)
    if evaluation.imu_only is not None:
        alone = stamps[(stamps >= evaluation.imu_only.stamps[0]) & (stamps <= evaluation.imu_only.stamps[-1])]
        positions = evaluation.imu_only.at(alone).positions[:, :2]
        _line(figure, positions, alone - begin, "IMU only", VERMILION, 2.2, True)


def _add_estimate(figure: go.Figure, evaluation: RunEvaluation) -> None:
    recording, stamps = evaluation.recording, moment_stamps(evaluation)
    own = recording.odometry.poses.positions[np.searchsorted(recording.odometry.poses.stamps, stamps), :2]
    errors = error_at(evaluation, stamps)
    text = [
        f"{state}<br>3D error {number(error, 'm')}"
        for state, error in zip(state_names(evaluation, stamps), errors.tolist(), strict=True)
    ]
    _line(figure, own, stamps - evaluation.begin, "geo_nav", BLUE, 2.2, True, text)


def _line(
    figure: go.Figure,
    positions: Array,
    seconds: Array,
    name: str,
    colour: str,
    width: float,
    in_legend: bool,
    text: list[str] | None = None,
) -> None:
    figure.add_scatter(
        x=positions[:, 0].astype(np.float32),
        y=positions[:, 1].astype(np.float32),
        customdata=seconds.astype(np.float32),
        text=text,
        name=name,
        legendgroup=name,
        showlegend=in_legend,
        mode="lines",
        line={"color": colour, "width": width},
        hovertemplate=f"{name}, %{{customdata:.1f}} s" + ("<br>%{text}" if text else "") + "<extra></extra>",
    )


def _add_ellipses(figure: go.Figure, evaluation: RunEvaluation) -> None:
    """Ellipses that should hold the true place 19 times of 20, true to scale."""
    odometry, outage = evaluation.recording.odometry, evaluation.end - evaluation.begin
    spacing = next((s for s in _ELLIPSE_SPACINGS if outage / s <= _ELLIPSES), outage / _ELLIPSES)
    wanted = np.arange(evaluation.begin, evaluation.end, spacing)
    where = np.minimum(np.searchsorted(odometry.poses.stamps, wanted), len(odometry) - 1)
    P = odometry.covariances[where, :2, :2]
    usable = np.isfinite(P).all(axis=(1, 2))
    where, P = where[usable], P[usable]
    values, axes = np.linalg.eigh(P)
    angle = np.linspace(0.0, 2.0 * np.pi, 25)
    circle = _ELLIPSE_SCALE * np.stack([np.cos(angle), np.sin(angle)])
    outline = np.einsum("nij,nj,jk->nki", axes, np.sqrt(np.maximum(values, 0.0)), circle)
    outline += odometry.poses.positions[where, None, :2]
    closed = np.concatenate([outline, np.full((len(outline), 1, 2), np.nan)], axis=1).reshape(-1, 2)
    figure.add_scatter(
        x=closed[:, 0].astype(np.float32),
        y=closed[:, 1].astype(np.float32),
        name=f"95 % ellipse, every {spacing:g} s",
        mode="lines",
        line={"color": SKY, "width": 1.2},
        fill="toself",
        fillcolor="rgba(86,180,233,0.25)",
        hoverinfo="skip",
    )


def _add_fixes(figure: go.Figure, evaluation: RunEvaluation) -> None:
    recording = evaluation.recording
    if recording.origin is not None and len(recording.gps):
        name = "GPS, as truth" if recording.gps_is_truth else "GPS"
        gps = recording.origin.from_geodetic(recording.gps[:, 1], recording.gps[:, 2], recording.gps[:, 3])
        _marks(figure, gps, recording.gps[:, 0] - evaluation.begin, name, YELLOW, "circle", None)
    limit = evaluation.config.false_fix_distance
    for word, name, colour, symbol in (
        ("accepted", "fix accepted", GREEN, "circle"),
        ("rejected", "fix refused", ORANGE, "x-thin"),
        ("false", "false fix", VERMILION, "diamond"),
    ):
        shown = [s for s in evaluation.fixes if verdict(s, limit) == word and s.fix.T_map_camera_levelled is not None]
        if not shown:
            continue
        places = np.array([s.fix.T_map_camera_levelled.translation for s in shown if s.fix.T_map_camera_levelled])
        seconds = np.array([s.fix.stamp for s in shown]) - evaluation.begin
        _marks(figure, places, seconds, name, colour, symbol, [told(s) for s in shown])


def _marks(
    figure: go.Figure,
    positions: Array,
    seconds: Array,
    name: str,
    colour: str,
    symbol: str,
    text: list[str] | None,
) -> None:
    # A thin symbol is made of its outline alone.
    outline = {"color": colour, "width": 2.0 if symbol.endswith("thin") else 0.0}
    figure.add_scatter(
        x=positions[:, 0].astype(np.float32),
        y=positions[:, 1].astype(np.float32),
        customdata=seconds.astype(np.float32),
        text=text,
        name=name,
        mode="markers",
        marker={"color": colour, "size": 9 if symbol != "circle" else 4.5, "symbol": symbol, "line": outline},
        hovertemplate=f"{name}, %{{customdata:.1f}} s" + ("<br>%{text}" if text else "") + "<extra></extra>",
    )
