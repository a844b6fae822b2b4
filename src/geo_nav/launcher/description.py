"""Launch descriptions, and how a launch file becomes one."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geo_nav.launcher.errors import LaunchError
from geo_nav.launcher.substitutions import LaunchContext


class LaunchDescription:
    """The entities of one launch file."""

    def __init__(self, initial_entities: Iterable[Any] | None = None) -> None:
        self.entities: list[Any] = list(initial_entities or ())

    def add_action(self, action: Any) -> None:
        """Appends an entity."""
        self.entities.append(action)

    def visit(self, context: LaunchContext) -> None:
        """Carries the entities out, in their order."""
        for entity in self.entities:
            entity.visit(context)


def load(path: Path) -> LaunchDescription:
    """What a Python launch file's `generate_launch_description` returns.

    Call it inside :func:`geo_nav.launcher.shim.installed`, which gives the file the modules that it imports.

    Raises:
        LaunchError: there is no such file, it fails (the message has the line), or returns something else.
    """
    if not path.is_file():
        raise LaunchError(f"no launch file '{path}'")
    if path.suffix != ".py":
        raise LaunchError(f"'{path}': geo_nav's runner knows Python launch files only; use `ros2 launch` for this one")
    spec = importlib.util.spec_from_file_location(f"geo_nav_launch_file_{path.name.replace('.', '_')}", path)
    if spec is None or spec.loader is None:
        raise LaunchError(f"'{path}' cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        description = module.generate_launch_description()
    except Exception as error:
        raise LaunchError(f"{_place(path, error)}: {type(error).__name__}: {error}") from error
    if not isinstance(description, LaunchDescription):
        raise LaunchError(f"{path}: generate_launch_description returned {type(description).__name__}")
    return description


def _place(path: Path, error: Exception) -> str:
    """The file and the last line of it on the way to an error."""
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    return f"{path}:{lines[-1]}" if lines else str(path)
