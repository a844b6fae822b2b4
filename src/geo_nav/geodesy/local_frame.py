"""The `map` frame: local east-north-up at a datum origin, reached through ECEF."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.exceptions import ProjError

from geo_nav.geodesy.errors import GeodesyError
from geo_nav.geodesy.pose import Pose
from geo_nav.geodesy.vertical import geoid_undulation

Array = npt.NDArray[np.float64]

_GEODETIC = "EPSG:4979"
_ECEF = "EPSG:4978"


@lru_cache
def _transformer(source: str, target: str) -> pyproj.Transformer:
    try:
        return pyproj.Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        raise GeodesyError(f"no transformation from '{source}' to '{target}': {error}") from error


@lru_cache
def _require_horizontal(crs: str) -> None:
    try:
        parsed = pyproj.CRS.from_user_input(crs)
    except ProjError as error:
        raise GeodesyError(f"unknown coordinate reference system '{crs}': {error}") from error
    if not (parsed.is_projected or parsed.is_geographic):
        raise GeodesyError(f"'{crs}' ({parsed.type_name}) is neither projected nor geographic: name such a CRS")


def geodetic_from_crs(
    x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike, crs: str, vertical_datum: str = "ellipsoid"
) -> tuple[Array, Array, Array]:
    """Projected or geographic coordinates → latitude, longitude (degrees, WGS84), height above the ellipsoid (m).

    Args:
        x: easting (m) or longitude (degrees), whatever axis order the CRS itself declares.
        y: northing or latitude.
        z: height in metres above ``vertical_datum``.
        crs: horizontal CRS, for example ``EPSG:32614``.
        vertical_datum: one of :data:`~geo_nav.geodesy.VERTICAL_DATUMS`.

    Raises:
        GeodesyError: the CRS is unknown or geocentric, or points lie outside its area of use.
    """
    _require_horizontal(crs)
    lon, lat = _transformer(crs, "EPSG:4326").transform(np.asarray(x, np.float64), np.asarray(y, np.float64))
    lon, lat = np.asarray(lon), np.asarray(lat)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise GeodesyError(f"coordinates outside the area of use of {crs}")
    return lat, lon, np.asarray(z, np.float64) + geoid_undulation(lat, lon, vertical_datum)


@dataclass(frozen=True)
class LocalFrame:
    """East-north-up axes at a datum origin (REP-105 `map`).

    Not a projection: a point goes to ECEF and is rotated, so that distances are true at any distance from the
    origin (UTM's scale is off by up to 0.4 m a km).

    Attributes:
        latitude: of the origin, degrees, WGS84.
        longitude: of the origin, degrees, WGS84.
        height: of the origin, metres above the ellipsoid.
    """

    latitude: float
    longitude: float
    height: float

    def __post_init__(self) -> None:
        if not (abs(self.latitude) <= 90.0 and abs(self.longitude) <= 360.0 and abs(self.height) < 1e5):
            raise GeodesyError(
                f"not a datum origin: latitude {self.latitude}, longitude {self.longitude}, height {self.height}"
            )

    @property
    def T_earth_map(self) -> Pose:
        """The map frame in ECEF."""
        lat, lon = np.radians([self.latitude, self.longitude])
        east = [-np.sin(lon), np.cos(lon), 0.0]
        north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
        up = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
        origin = _transformer(_GEODETIC, _ECEF).transform(self.longitude, self.latitude, self.height)
        return Pose(np.column_stack([east, north, up]), np.array(origin))

    def from_geodetic(self, latitude: npt.ArrayLike, longitude: npt.ArrayLike, height: npt.ArrayLike) -> Array:
        """Geodetic WGS84 (degrees, degrees, m above the ellipsoid) → (..., 3) ENU metres."""
        lat, lon, h = np.broadcast_arrays(
            np.asarray(latitude, np.float64), np.asarray(longitude, np.float64), np.asarray(height, np.float64)
        )
        ecef = np.stack(_transformer(_GEODETIC, _ECEF).transform(lon, lat, h), axis=-1)
        T = self.T_earth_map
        enu: Array = (ecef - T.translation) @ T.rotation
        return enu

    def to_geodetic(self, enu: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """(..., 3) ENU metres → latitude, longitude (degrees), height above the ellipsoid (m)."""
        ecef = self.T_earth_map.transform(enu)
        lon, lat, h = _transformer(_ECEF, _GEODETIC).transform(ecef[..., 0], ecef[..., 1], ecef[..., 2])
        return np.asarray(lat), np.asarray(lon), np.asarray(h)

    def from_crs(
        self, x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike, crs: str, vertical_datum: str = "ellipsoid"
    ) -> Array:
        """Projected or geographic coordinates → (..., 3) ENU metres.

        Args:
            x: easting (m) or longitude (degrees).
            y: northing or latitude.
            z: height in metres above ``vertical_datum``.
            crs: horizontal CRS, for example ``EPSG:32614``.
            vertical_datum: one of :data:`~geo_nav.geodesy.VERTICAL_DATUMS`.

        Raises:
            GeodesyError: the CRS is unknown, or points lie outside its area of use.
        """
        return self.from_geodetic(*geodetic_from_crs(x, y, z, crs, vertical_datum))

    def to_crs(self, enu: npt.ArrayLike, crs: str, vertical_datum: str = "ellipsoid") -> Array:
        """The inverse of :meth:`from_crs`: (..., 3) ENU → (..., 3) x, y, height above ``vertical_datum``."""
        lat, lon, h = self.to_geodetic(enu)
        x, y = _transformer("EPSG:4326", crs).transform(lon, lat)
        return np.stack([x, y, h - geoid_undulation(lat, lon, vertical_datum)], axis=-1)
