"""Entities of launch files, by the names and with the meaning of ROS 2's `launch`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from geo_nav.launcher.description import LaunchDescription, load
from geo_nav.launcher.errors import LaunchError
from geo_nav.launcher.substitutions import LaunchContext, text


class Action(ABC):
    """Something that a launch file does, where its condition holds."""

    def __init__(self, *, condition: Any = None) -> None:
        self.condition = condition

    def visit(self, context: LaunchContext) -> None:
        """Carries the action out where its condition holds.

        Raises:
            LaunchError: it cannot be carried out.
        """
        if self.condition is None or self.condition.evaluate(context):
            self.execute(context)

    @abstractmethod
    def execute(self, context: LaunchContext) -> None:
        """Carries the action out."""

    def children(self, context: LaunchContext) -> Iterable[Any]:
        """The entities inside, for those who look for arguments without carrying anything out."""
        return ()


def visit_all(context: LaunchContext, entities: Any) -> None:
    """Carries out one entity, a sequence of them, or none (None).

    Raises:
        LaunchError: something is no entity, or cannot be carried out.
    """
    if entities is None:
        return
    if isinstance(entities, Action | LaunchDescription):
        entities.visit(context)
    elif isinstance(entities, Iterable) and not isinstance(entities, str):
        for entity in entities:
            visit_all(context, entity)
    else:
        raise LaunchError(f"not an entity of a launch file: {entities!r}")


class DeclareLaunchArgument(Action):
    """An argument of the launch file."""

    def __init__(
        self,
        name: str,
        *,
        default_value: Any = None,
        description: str = "",
        choices: Iterable[str] | None = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.default_value = default_value
        self.description = description
        self.choices = None if choices is None else list(choices)

    def execute(self, context: LaunchContext) -> None:
        """Sets the default where no value was given, and checks the choices."""
        context.declared.add(self.name)
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                about = f" ({self.description})" if self.description else ""
                raise LaunchError(f"the launch argument '{self.name}'{about} has no default: give {self.name}:=…")
            context.launch_configurations[self.name] = text(context, self.default_value)
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise LaunchError(f"the launch argument {self.name}:={value} must be one of: {', '.join(self.choices)}")


class SetLaunchConfiguration(Action):
    """Sets the value that `LaunchConfiguration` gives from here on."""

    def __init__(self, name: Any, value: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        """Sets the value."""
        context.launch_configurations[text(context, self.name)] = text(context, self.value)


class SetEnvironmentVariable(Action):
    """Sets an environment variable for the processes to come."""

    def __init__(self, name: Any, value: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        """Sets the variable."""
        context.environment[text(context, self.name)] = text(context, self.value)


class SetParameter(Action):
    """Sets a parameter for the nodes to come."""

    def __init__(self, name: Any, value: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        """Keeps the parameter."""
        context.parameters.append((text(context, self.name), self.value))


class PushRosNamespace(Action):
    """Puts a namespace before those of the nodes to come."""

    def __init__(self, namespace: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.namespace = namespace

    def execute(self, context: LaunchContext) -> None:
        """Joins the namespace to the current one."""
        context.namespace = join_namespace(context.namespace, text(context, self.namespace))


def join_namespace(base: str, namespace: str) -> str:
    """An absolute namespace from one inside another: ('/a', 'b') → '/a/b', ('/a', '/b') → '/b'; empty for none."""
    if not namespace or namespace.startswith("/"):
        return namespace or base
    return f"{base.rstrip('/')}/{namespace}"


class LogInfo(Action):
    """Prints a line."""

    def __init__(self, *, msg: Any, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.msg = msg

    def execute(self, context: LaunchContext) -> None:
        """Prints the line."""
        print(f"[INFO] [launch.user]: {text(context, self.msg)}", flush=True)


class OpaqueFunction(Action):
    """A function of the launch file, called with the context; may return more entities."""

    def __init__(
        self,
        *,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.function = function
        self.args = args
        self.kwargs = kwargs or {}

    def execute(self, context: LaunchContext) -> None:
        """Calls the function and carries out what it returns."""
        visit_all(context, self.function(context, *self.args, **self.kwargs))


class GroupAction(Action):
    """Entities together; what they set is undone behind them unless ``scoped`` is false."""

    def __init__(
        self,
        actions: Iterable[Any],
        *,
        scoped: bool = True,
        launch_configurations: dict[str, Any] | None = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.actions = list(actions)
        self.scoped = scoped
        self.launch_configurations = launch_configurations or {}

    def execute(self, context: LaunchContext) -> None:
        """Carries the entities out."""
        if self.scoped:
            with context.scope():
                self._visit(context)
        else:
            self._visit(context)

    def _visit(self, context: LaunchContext) -> None:
        context.launch_configurations |= {k: text(context, v) for k, v in self.launch_configurations.items()}
        visit_all(context, self.actions)

    def children(self, context: LaunchContext) -> Iterable[Any]:
        """The group's entities."""
        return self.actions


class PythonLaunchDescriptionSource:
    """A Python launch file."""

    def __init__(self, launch_file_path: Any) -> None:
        self.launch_file_path = launch_file_path


class IncludeLaunchDescription(Action):
    """Another launch file, in the same scope (as in ROS 2: use a GroupAction to keep its arguments to itself)."""

    def __init__(
        self,
        launch_description_source: PythonLaunchDescriptionSource | str | Path,
        *,
        launch_arguments: Iterable[tuple[Any, Any]] | None = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.source = launch_description_source
        self.launch_arguments = list(launch_arguments or ())

    def path(self, context: LaunchContext) -> Path:
        """The file."""
        source = self.source
        return Path(
            text(context, source.launch_file_path if isinstance(source, PythonLaunchDescriptionSource) else source)
        )

    def execute(self, context: LaunchContext) -> None:
        """Sets the arguments and carries the file out."""
        given = {text(context, name): text(context, value) for name, value in self.launch_arguments}
        context.launch_configurations |= given
        before, context.launch_file = context.launch_file, self.path(context)
        try:
            load(context.launch_file).visit(context)
        finally:
            context.launch_file = before

    def children(self, context: LaunchContext) -> Iterable[Any]:
        """The file's entities, less the declarations of the arguments that are given here."""
        given = {name for name, _ in self.launch_arguments if isinstance(name, str)}
        return [
            entity
            for entity in load(self.path(context)).entities
            if not (isinstance(entity, DeclareLaunchArgument) and entity.name in given)
        ]


class Shutdown(Action):
    """Stops every process and ends the launch; as ``on_exit``, makes its process a required one."""

    def __init__(self, *, reason: Any = "reason not given", condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.reason = reason

    def execute(self, context: LaunchContext) -> None:
        """Asks for the shutdown."""
        context.on_shutdown(text(context, self.reason))


class OnProcessExit:
    """What to do when a process (None: any) has ended."""

    def __init__(self, *, target_action: Any = None, on_exit: Any) -> None:
        self.target_action = target_action
        self.on_exit = on_exit


class RegisterEventHandler(Action):
    """Registers an event handler."""

    def __init__(self, event_handler: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        if not isinstance(event_handler, OnProcessExit):
            raise LaunchError(f"event handler not supported by geo_nav's runner: {type(event_handler).__name__}")
        self.event_handler = event_handler

    def execute(self, context: LaunchContext) -> None:
        """Keeps the handler."""
        context.exit_handlers.append((self.event_handler.target_action, self.event_handler.on_exit))
