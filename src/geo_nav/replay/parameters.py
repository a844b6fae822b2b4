"""A ROS parameter file, read as the nodes of our launch files would read it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from geo_nav.commands.launch import launch_folder
from geo_nav.fusion import FusionConfig
from geo_nav.nodes.settings import CameraNodeConfig, FusionNodeConfig
from geo_nav.replay.config import ReplayConfig
from geo_nav.replay.errors import ReplayError

Config = TypeVar("Config", bound=BaseModel)

_NAMESPACE = "/geo_nav/"
_NODES: dict[str, tuple[type[BaseModel], ...]] = {
    "fusion": (FusionConfig, FusionNodeConfig),
    "camera_registration": (CameraNodeConfig,),
    "replay": (ReplayConfig,),
}
"""The configurations of each node; `replay` is none, but is set in the same file."""

_SHARED = {"use_sim_time", "autostart"}
"""Parameters that every node has."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """The settings of a replay.

    Attributes:
        fusion: of the graph.
        fusion_node: of the node around it.
        camera: of the node `camera_registration`.
        replay: of the replay itself.
    """

    fusion: FusionConfig
    fusion_node: FusionNodeConfig
    camera: CameraNodeConfig
    replay: ReplayConfig


def default_parameter_file() -> Path:
    """`config/aerial.yaml`, as installed or in the checkout."""
    return launch_folder().parent / "config" / "aerial.yaml"


def read_parameters(path: Path) -> Parameters:
    """Reads a parameter file.

    Sections are names of nodes with their namespace, where `*` stands for one part of it and `**` for any number; of
    two that match, the later one holds. Sections of other nodes are left alone.

    Args:
        path: of the YAML file.

    Raises:
        ReplayError: it cannot be read, has a name that no node knows, or a value that cannot be used.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReplayError(f"the parameter file {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ReplayError(f"{path} is no parameter file: it has no sections such as /**/fusion with ros__parameters")
    given: dict[str, dict[str, Any]] = {node: {} for node in _NODES}
    for section, parameters in _sections(path, content):
        nodes = [node for node in _NODES if _matches(section, _NAMESPACE + node)]
        if not nodes:
            _require_foreign(path, section)
        for name, value in parameters.items():
            knowing = [node for node in nodes if name in _known(node)]
            for node in knowing:
                given[node][name] = value
            if nodes and not knowing and name not in _SHARED:
                _require_known(path, section, name, nodes)
    return Parameters(
        _made(path, "fusion", FusionConfig, given["fusion"]),
        _made(path, "fusion", FusionNodeConfig, given["fusion"]),
        _made(path, "camera_registration", CameraNodeConfig, given["camera_registration"]),
        _made(path, "replay", ReplayConfig, given["replay"]),
    )


def _sections(path: Path, content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
    """(name of nodes, their parameters by dotted name), in the order of the file; namespaces may be nested."""
    found: list[tuple[str, dict[str, Any]]] = []
    for key, value in content.items():
        name = f"{prefix}/{str(key).strip('/')}"
        if not isinstance(value, dict):
            raise ReplayError(f"{path}: {name} is no section with ros__parameters")
        for inner, parameters in value.items():
            if inner != "ros__parameters":
                found += _sections(path, {inner: parameters}, name)
            elif isinstance(parameters, dict):
                found.append((name, _flat(parameters)))
            elif parameters is not None:
                raise ReplayError(f"{path}: the ros__parameters of {name} are no mapping")
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


def _matches(section: str, node: str) -> bool:
    pattern = re.escape(section).replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"/\w+")
    return re.fullmatch(pattern, node) is not None


def _names(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """The parameters of a configuration, as :meth:`geo_nav.nodes.base.GeoNavNode.read_config` declares them."""
    names: list[str] = []
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += _names(field.annotation, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def _known(node: str) -> set[str]:
    return {name for kind in _NODES[node] for name in _names(kind)}


def _require_foreign(path: Path, section: str) -> None:
    """Refuses the section of a node that is called nearly like one of ours, or like one but without its namespace."""
    namespace, _, name = section.rpartition("/")
    near = difflib.get_close_matches(name, _NODES, n=1, cutoff=0.8)
    if near and not (namespace and name in _NODES):
        raise ReplayError(f"{path}: {section} matches no node: is /**/{near[0]} meant?")


def _require_known(path: Path, section: str, name: str, nodes: list[str]) -> None:
    """Refuses a name that no node knows, unless it may well be of another node that the section matches, too."""
    near = difflib.get_close_matches(name, sorted({n for node in nodes for n in _known(node)}), n=1)
    if near or len(nodes) < len(_NODES):
        meant = f": is {near[0]} meant?" if near else ""
        raise ReplayError(f"{path}: {section} has a parameter {name}, which {' and '.join(nodes)} does not know{meant}")


def _made(path: Path, node: str, kind: type[Config], flat: dict[str, Any]) -> Config:
    """A configuration of those of the parameters that are its own."""
    nested: dict[str, Any] = {}
    for name in _names(kind):
        if name in flat:
            *groups, last = name.split(".")
            place = nested
            for group in groups:
                place = place.setdefault(group, {})
            place[last] = flat[name]
    try:
        return kind(**nested)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']})" for e in error.errors())
        raise ReplayError(f"{path}: parameters of {node} that cannot be used: {problems}") from error
