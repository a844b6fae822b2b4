"""The error class of the geodesy room."""

from geo_nav import GeoNavError


class GeodesyError(GeoNavError):
    """A datum, a coordinate or a pose that cannot be used."""
