"""The matchers by name: one file a matcher, which registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.errors import MatchingError
from geo_nav.matching.networks import Network
from geo_nav.matching.protocol import Matcher

Factory = Callable[[MatchingConfig], Matcher]
F = TypeVar("F", bound=Factory)

_factories: dict[str, Factory] = {}
_networks: dict[str, Callable[[], tuple[Network, ...]]] = {}


def register_matcher(name: str, networks: Callable[[], tuple[Network, ...]] = tuple) -> Callable[[F], F]:
    """Class decorator that makes a matcher known under a name.

    Args:
        name: for config and command line.
        networks: the learned networks that it runs, if any; called only when they are to be exported.
    """

    def register(factory: F) -> F:
        _factories[name] = factory
        _networks[name] = networks
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


def matcher_networks(name: str) -> tuple[Network, ...]:
    """The learned networks that a matcher runs; none for a matcher that is not learned.

    Raises:
        MatchingError: the name is unknown, or a network is not installed.
    """
    _check_name(name)
    return _networks[name]()


def create_matcher(name: str, **options: Any) -> Matcher:
    """A matcher by name.

    Args:
        name: one of :func:`matcher_names`.
        options: fields of :class:`~geo_nav.matching.MatchingConfig`.

    Raises:
        MatchingError: the name or an option is unknown, or what the matcher needs is not installed.
    """
    _check_name(name)
    try:
        config = MatchingConfig(**options)
    except ValidationError as error:
        raise MatchingError(f"options of the matcher '{name}': {error}") from error
    return _factories[name](config)


def _check_name(name: str) -> None:
    if name not in matcher_names():
        raise MatchingError(f"unknown matcher '{name}': use one of {', '.join(matcher_names())}")
