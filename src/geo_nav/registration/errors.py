"""The error class of the registration room."""

from geo_nav import GeoNavError


class RegistrationError(GeoNavError):
    """A prior, a configuration or a set of measurements that registration cannot use."""
