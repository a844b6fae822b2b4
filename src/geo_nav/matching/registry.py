"""The matchers by name: one file a matcher, which registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.errors import MatchingError
from geo_nav.matching.protocol import Matcher

Factory = Callable[[MatchingConfig], Matcher]
F = TypeVar("F", bound=Factory)

_factories: dict[str, Factory] = {}


def register_matcher(name: str) -> Callable[[F], F]:
    """Class decorator that makes a matcher known under a name."""

    def register(factory: F) -> F:
        _factories[name] = factory
        return factory

    return register


def _load_backends() -> None:
    import geo_nav.matching.backends as folder

    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")


def matcher_names() -> tuple[str, ...]:
    """The names that :func:`create_matcher` takes."""
    _load_backends()
    return tuple(sorted(_factories))


def create_matcher(name: str, **options: Any) -> Matcher:
    """A matcher by name.

    Args:
        name: one of :func:`matcher_names`.
        options: fields of :class:`~geo_nav.matching.MatchingConfig`.

    Raises:
        MatchingError: the name or an option is unknown, or what the matcher needs is not installed.
    """
    if name not in matcher_names():
        raise MatchingError(f"unknown matcher '{name}': use one of {', '.join(matcher_names())}")
    try:
        config = MatchingConfig(**options)
    except ValidationError as error:
        raise MatchingError(f"options of the matcher '{name}': {error}") from error
    return _factories[name](config)
