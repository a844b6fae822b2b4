"""The air between scene and lens: haze, fog, dusk, and the sky where there is no ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.rendering import RenderedView

Array = npt.NDArray[np.float64]

CONTRAST_THRESHOLD = 0.02
"""Contrast at which the meteorological visibility is defined (WMO-No. 8, I.9)."""
_ZENITH = np.radians(40.0)
"""From this elevation upwards the sky has one colour; a camera of a ground vehicle sees no higher."""


@dataclass(frozen=True, eq=False)
class Atmosphere:
    """Scatters light after Koschmieder (1924): ``L(d) = L₀ t + A (1 - t)`` with ``t = exp(-β d)``.

    ``β = -ln(0.02) / visibility``. Luminance adds linearly; squares and roots stand for the sRGB curve, as they do
    where the ground is painted.

    Attributes:
        visibility: meteorological visibility, m.
        horizon: (3,) sRGB 0…1 of the sky at the horizon, which is also the airlight A.
        zenith: (3,) sRGB 0…1 of the sky well above it.
        light: (3,) brightness and colour of the light on the scene, a factor of the sRGB values.
    """

    visibility: float
    horizon: Array
    zenith: Array
    light: Array

    def transmission(self, distance: npt.ArrayLike) -> Array:
        """Share of the scene's light that is left after ``distance`` metres, any shape."""
        beta = -np.log(CONTRAST_THRESHOLD) / self.visibility
        out: Array = np.exp(-beta * np.asarray(distance, np.float64))
        return out

    def __call__(self, view: RenderedView) -> npt.NDArray[np.float32]:
        """What arrives at the lens, (H, W, 3) float32, grey values 0…255."""
        camera = view.camera
        x = (np.arange(camera.width) - camera.cx) / camera.fx
        y = (np.arange(camera.height) - camera.cy) / camera.fy
        slant = np.sqrt(1.0 + x[None, :] ** 2 + y[:, None] ** 2)
        t = self.transmission(view.depth * slant)[..., None].astype(np.float32)
        scene = np.square(view.image.astype(np.float32) * (self.light / 255.0).astype(np.float32))
        airlight = np.square(self.horizon).astype(np.float32)
        seen = scene * t + airlight * (np.float32(1.0) - t)
        nothing = ~view.mask
        if nothing.any():
            row = view.T_map_camera.rotation[2]
            up = (row[0] * x[None, :] + row[1] * y[:, None] + row[2]) / slant
            # Past the edge of the world, below the horizon, there is only haze.
            share = np.clip(np.arcsin(up[nothing]) / _ZENITH, 0.0, 1.0)[:, None] ** 0.7
            seen[nothing] = np.square(self.horizon + share * (self.zenith - self.horizon))
        return np.asarray(np.sqrt(seen) * 255.0, np.float32)


CLEAR = Atmosphere(
    visibility=50_000.0,
    horizon=np.array([0.74, 0.81, 0.88]),
    zenith=np.array([0.36, 0.53, 0.78]),
    light=np.array([1.0, 1.0, 1.0]),
)
FOG = Atmosphere(
    # What fog is by definition: less than this.
    visibility=1000.0,
    horizon=np.array([0.74, 0.76, 0.78]),
    zenith=np.array([0.80, 0.81, 0.82]),
    light=np.array([0.82, 0.83, 0.86]),
)
OVERCAST = Atmosphere(
    visibility=15_000.0,
    horizon=np.array([0.80, 0.82, 0.85]),
    zenith=np.array([0.70, 0.72, 0.76]),
    light=np.array([1.0, 1.0, 1.0]),
)
DUSK = Atmosphere(
    visibility=12_000.0,
    horizon=np.array([0.20, 0.17, 0.19]),
    zenith=np.array([0.07, 0.09, 0.16]),
    light=np.array([0.140, 0.158, 0.195]),
)
"""Half an hour after sunset: the blue hour's light, and a horizon that still glows."""
