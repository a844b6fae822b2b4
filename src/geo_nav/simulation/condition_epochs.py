"""How the land looks in the conditions that another epoch makes, beside the survey's and the flight's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geo_nav.simulation.epochs import FLIGHT, SURVEY

SAME_DAY = replace(SURVEY, index=2, name="same_day")
"""The survey's own day: the same land and light, other vehicles and fine texture."""

LOW_SUN = replace(
    SURVEY,
    index=3,
    name="low_sun",
    sun_azimuth=np.radians(287.0),
    sun_elevation=np.radians(12.0),
    # So low, the sky gives the ground almost as much light as the sun does; what faces the sun gets several times that.
    sun_light=np.array([0.52, 0.43, 0.32]),
    sky_light=np.array([0.34, 0.37, 0.44]),
)
"""The evening of the survey's day: shadows five times as long as what casts them, to the other side."""

OVERCAST_DAY = replace(
    FLIGHT, name="overcast", sun_light=np.array([0.12, 0.12, 0.12]), sky_light=np.array([0.82, 0.84, 0.87])
)
"""The flight's September under a closed sky: the same picture but for the shadows, which are almost gone."""

WINTER = replace(
    FLIGHT,
    index=4,
    name="winter",
    sun_azimuth=np.radians(196.0),
    sun_elevation=np.radians(18.0),
    # Through thin cloud: there are shadows, but weak ones.
    sun_light=np.array([0.26, 0.24, 0.21]),
    sky_light=np.array([0.62, 0.65, 0.70]),
    # wheat (sown, low), rapeseed (low), maize and beet (harvested), meadow (bleached), bare, forest floor, town
    covers=np.array(
        [[0.40, 0.42, 0.30], [0.37, 0.41, 0.29], [0.48, 0.42, 0.34], [0.42, 0.36, 0.30], [0.46, 0.45, 0.33],
         [0.40, 0.34, 0.29], [0.36, 0.31, 0.26], [0.43, 0.43, 0.33]]
    ),
    covers_alt=np.array(
        [[0.44, 0.40, 0.32], [0.42, 0.40, 0.31], [0.55, 0.49, 0.38], [0.46, 0.42, 0.34], [0.52, 0.49, 0.36],
         [0.35, 0.30, 0.26], [0.42, 0.36, 0.30], [0.50, 0.47, 0.36]]
    ),
    tramline=np.array([-0.04, -0.04, -0.03, -0.02, 0.0, 0.01, 0.0, 0.0]),
    rows=np.array([0.04, 0.04, 0.05, 0.05, 0.02, 0.05, 0.0, 0.0]),
    trees=np.array([[0.33, 0.28, 0.25], [0.19, 0.24, 0.19], [0.36, 0.30, 0.26]]),
    tree_spread=np.array([[0.07, 0.06, 0.05], [0.02, 0.03, 0.02], [0.05, 0.03, 0.03]]),
    grass=np.array([0.63, 0.63, 0.60]),
    water=np.array([0.16, 0.19, 0.20]),
    wetness=0.25,
    foliage=(0.68, 1.0, 0.68),
    snow=0.6,
)  # fmt: skip
"""January: snow in patches, fields and leaves gone, pale light."""
