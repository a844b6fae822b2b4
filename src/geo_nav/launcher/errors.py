"""The error class of the launcher room."""

from geo_nav import GeoNavError


class LaunchError(GeoNavError):
    """A launch file, an argument or a process that cannot be used."""
