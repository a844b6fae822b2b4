"""The formats by name: one file a format, which registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from geo_nav.export.errors import ExportError
from geo_nav.export.run import ExportRun

Writer = Callable[[ExportRun], list[Path]]

_writers: dict[str, Writer] = {}


def register_format(name: str) -> Callable[[Writer], Writer]:
    """Function decorator that makes a format known under a name.

    Args:
        name: for the command line.

    Returns:
        a decorator of a function that writes an :class:`~geo_nav.export.run.ExportRun` into its folder and returns the
        paths that it has written.
    """

    def register(writer: Writer) -> Writer:
        _writers[name] = writer
        return writer

    return register


def format_names() -> tuple[str, ...]:
    """The names that :func:`format_writer` takes."""
    import geo_nav.export.formats as folder

    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")
    return tuple(sorted(_writers))


def format_writer(name: str) -> Writer:
    """The writer of a format.

    Raises:
        ExportError: the name is unknown.
    """
    if name not in format_names():
        raise ExportError(f"unknown format '{name}': use one of {', '.join(format_names())}, or all")
    return _writers[name]
