"""The trade-off of the gate on false alarms: accepted share against false share, as its limit sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.bench.results import QueryResult

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """One matcher's trade-off.

    Attributes:
        limits: (N,) of log10 of the false alarms, ascending: strict to open.
        accepted: (N,) share of the frames at their own places that are accepted and right.
        false: (N,) share of all tries, own and wrong places, that are accepted and wrong.
        tries: number of all tries.
    """

    limits: Array
    accepted: Array
    false: Array
    tries: int


def trade_off(own: Sequence[QueryResult], wrong: Sequence[QueryResult], limits: Array) -> Curve:
    """The curve of results that were made with the gate open.

    Args:
        own: frames at their own places; at least one.
        wrong: pictures at wrong places.
        limits: (N,) at which it is told.
    """
    everything = [*own, *wrong]
    right = np.array([q.log10_false_alarms for q in own if q.accepted and not q.is_false_accept])
    false = np.array([q.log10_false_alarms for q in everything if q.is_false_accept])
    return Curve(
        limits,
        np.array([(right <= limit).sum() for limit in limits]) / len(own),
        np.array([(false <= limit).sum() for limit in limits]) / len(everything),
        len(everything),
    )


def sweep() -> Array:
    """The limits at which curves are told: every half decade near chance, coarser where evidence is overwhelming."""
    return np.concatenate([np.arange(-1000.0, -60.0, 20.0), np.arange(-60.0, 0.01, 0.5)])


def draw_curves(curves: Mapping[str, Curve], limit: float, title: str, path: Path) -> None:
    """A picture of the curves, one line a matcher; a ring marks where the gate stands.

    Args:
        curves: by name of the matcher.
        limit: where the gate stands, log10 of the false alarms.
        title: of the picture.
        path: of the PNG.
    """
    # matplotlib takes a second to load.
    from matplotlib.figure import Figure

    from geo_nav.evaluation.plots import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION

    figure = Figure(figsize=(11.0, 4.6), dpi=110, layout="constrained")
    against, over = figure.subplots(1, 2)
    colours = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, INK, GREY)
    for colour, (name, curve) in zip(colours * 2, curves.items(), strict=False):
        at = int(np.searchsorted(curve.limits, limit + 1e-9)) - 1
        label = f"{name} ({curve.tries} tries)"
        against.plot(100 * curve.false, 100 * curve.accepted, color=colour, label=label)
        against.plot(100 * curve.false[at], 100 * curve.accepted[at], "o", color=colour, mfc="none", ms=9)
        over.plot(curve.limits, 100 * curve.accepted, color=colour)
        over.plot(curve.limits, 100 * curve.false, color=colour, ls=":")
    against.set(xlabel="false, % of all tries", ylabel="accepted and right, % of the frames at their own places")
    against.set_title(title, loc="left")
    against.set_xlim(left=-0.02)
    over.set(xlabel="limit on log10 of the false alarms", ylabel="%", xlim=(-60.0, 0.0))
    over.set_title("accepted (line) and false (dots) over the limit", loc="left")
    over.axvline(limit, color=GREY, lw=0.8)
    for axes in (against, over):
        axes.grid(alpha=0.3)
        axes.set_ylim(-2, 102)
    against.legend(fontsize=8)
    figure.savefig(path)
