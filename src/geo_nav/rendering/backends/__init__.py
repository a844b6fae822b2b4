"""Rendering backends: each module of this folder registers one by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache

from pydantic import ValidationError

from geo_nav.rendering.config import RenderingConfig
from geo_nav.rendering.errors import RenderingError
from geo_nav.rendering.view import Renderer
from geo_nav.site import SiteModel

Factory = Callable[[SiteModel, RenderingConfig], Renderer]

_factories: dict[str, Factory] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Decorates the class (or function) that makes a renderer from a site model and a config."""

    def add(factory: Factory) -> Factory:
        _factories[name] = factory
        return factory

    return add


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def backend_names() -> list[str]:
    """Names that ``RenderingConfig.backend`` may have."""
    _import_all()
    return sorted(_factories)


def create_renderer(
    model: SiteModel, backend: str = "moderngl", device: str = "auto", **options: float | int
) -> Renderer:
    """A renderer bound to a site model.

    To be used and closed in the thread that calls this: an OpenGL context belongs to its thread.

    Args:
        model: what to render.
        backend: one of :func:`backend_names`.
        device: ``auto``, ``cpu``, ``gpu`` or the index of an EGL device.
        **options: the other fields of :class:`~geo_nav.rendering.RenderingConfig`.

    Raises:
        RenderingError: an option is unknown or out of range, or the backend cannot run on this machine.
    """
    try:
        config = RenderingConfig.model_validate({"backend": backend, "device": device, **options})
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise RenderingError(f"not a rendering option: {problems}") from error
    if config.backend not in backend_names():
        raise RenderingError(f"unknown rendering backend '{config.backend}': use one of {', '.join(backend_names())}")
    return _factories[config.backend](model, config)
