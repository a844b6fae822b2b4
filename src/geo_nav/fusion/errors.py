"""The error class of the fusion room."""

from geo_nav import GeoNavError


class FusionError(GeoNavError):
    """A measurement, a state or a configuration that fusion cannot use."""
