"""Camera + pose + site model → picture and depth."""

from geo_nav.rendering.backends import backend_names, create_renderer
from geo_nav.rendering.camera import Camera, Undistorter
from geo_nav.rendering.config import RenderingConfig
from geo_nav.rendering.errors import RenderingError
from geo_nav.rendering.view import RenderedView, Renderer

__all__ = [
    "Camera",
    "RenderedView",
    "Renderer",
    "RenderingConfig",
    "RenderingError",
    "Undistorter",
    "backend_names",
    "create_renderer",
]
