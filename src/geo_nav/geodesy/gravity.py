"""Normal gravity of the Earth's ellipsoid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def normal_gravity(latitude: npt.ArrayLike, height: npt.ArrayLike) -> Array:
    """Gravity at a latitude (degrees) and a height above the ellipsoid (m), m/s².

    Somigliana's formula with the WGS84 constants, and the second-order free-air correction (NIMA TR8350.2, equations
    4-1 and 4-3).
    """
    s2 = np.sin(np.radians(latitude)) ** 2
    surface = 9.7803253359 * (1.0 + 0.00193185265241 * s2) / np.sqrt(1.0 - 0.00669437999014 * s2)
    a, f, m = 6_378_137.0, 1.0 / 298.257223563, 0.00344978650684
    h = np.asarray(height, np.float64)
    out: Array = surface * (1.0 - 2.0 / a * (1.0 + f + m - 2.0 * f * s2) * h + 3.0 * h**2 / a**2)
    return out
