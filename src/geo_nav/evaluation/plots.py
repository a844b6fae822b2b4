"""Colours and style of the figures. Colours are Okabe and Ito's, which the colour-blind can tell apart."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from geo_nav.fusion.types import NavigationState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, YELLOW = "#0072B2", "#D55E00", "#009E73", "#F0E442"
ORANGE, PURPLE, SKY, INK, GREY = "#E69F00", "#CC79A7", "#56B4E9", "#1F2933", "#7B8794"

STATE_COLOURS = {
    NavigationState.INITIALIZING: "#B8C2CC",
    NavigationState.TRACKING: GREEN,
    NavigationState.COASTING: YELLOW,
    NavigationState.LOST: VERMILION,
    NavigationState.RELOCALIZING: PURPLE,
}

GATE_COLOURS = (VERMILION, ORANGE, PURPLE, SKY, "#8B6914", "#5D3FD3", GREY)

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


def png(figure: Figure, dpi: int = 130) -> bytes:
    """The matplotlib figure as a PNG file."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):  # fonts are looked up when the figure is drawn
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()
