"""The two epochs: the survey in late May, the flight in mid-September of another sun."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.noise import Raster

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Epoch:
    """How the same land looks on one day; colours are sRGB 0…1.

    Attributes:
        index: of the epoch's own draws: fine texture, vehicles, crops' tints.
        name: its name.
        land: state of the land: 0 as surveyed, 1 as flown over in September (buildings, brightness of parcels).
        sun_azimuth: clockwise from north, rad.
        sun_elevation: rad.
        sun_light: (3,) share of the light that comes from the sun, a channel.
        sky_light: (3,) share that comes from the sky, all that a shadow gets.
        covers: (8, 3) main colour of each :class:`~geo_nav.simulation.parcels.Cover`.
        covers_alt: (8, 3) colour where the crop is thin or the soil differs.
        tramline: (8,) brightness of the tractor's tracks over the crop, a difference.
        rows: (8,) contrast of the stripes that sowing, mowing and ploughing leave.
        patches: (8,) share of the alternative colour, 1 sigma of the shared soil pattern.
        trees: (3, 3) colour of broadleaf, conifer and shrub.
        tree_spread: (3, 3) what a tree's own tint adds.
        grass: (3,) verges and lawns.
        water: (3,) the stream.
        wetness: darkening of bare soil and tracks.
        foliage: (3,) share of the ground that crowns of broadleaf, conifer and shrub hide; 1 in leaf.
        snow: share of open ground and roofs that snow covers.
    """

    index: int
    name: str
    land: int
    sun_azimuth: float
    sun_elevation: float
    sun_light: Array
    sky_light: Array
    covers: Array
    covers_alt: Array
    tramline: Array
    rows: Array
    patches: Array
    trees: Array
    tree_spread: Array
    grass: Array
    water: Array
    wetness: float
    foliage: tuple[float, float, float] = (1.0, 1.0, 1.0)
    snow: float = 0.0

    @property
    def leafless(self) -> list[int]:
        """The kinds of tree that stand without leaves."""
        return [kind for kind, share in enumerate(self.foliage) if share < 1.0]

    @property
    def sun(self) -> Array:
        """(3,) unit vector towards the sun, east north up."""
        horizontal = np.cos(self.sun_elevation)
        return np.array(
            [horizontal * np.sin(self.sun_azimuth), horizontal * np.cos(self.sun_azimuth), np.sin(self.sun_elevation)]
        )

    def light(self, shade: Raster, shadow: Raster) -> Raster:
        """Light on a surface.

        Args:
            shade: cosine between surface normal and sun, clipped at 0, any shape.
            shadow: 0 in the sun … 1 in full cast shadow, the same shape.

        Returns:
            (..., 3) float32 factor of the linear colour, about 1 on flat ground in the sun.
        """
        direct = (shade * (1.0 - shadow) / np.sin(self.sun_elevation)).astype(np.float32)
        lit = direct[..., None] * self.sun_light.astype(np.float32) + self.sky_light.astype(np.float32)
        return np.asarray(lit, np.float32)


SURVEY = Epoch(
    index=0,
    name="survey",
    land=0,
    sun_azimuth=np.radians(128.0),
    sun_elevation=np.radians(52.0),
    sun_light=np.array([0.80, 0.78, 0.74]),
    sky_light=np.array([0.20, 0.22, 0.26]),
    # wheat, rapeseed, maize, beet, meadow, bare, forest floor, town
    covers=np.array(
        [[0.33, 0.42, 0.24], [0.58, 0.57, 0.30], [0.55, 0.47, 0.37], [0.47, 0.45, 0.31], [0.38, 0.46, 0.27],
         [0.53, 0.45, 0.36], [0.27, 0.28, 0.20], [0.36, 0.44, 0.25]]
    ),
    covers_alt=np.array(
        [[0.43, 0.48, 0.29], [0.45, 0.50, 0.27], [0.47, 0.44, 0.32], [0.56, 0.48, 0.37], [0.47, 0.50, 0.30],
         [0.47, 0.39, 0.30], [0.33, 0.32, 0.24], [0.45, 0.48, 0.32]]
    ),
    tramline=np.array([0.11, 0.07, -0.03, 0.05, 0.01, -0.01, 0.0, 0.0]),
    rows=np.array([0.020, 0.020, 0.045, 0.05, 0.03, 0.045, 0.0, 0.0]),
    patches=np.array([0.35, 0.35, 0.35, 0.4, 0.4, 0.30, 0.3, 0.4]),
    trees=np.array([[0.27, 0.36, 0.19], [0.18, 0.25, 0.17], [0.30, 0.37, 0.21]]),
    tree_spread=np.array([[0.06, 0.05, 0.03], [0.02, 0.03, 0.02], [0.05, 0.04, 0.03]]),
    grass=np.array([0.39, 0.48, 0.25]),
    water=np.array([0.21, 0.28, 0.25]),
    wetness=0.0,
)  # fmt: skip

FLIGHT = Epoch(
    index=1,
    name="flown",
    land=1,
    sun_azimuth=np.radians(218.0),
    sun_elevation=np.radians(36.0),
    sun_light=np.array([0.84, 0.77, 0.67]),
    sky_light=np.array([0.17, 0.20, 0.25]),
    covers=np.array(
        [[0.68, 0.61, 0.46], [0.53, 0.52, 0.35], [0.42, 0.46, 0.24], [0.32, 0.41, 0.23], [0.43, 0.47, 0.30],
         [0.47, 0.40, 0.33], [0.31, 0.28, 0.20], [0.41, 0.45, 0.28]]
    ),
    covers_alt=np.array(
        [[0.60, 0.55, 0.39], [0.42, 0.47, 0.28], [0.53, 0.51, 0.31], [0.40, 0.46, 0.28], [0.54, 0.52, 0.34],
         [0.41, 0.34, 0.27], [0.38, 0.33, 0.23], [0.52, 0.50, 0.35]]
    ),
    tramline=np.array([-0.05, -0.04, -0.04, 0.05, 0.0, 0.01, 0.0, 0.0]),
    rows=np.array([0.055, 0.045, 0.05, 0.03, 0.035, 0.05, 0.0, 0.0]),
    patches=np.array([0.30, 0.4, 0.45, 0.3, 0.45, 0.22, 0.3, 0.4]),
    trees=np.array([[0.33, 0.36, 0.19], [0.18, 0.24, 0.16], [0.34, 0.36, 0.21]]),
    tree_spread=np.array([[0.08, 0.025, 0.02], [0.02, 0.03, 0.02], [0.08, 0.02, 0.02]]),
    grass=np.array([0.44, 0.47, 0.28]),
    water=np.array([0.18, 0.22, 0.19]),
    wetness=0.12,
)  # fmt: skip

EPOCHS = (SURVEY, FLIGHT)
