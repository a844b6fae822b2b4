"""The error class of the rendering room."""

from geo_nav import GeoNavError


class RenderingError(GeoNavError):
    """A camera, an image or a rendering backend that cannot be used."""
