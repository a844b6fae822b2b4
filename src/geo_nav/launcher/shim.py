"""Gives launch files the modules `launch` and `launch_ros` on machines that do not have them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from geo_nav.launcher import actions, description, processes, substitutions
from geo_nav.launcher.errors import LaunchError

_ACTIONS: dict[str, Any] = {
    name: getattr(actions, name)
    for name in (
        "DeclareLaunchArgument",
        "GroupAction",
        "IncludeLaunchDescription",
        "LogInfo",
        "OpaqueFunction",
        "RegisterEventHandler",
        "SetEnvironmentVariable",
        "SetLaunchConfiguration",
        "Shutdown",
    )
} | {"ExecuteProcess": processes.ExecuteProcess}
_SUBSTITUTIONS: dict[str, Any] = {
    name: getattr(substitutions, name)
    for name in (
        "EnvironmentVariable",
        "EqualsSubstitution",
        "LaunchConfiguration",
        "NotEqualsSubstitution",
        "PathJoinSubstitution",
        "PythonExpression",
        "TextSubstitution",
        "ThisLaunchFileDir",
    )
}
_PARAMETERS: dict[str, Any] = {"ParameterFile": processes.ParameterFile, "ParameterValue": processes.ParameterValue}

MODULES: dict[str, dict[str, Any]] = {
    "launch": {
        "Action": actions.Action,
        "LaunchContext": substitutions.LaunchContext,
        "LaunchDescription": description.LaunchDescription,
        "Substitution": substitutions.Substitution,
    },
    "launch.actions": _ACTIONS,
    "launch.conditions": {
        "IfCondition": substitutions.IfCondition,
        "UnlessCondition": substitutions.UnlessCondition,
    },
    "launch.event_handlers": {"OnProcessExit": actions.OnProcessExit},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource": actions.PythonLaunchDescriptionSource},
    "launch.substitutions": _SUBSTITUTIONS,
    "launch_ros": {},
    "launch_ros.actions": {
        "LifecycleNode": processes.LifecycleNode,
        "Node": processes.Node,
        "PushRosNamespace": actions.PushRosNamespace,
        "SetParameter": actions.SetParameter,
    },
    "launch_ros.descriptions": _PARAMETERS,
    "launch_ros.parameter_descriptions": _PARAMETERS,
    "launch_ros.substitutions": {"FindPackageShare": substitutions.FindPackageShare},
}
"""The names that launch files may use, by module."""


class _Module(ModuleType):
    """A module that says what it lacks."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = ", ".join(sorted(MODULES[self.__name__])) or "none"
        raise LaunchError(
            f"'{self.__name__}.{name}' is not supported by geo_nav's runner (it has: {known}); "
            "where ROS 2 is installed, `ros2 launch` runs this file"
        )


@contextmanager
def installed() -> Iterator[None]:
    """While it lasts, `import launch` and `import launch_ros` give the runner's own entities.

    Raises:
        LaunchError: the real `launch_ros` is installed; the entities of both would mix.
    """
    ours = isinstance(sys.modules.get("launch_ros"), _Module)
    if not ours and importlib.util.find_spec("launch_ros") is not None:
        raise LaunchError("launch_ros is installed: start this file with `ros2 launch`")
    before = {name: sys.modules.get(name) for name in MODULES}
    for name, contents in MODULES.items():
        module = _Module(name)
        module.__path__ = []
        vars(module).update(contents)
        sys.modules[name] = module
    for name in MODULES:
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    try:
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = earlier
