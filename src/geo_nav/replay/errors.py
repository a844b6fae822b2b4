"""The errors of replays."""

from geo_nav import GeoNavError


class ReplayError(GeoNavError):
    """A bag that cannot be replayed, or a setting of the replay that cannot be used."""
