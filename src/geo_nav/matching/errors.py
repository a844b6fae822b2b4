"""The error class of the matching room."""

from geo_nav import GeoNavError


class MatchingError(GeoNavError):
    """A matcher that is unknown, not installed or failed."""
