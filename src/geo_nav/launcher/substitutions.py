"""Substitutions and conditions of launch files, by the names and with the meaning of ROS 2's `launch`."""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geo_nav.launcher.errors import LaunchError


class LaunchContext:
    """What a launch file's entities read and change while they are carried out.

    Attributes:
        launch_configurations: values of the arguments by name.
        environment: of the processes to come.
        parameters: name and value of each `SetParameter`.
        namespace: of each `PushRosNamespace`, joined; empty or absolute.
        launch_file: the file that is being carried out.
        directory: for temporary files.
        on_start: takes the :class:`~geo_nav.launcher.processes.ProcessPlan` of each process to start.
        on_shutdown: takes the reason of a `Shutdown`.
        declared: names of the arguments declared so far.
        exit_handlers: pairs of a target action (None: any) and what to do when its process ends.
    """

    def __init__(
        self,
        arguments: dict[str, str],
        directory: Path,
        on_start: Callable[[Any], None],
        on_shutdown: Callable[[str], None],
    ) -> None:
        self.launch_configurations = dict(arguments)
        self.environment = dict(os.environ)
        self.parameters: list[tuple[str, Any]] = []
        self.namespace = ""
        self.launch_file = Path()
        self.directory = directory
        self.on_start = on_start
        self.on_shutdown = on_shutdown
        self.declared: set[str] = set()
        self.exit_handlers: list[tuple[Any, Any]] = []

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Undoes, at its end, the changes to configurations, environment, parameters and namespace."""
        saved = (dict(self.launch_configurations), dict(self.environment), list(self.parameters), self.namespace)
        try:
            yield
        finally:
            self.launch_configurations, self.environment, self.parameters, self.namespace = saved

    def perform_substitution(self, substitution: Substitution) -> str:
        """The text that a substitution stands for."""
        return substitution.perform(self)


class Substitution(ABC):
    """Text that is known only when the launch file is carried out."""

    @abstractmethod
    def perform(self, context: LaunchContext) -> str:
        """The text.

        Raises:
            LaunchError: it cannot be found.
        """


def text(context: LaunchContext, value: Any) -> str:
    """A string, a path, a number, a substitution, or a sequence of these, as one string.

    Raises:
        LaunchError: a part is of another type, or a substitution cannot be found.
    """
    if isinstance(value, Substitution):
        return value.perform(context)
    if isinstance(value, str | Path | int | float):
        return str(value)
    if isinstance(value, Iterable):
        return "".join(text(context, part) for part in value)
    raise LaunchError(f"not text, nor a substitution: {value!r}")


def boolean(context: LaunchContext, value: Any) -> bool:
    """The truth of a condition's text: true, 1, false or 0, in any case.

    Raises:
        LaunchError: it is none of these.
    """
    found = text(context, value).strip().lower()
    if found not in ("true", "1", "false", "0"):
        raise LaunchError(f"a condition must be true, 1, false or 0, and is '{found}'")
    return found in ("true", "1")


class TextSubstitution(Substitution):
    """Fixed text."""

    def __init__(self, *, text: str) -> None:
        self.text = text

    def perform(self, context: LaunchContext) -> str:
        """The text."""
        return self.text


class LaunchConfiguration(Substitution):
    """The value of a launch argument."""

    def __init__(self, variable_name: Any, *, default: Any = None) -> None:
        self.variable_name = variable_name
        self.default = default

    def perform(self, context: LaunchContext) -> str:
        """The value, or the default."""
        name = text(context, self.variable_name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self.default is None:
            raise LaunchError(f"the launch argument '{name}' is used, but neither declared before nor given")
        return text(context, self.default)


class PathJoinSubstitution(Substitution):
    """Parts of a path joined by the separator."""

    def __init__(self, substitutions: Iterable[Any]) -> None:
        self.substitutions = list(substitutions)
        for part in self.substitutions:
            if not isinstance(part, str | Path | Substitution):
                # Later releases of ROS 2 take lists here; Jazzy, which launch files must run under too, does not.
                raise LaunchError(f"a part of PathJoinSubstitution must be text or a substitution, not {part!r}")

    def perform(self, context: LaunchContext) -> str:
        """The path."""
        return os.path.join(*(text(context, part) for part in self.substitutions))


class EnvironmentVariable(Substitution):
    """The value of an environment variable, as the launch file has set it so far."""

    def __init__(self, name: Any, *, default_value: Any = None) -> None:
        self.name = name
        self.default_value = default_value

    def perform(self, context: LaunchContext) -> str:
        """The value, or the default."""
        name = text(context, self.name)
        if name in context.environment:
            return context.environment[name]
        if self.default_value is None:
            raise LaunchError(f"the environment variable '{name}' is not set and has no default")
        return text(context, self.default_value)


class ThisLaunchFileDir(Substitution):
    """The folder of the launch file."""

    def perform(self, context: LaunchContext) -> str:
        """The folder."""
        return str(context.launch_file.parent)


class PythonExpression(Substitution):
    """The value of a Python expression, as text."""

    def __init__(self, expression: Any, python_modules: Sequence[str] = ("math",)) -> None:
        self.expression = expression
        self.python_modules = python_modules

    def perform(self, context: LaunchContext) -> str:
        """The value; a launch file is code that is run anyway, so its expressions are trusted as much as it is."""
        expression = text(context, self.expression)
        names: dict[str, Any] = {name: importlib.import_module(name) for name in self.python_modules}
        names |= {key: value for module in list(names.values()) for key, value in vars(module).items()}
        try:
            return str(eval(expression, {}, names))
        except Exception as error:
            raise LaunchError(f"the expression '{expression}' failed: {error}") from error


class EqualsSubstitution(Substitution):
    """Whether two texts are equal: true or false."""

    def __init__(self, left: Any, right: Any) -> None:
        self.left = left
        self.right = right

    def perform(self, context: LaunchContext) -> str:
        """The word true or false."""
        return str(text(context, self.left) == text(context, self.right)).lower()


class NotEqualsSubstitution(EqualsSubstitution):
    """Whether two texts differ: true or false."""

    def perform(self, context: LaunchContext) -> str:
        """The word true or false."""
        return str(text(context, self.left) != text(context, self.right)).lower()


class FindPackageShare(Substitution):
    """The share folder of a ROS package of the sourced workspaces."""

    def __init__(self, package: Any) -> None:
        self.package = package

    def perform(self, context: LaunchContext) -> str:
        """The folder."""
        package = text(context, self.package)
        return str(package_prefix(package) / "share" / package)


def package_prefix(package: str) -> Path:
    """The installation prefix of a ROS package, from the ament index.

    Raises:
        LaunchError: no sourced prefix has the package.
    """
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for prefix in prefixes:
        if (prefix / "share" / "ament_index" / "resource_index" / "packages" / package).exists():
            return prefix
    raise LaunchError(
        f"the package '{package}' is in none of the {len(prefixes)} sourced prefixes (AMENT_PREFIX_PATH); "
        "source the workspace's install/setup.bash"
    )


class IfCondition:
    """True where its text is true or 1."""

    def __init__(self, predicate_expression: Any) -> None:
        self.predicate_expression = predicate_expression

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether the entity is carried out."""
        return boolean(context, self.predicate_expression)


class UnlessCondition(IfCondition):
    """True where its text is false or 0."""

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether the entity is carried out."""
        return not boolean(context, self.predicate_expression)
