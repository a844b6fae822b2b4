"""Vertical datums: heights above the geoid to heights above the ellipsoid."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.datadir import get_data_dir, get_user_data_dir  # type: ignore[attr-defined]

from geo_nav.geodesy.errors import GeodesyError

Array = npt.NDArray[np.float64]

_GRIDS = {"egm96": ("egm96_15.gtx", "us_nga_egm96_15.tif"), "egm2008": ("us_nga_egm08_25.tif", "egm08_25.gtx")}
VERTICAL_DATUMS = ("ellipsoid", *_GRIDS)
"""The names that a site descriptor may give as ``vertical_datum``."""

_SYSTEM_PROJ_DATA = Path("/usr/share/proj")


@lru_cache
def _geoid(vertical_datum: str) -> pyproj.Transformer:
    if vertical_datum not in _GRIDS:
        raise GeodesyError(f"unknown vertical datum '{vertical_datum}': use one of {', '.join(VERTICAL_DATUMS)}")
    folders = [Path(p) for p in (get_data_dir(), get_user_data_dir())]
    for grid in _GRIDS[vertical_datum]:
        for folder in (*folders, _SYSTEM_PROJ_DATA):
            if (folder / grid).is_file():
                pipeline = (
                    "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
                    f"+step +proj=vgridshift +grids={folder / grid} +multiplier=1 "
                    "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
                )
                return pyproj.Transformer.from_pipeline(pipeline)
    raise GeodesyError(
        f"the geoid grid of '{vertical_datum}' ({' or '.join(_GRIDS[vertical_datum])}) is not on this machine: "
        f"install it (Debian/Ubuntu: apt install proj-data has EGM96) or copy it to {folders[1]}"
    )


def geoid_undulation(latitude: npt.ArrayLike, longitude: npt.ArrayLike, vertical_datum: str) -> Array:
    """Height of a vertical datum's zero above the WGS84 ellipsoid.

    Args:
        latitude: degrees, any shape.
        longitude: degrees, the same shape.
        vertical_datum: one of :data:`VERTICAL_DATUMS`.

    Returns:
        Undulation N in metres, of that shape: ``h_ellipsoid = H + N``.

    Raises:
        GeodesyError: the datum is unknown, its grid is not installed, or a point lies outside the grid.
    """
    latitude = np.asarray(latitude, dtype=np.float64)
    longitude = np.asarray(longitude, dtype=np.float64)
    if vertical_datum == "ellipsoid":
        return np.zeros(np.broadcast_shapes(latitude.shape, longitude.shape))
    _, _, height = _geoid(vertical_datum).transform(longitude, latitude, np.zeros_like(latitude))
    undulation = np.asarray(height, dtype=np.float64)
    if not np.isfinite(undulation).all():
        raise GeodesyError(f"a point lies outside the geoid grid of '{vertical_datum}'")
    return undulation
