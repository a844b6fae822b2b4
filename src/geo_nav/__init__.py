"""geo_nav: absolute navigation without GPS, by registering camera frames against a 3D site model."""

__version__ = "0.1.0"


class GeoNavError(Exception):
    """Base of every error that geo_nav raises on purpose; each room derives one of its own."""
