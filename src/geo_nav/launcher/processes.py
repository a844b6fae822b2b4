"""The actions that start processes: programs, and ROS nodes with their parameters and remappings."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from geo_nav.launcher.actions import Action, join_namespace
from geo_nav.launcher.errors import LaunchError
from geo_nav.launcher.substitutions import LaunchContext, Substitution, boolean, package_prefix, text


@dataclass(frozen=True, eq=False)
class ProcessPlan:
    """One process as it will be started, with every substitution carried out.

    Attributes:
        action: of the launch file.
        name: label of its output lines.
        command: program and arguments.
        directory: to run in; None for the launcher's own.
        environment: in full.
        respawn: whether it is started again when it ends.
        respawn_delay: seconds before that.
        respawn_max_retries: how often at most; negative for no limit.
        sigterm_timeout: seconds from SIGINT to SIGTERM at shutdown.
        sigkill_timeout: seconds from SIGTERM to SIGKILL.
        on_exit: entities, or a callable of event and context, for when it ends.
    """

    action: Any
    name: str
    command: list[str]
    directory: str | None
    environment: dict[str, str]
    respawn: bool
    respawn_delay: float
    respawn_max_retries: int
    sigterm_timeout: float
    sigkill_timeout: float
    on_exit: Any


class ExecuteProcess(Action):
    """A program. Its output goes to the screen whatever ``output`` says (there is no log folder)."""

    def __init__(
        self,
        *,
        cmd: Iterable[Any],
        name: Any = None,
        prefix: Any = None,
        cwd: Any = None,
        env: dict[Any, Any] | None = None,
        additional_env: dict[Any, Any] | None = None,
        output: Any = "log",
        emulate_tty: bool = False,
        respawn: Any = False,
        respawn_delay: float | None = 0.0,
        respawn_max_retries: int = -1,
        sigterm_timeout: Any = 5,
        sigkill_timeout: Any = 5,
        on_exit: Any = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.cmd = list(cmd)
        self.name = name
        self.prefix = prefix
        self.cwd = cwd
        self.env = env
        self.additional_env = additional_env or {}
        self.output = output
        self.emulate_tty = emulate_tty
        self.respawn = respawn
        self.respawn_delay = respawn_delay
        self.respawn_max_retries = respawn_max_retries
        self.sigterm_timeout = sigterm_timeout
        self.sigkill_timeout = sigkill_timeout
        self.on_exit = on_exit

    def command(self, context: LaunchContext) -> list[str]:
        """Program and arguments."""
        return [text(context, part) for part in self.cmd]

    def execute(self, context: LaunchContext) -> None:
        """Hands the plan of the process to the launch service."""
        command = self.command(context)
        environment = context.environment if self.env is None else _texts(context, self.env)
        prefix = [] if self.prefix is None else shlex.split(text(context, self.prefix))
        context.on_start(
            ProcessPlan(
                action=self,
                name=Path(command[0]).name if self.name is None else text(context, self.name),
                command=[*prefix, *command],
                directory=None if self.cwd is None else text(context, self.cwd),
                environment=environment | _texts(context, self.additional_env),
                respawn=boolean(context, str(self.respawn) if isinstance(self.respawn, bool) else self.respawn),
                respawn_delay=self.respawn_delay or 0.0,
                respawn_max_retries=self.respawn_max_retries,
                sigterm_timeout=float(text(context, self.sigterm_timeout)),
                sigkill_timeout=float(text(context, self.sigkill_timeout)),
                on_exit=self.on_exit,
            )
        )


def _texts(context: LaunchContext, values: dict[Any, Any]) -> dict[str, str]:
    return {text(context, name): text(context, value) for name, value in values.items()}


class ParameterValue:
    """A parameter whose type is said instead of read from its text."""

    def __init__(self, value: Any, *, value_type: Any = None) -> None:
        self.value = value
        self.value_type = value_type


class ParameterFile:
    """A YAML file of parameters."""

    def __init__(self, param_file: Any, *, allow_substs: bool = False) -> None:
        if allow_substs:
            raise LaunchError("ParameterFile(allow_substs=True) is not supported by geo_nav's runner")
        self.param_file = param_file


class Node(ExecuteProcess):
    """A ROS node: an executable of a package, with name, namespace, parameters and remappings."""

    def __init__(
        self,
        *,
        executable: Any,
        package: Any = None,
        name: Any = None,
        namespace: Any = None,
        exec_name: Any = None,
        parameters: Iterable[Any] | None = None,
        remappings: Iterable[tuple[Any, Any]] | None = None,
        ros_arguments: Iterable[Any] | None = None,
        arguments: Iterable[Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(cmd=[executable], name=exec_name, **options)
        self.package = package
        self.executable = executable
        self.node_name = name
        self.namespace = namespace
        self.parameters = list(parameters or ())
        self.remappings = list(remappings or ())
        self.ros_arguments = list(ros_arguments or ())
        self.arguments = list(arguments or ())

    def command(self, context: LaunchContext) -> list[str]:
        """Executable, arguments, and ROS arguments."""
        name = None if self.node_name is None else text(context, self.node_name)
        namespace = "" if self.namespace is None else text(context, self.namespace)
        namespace = join_namespace(context.namespace or ("/" if namespace else ""), namespace)
        ros = [text(context, argument) for argument in self.ros_arguments]
        ros += [] if name is None else ["-r", f"__node:={name}"]
        ros += [] if not namespace else ["-r", f"__ns:={namespace}"]
        for parameter, value in context.parameters:
            ros += ["-p", f"{parameter}:={_yaml_line(parameter_value(context, value))}"]
        # A node's own name wins over a file's wildcards, whatever their order; so the dictionaries use it.
        scope = f"{namespace.rstrip('/')}/{name}" if name is not None and namespace else "/**"
        for parameters in self.parameters:
            ros += ["--params-file", _parameter_file(context, parameters, scope)]
        for source, target in self.remappings:
            ros += ["-r", f"{text(context, source)}:={text(context, target)}"]
        return [self._program(context), *(text(context, a) for a in self.arguments), "--ros-args", *ros]

    def _program(self, context: LaunchContext) -> str:
        executable = text(context, self.executable)
        if self.package is None:
            return executable
        package = text(context, self.package)
        folder = package_prefix(package) / "lib" / package
        if not os.access(folder / executable, os.X_OK):
            known = ", ".join(sorted(p.name for p in folder.glob("*") if p.is_file())) or "none"
            raise LaunchError(f"the package '{package}' has no executable '{executable}' in {folder}; it has: {known}")
        return str(folder / executable)


class LifecycleNode(Node):
    """A lifecycle node; ours configure and activate themselves (parameter ``autostart``)."""

    def __init__(self, *, name: Any, namespace: Any, **options: Any) -> None:
        super().__init__(name=name, namespace=namespace, **options)


def parameter_value(context: LaunchContext, value: Any) -> Any:
    """The value of a parameter; text from substitutions is read as YAML, as ROS 2 does ('5' is an integer).

    Raises:
        LaunchError: it is of a type that no parameter has, or its text is no value of its type.
    """
    if isinstance(value, ParameterValue):
        if value.value_type is None:
            return parameter_value(context, value.value)
        found = text(context, value.value)
        if value.value_type is str:
            return found
        read = yaml.safe_load(found)
        if value.value_type is float and type(read) is int:
            read = float(read)
        if not isinstance(read, value.value_type):
            raise LaunchError(f"the parameter value '{found}' is no {value.value_type.__name__}")
        return read
    if isinstance(value, Substitution):
        return _read(value.perform(context))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        # Text and substitutions together are one text; anything else is a list.
        if any(isinstance(part, Substitution) for part in value):
            return _read(text(context, value))
        return [parameter_value(context, part) for part in value]
    if isinstance(value, bool | int | float | str):
        return value
    raise LaunchError(f"not a parameter value: {value!r}")


def _read(found: str) -> Any:
    try:
        value = yaml.safe_load(found) if found else ""
    except yaml.YAMLError:
        value = None
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, bool | int | float | str) for part in parts):
        raise LaunchError(f"'{found}' is no parameter value; for text, use ParameterValue(…, value_type=str)")
    return value


def _yaml_line(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")


def _parameter_file(context: LaunchContext, parameters: Any, scope: str) -> str:
    """The path of a file with the parameters; a dictionary is written to a temporary one."""
    if not isinstance(parameters, dict):
        path = text(context, parameters.param_file if isinstance(parameters, ParameterFile) else parameters)
        if not Path(path).is_file():
            raise LaunchError(f"no parameter file '{path}'")
        return path
    content = {scope: {"ros__parameters": _nested(context, parameters)}}
    descriptor, path = tempfile.mkstemp(prefix="launch_params_", suffix=".yaml", dir=context.directory)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        yaml.safe_dump(content, stream)
    return path


def _nested(context: LaunchContext, parameters: dict[Any, Any]) -> dict[str, Any]:
    return {
        text(context, name): _nested(context, value) if isinstance(value, dict) else parameter_value(context, value)
        for name, value in parameters.items()
    }
