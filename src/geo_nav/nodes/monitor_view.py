"""A snapshot of a running navigation as a page for the terminal."""

from __future__ import annotations

import math
import os

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from geo_nav.nodes.monitor_snapshot import Rate, Snapshot

_STATE_COLORS = {
    "TRACKING": "green",
    "INITIALIZING": "cyan",
    "COASTING": "yellow",
    "LOST": "red",
    "RELOCALIZING": "magenta",
}
_VERDICT_COLORS = {"consistent": "green", "overconfident": "red", "contradicted": "red", "cautious": "yellow"}
_NONE = "–"
_TWO_COLUMNS = 110
"""Width of a terminal from which on the panels stand in two columns."""


def nothing_heard(namespace: str, elsewhere: list[str], seconds: float) -> str:
    """What to say where no status of the navigation is heard.

    Args:
        namespace: that was listened to.
        elsewhere: namespaces in which there is one.
        seconds: since when.
    """
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    words = (
        f"nothing heard on /{namespace}/status for {seconds:.0f} s (ROS_DOMAIN_ID {domain}, "
        f"ROS_AUTOMATIC_DISCOVERY_RANGE {reach}): is the navigation launched, in this domain, within reach?"
    )
    if elsewhere:
        words += f" There is one elsewhere: {', '.join(f'--namespace {name}' for name in elsewhere)}"
    return words


def page(now: Snapshot, seconds: float, width: int) -> RenderableType:
    """The page: two columns of panels where the terminal is wide enough, else one.

    Args:
        now: the snapshot.
        seconds: since the monitor began.
        width: of the terminal, letters.
    """
    if not now.heard and not now.state:
        return Panel(Text(nothing_heard(now.namespace, now.elsewhere, seconds)), title="geo-nav", border_style="red")
    left = Group(_place(now), _rates(now), _consistency(now))
    right = Group(_uncertainty(now), _registration(now), _refusals(now))
    if width < _TWO_COLUMNS:
        return Group(_state(now), left, right)
    columns = Table.grid(expand=True, padding=(0, 1))
    columns.add_column(ratio=1)
    columns.add_column(ratio=1)
    columns.add_row(left, right)
    return Group(_state(now), columns)


def _state(now: Snapshot) -> Panel:
    """State, reason and warnings: what a terminal of few lines must show too."""
    color = _STATE_COLORS.get(now.state, "white") if now.heard else "red"
    text = Text.assemble((f" {now.state} ", f"bold reverse {color}"), f"  {now.reason}")
    if not now.heard:
        text.append("   (not heard any more)", style="bold red")
    for warning in now.warnings:
        text.append(f"\n{warning}", style="yellow")
    return Panel(text, title=f"/{now.namespace}", border_style=color)


def _place(now: Snapshot) -> Panel:
    table = _pairs()
    if now.geodetic is not None:
        latitude, longitude, height = now.geodetic
        table.add_row("latitude, longitude", f"{latitude:.7f}°  {longitude:.7f}°")
        table.add_row("height (ellipsoid)", f"{height:.1f} m")
    if now.position is not None:
        table.add_row("east north up (map)", "  ".join(f"{value:.1f}" for value in now.position) + " m")
    table.add_row("heading", _with_unit(now.heading, "°", 0))
    table.add_row("speed, climb", f"{_with_unit(now.speed, 'm/s', 1)}, {_with_unit(now.climb, 'm/s', 1)}")
    return Panel(table, title="where")


def _uncertainty(now: Snapshot) -> Panel:
    table = _pairs()
    get = now.status.get
    sigma = f"{_with_unit(get('horizontal_sigma'), 'm', 2)} · {_with_unit(get('vertical_sigma'), 'm', 2)}"
    table.add_row("sigma horizontal · vertical", sigma)
    heading = get("heading_sigma")
    table.add_row("sigma of the heading", _with_unit(None if heading is None else math.degrees(heading), "°", 2))
    for label, name in (("95 %", "95"), ("99.9 %", "999")):
        levels = (get(f"horizontal_level_{name}"), get(f"vertical_level_{name}"))
        table.add_row(f"protection levels {label}", " · ".join(_with_unit(level, "m", 1) for level in levels))
    table.add_row("last fix", f"{_with_unit(get('seconds_since_fix'), 's', 1)} ago")
    counts = [f"{get(f'fixes_{name}', 0):.0f} {name.replace('_', ' ')}" for name in ("used", "refused", "too_old")]
    table.add_row("fixes in the graph", ", ".join(counts))
    table.add_row("tracks in the graph", f"{get('tracks_used', 0):.0f} used, {get('tracks_refused', 0):.0f} refused")
    update = _with_unit(get("update_milliseconds"), "ms", 1)
    table.add_row("graph update, rebuilds", f"{update}, {get('graph_rebuilds', 0):.0f}")
    return Panel(table, title="how well")


def _rates(now: Snapshot) -> Panel:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("rate")
    for name in ("Hz", "expected", "newest", "latency"):
        table.add_column(name, justify="right")
    for name, rate in now.rates.items():
        style = "red" if rate.slow else "default"
        table.add_row(name, *_rate_cells(rate), style=style)
    return Panel(table, title="rates")


def _rate_cells(rate: Rate) -> tuple[str, str, str, str]:
    latency = None if rate.latency is None else 1000.0 * rate.latency
    return (
        _with_unit(rate.hz, "", 1),
        _with_unit(rate.expected, "", 1),
        _NONE if rate.age is None else f"{rate.age:.1f} s",
        _with_unit(latency, "ms", 0),
    )


def _registration(now: Snapshot) -> Panel:
    table = _pairs()
    found = now.registration
    table.add_row("since the monitor began", f"{now.accepted} accepted, {now.refused} refused")
    if found:
        table.add_row("last", f"{found['verdict']}, {found['inliers']} of {found['matches']} matches")
        table.add_row("matcher", str(found["matcher"]))
        table.add_row("registration", _with_unit(found["milliseconds"], "ms", 0))
        for stage, ms in found["stages"].items():
            table.add_row(f"  {stage}", _with_unit(ms, "ms", 0))
    return Panel(table, title="camera")


def _consistency(now: Snapshot) -> Panel:
    table = Table(box=None, pad_edge=False, expand=True)
    for name in ("NIS", "is", "honest within", "refused", "verdict"):
        table.add_column(name, justify="left" if name in ("NIS", "verdict") else "right")
    for kind, found in now.consistency.items():
        table.add_row(
            kind,
            _with_unit(found["nis"], "", 2),
            f"{_with_unit(found['low'], '', 2)} … {_with_unit(found['high'], '', 2)}",
            _with_unit(100.0 * found["refused_share"], "%", 0),
            Text(found["verdict"], style=_VERDICT_COLORS.get(found["verdict"], "default")),
        )
    return Panel(table, title="innovations")


def _refusals(now: Snapshot) -> Panel:
    table = Table.grid(padding=(0, 1))
    for age, gate, reason in now.refusals:
        table.add_row(f"{age:.0f} s", Text(gate, style="red"), Text(reason))
    for kind, reason in now.refused_by_graph.items():
        table.add_row("graph", Text(kind, style="red"), Text(reason))
    if not (now.refusals or now.refused_by_graph):
        table.add_row("none since the monitor began")
    return Panel(table, title="last refused")


def _pairs() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    return table


def _with_unit(value: float | None, unit: str, digits: int) -> str:
    if value is None or math.isnan(value):
        return _NONE
    number = "∞" if math.isinf(value) else f"{value:.{digits}f}"
    return f"{number}{unit}" if unit in ("°", "") else f"{number} {unit}"
