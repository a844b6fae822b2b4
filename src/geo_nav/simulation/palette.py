"""Colours of roofs and walls; sRGB 0…1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.town import Building

Array = npt.NDArray[np.float64]

TILES = np.array(
    [
        [0.60, 0.33, 0.25],
        [0.53, 0.29, 0.22],
        [0.45, 0.26, 0.21],
        [0.66, 0.40, 0.30],
        [0.36, 0.34, 0.34],
        [0.42, 0.33, 0.29],
    ]
)
FLAT = np.array([[0.60, 0.60, 0.59], [0.48, 0.48, 0.48], [0.70, 0.69, 0.66], [0.44, 0.50, 0.36], [0.36, 0.36, 0.38]])
WALLS = np.array(
    [
        [0.88, 0.86, 0.80],
        [0.85, 0.79, 0.66],
        [0.80, 0.72, 0.60],
        [0.78, 0.78, 0.78],
        [0.70, 0.48, 0.38],
        [0.62, 0.64, 0.60],
    ]
)
SNOW = np.array([0.86, 0.88, 0.92])


def _shaded(palette: Array, index: int) -> Array:
    # One number picks the colour and how weathered it is.
    out: Array = palette[index % len(palette)] * (0.88 + 0.24 * ((index * 0.6180339887) % 1.0))
    return out


def roof_colour(building: Building) -> Array:
    """(3,) colour of a building's roof."""
    return _shaded(FLAT if building.roof == "flat" else TILES, building.roof_colour)


def wall_colour(building: Building) -> Array:
    """(3,) colour of a building's walls."""
    return _shaded(WALLS, building.wall_colour)
