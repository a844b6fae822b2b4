"""The error class of the site room."""

from geo_nav import GeoNavError


class SiteError(GeoNavError):
    """A site descriptor or a file of a site that is missing, damaged or contradicts itself."""
