"""Launch arguments: which ones a file declares, and how they are given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo_nav.launcher import shim
from geo_nav.launcher.actions import Action, DeclareLaunchArgument
from geo_nav.launcher.description import LaunchDescription, load
from geo_nav.launcher.errors import LaunchError
from geo_nav.launcher.substitutions import LaunchContext, text


def parse_arguments(words: Iterable[str]) -> dict[str, str]:
    """`name:=value` words → values by name; the last of a name counts.

    Raises:
        LaunchError: a word is of another form.
    """
    arguments = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise LaunchError(f"'{word}' is no launch argument: expected name:=value")
        arguments[name] = value
    return arguments


def declared_arguments(description: LaunchDescription, context: LaunchContext) -> list[DeclareLaunchArgument]:
    """The arguments that a file and the files it includes declare, whatever their conditions; first of a name counts.

    Nothing but declarations is carried out; an include whose path cannot be known yet is left out.
    """
    found: dict[str, DeclareLaunchArgument] = {}
    _collect(description.entities, context, found)
    return list(found.values())


def _collect(entities: Iterable[Any], context: LaunchContext, found: dict[str, DeclareLaunchArgument]) -> None:
    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument):
            found.setdefault(entity.name, entity)
            if entity.default_value is not None and entity.name not in context.launch_configurations:
                context.launch_configurations[entity.name] = _default(entity, context)
        elif isinstance(entity, Action):
            try:
                children = list(entity.children(context))
            except LaunchError:
                continue
            _collect(children, context, found)


def _default(argument: DeclareLaunchArgument, context: LaunchContext) -> str:
    try:
        return text(context, argument.default_value)
    except LaunchError as error:
        return f"({error})"


def check_arguments(description: LaunchDescription, arguments: dict[str, str], context: LaunchContext) -> None:
    """Refuses arguments that nothing declares; call it when the description has been carried out in ``context``.

    Raises:
        LaunchError: naming the argument, and those that there are.
    """
    with context.scope():
        known = context.declared | {argument.name for argument in declared_arguments(description, context)}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise LaunchError(
            f"no such launch argument: {', '.join(unknown)}; the file has: {', '.join(sorted(known)) or 'none'}"
        )


@dataclass(frozen=True)
class ArgumentHelp:
    """What a launch file says of one of its arguments.

    Attributes:
        name: of the argument.
        description: empty where there is none.
        choices: the values that it takes; None where any.
        default: None where the argument must be given.
    """

    name: str
    description: str
    choices: tuple[str, ...] | None
    default: str | None


def launch_arguments(path: str | Path) -> list[ArgumentHelp]:
    """The arguments of a launch file and of the files that it includes.

    Raises:
        LaunchError: the file cannot be used.
    """
    with shim.installed(), tempfile.TemporaryDirectory() as folder:
        context = LaunchContext({}, Path(folder), lambda plan: None, lambda reason: None)
        context.launch_file = Path(path).absolute()
        return [
            ArgumentHelp(
                argument.name,
                argument.description or "",
                None if argument.choices is None else tuple(argument.choices),
                None if argument.default_value is None else _default(argument, context),
            )
            for argument in declared_arguments(load(context.launch_file), context)
        ]


def describe_arguments(path: str | Path) -> str:
    """What `--show-args` prints: each argument with its description, choices and default.

    Raises:
        LaunchError: the file cannot be used.
    """
    lines = ["Arguments (pass arguments as '<name>:=<value>'):"]
    for argument in launch_arguments(path):
        lines += ["", f"    '{argument.name}':", f"        {argument.description or 'no description given'}"]
        if argument.choices is not None:
            lines.append(f"        (one of: {', '.join(argument.choices)})")
        if argument.default is not None:
            lines.append(f"        (default: '{argument.default}')")
    return "\n".join([*lines, ""] if len(lines) > 1 else [*lines, "", "  No arguments."])
