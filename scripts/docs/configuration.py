"""Reference page of the parameters: read from where the nodes declare them and from the models that check them."""

from __future__ import annotations

import ast
import importlib
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import mkdocs_gen_files
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from geo_nav.replay.config import ReplayConfig

ROOT = Path(__file__).resolve().parents[2]
NODES = ROOT / "src" / "geo_nav" / "nodes"
PAGE = "reference/configuration.md"
INTRODUCTION = """# Parameters

Every parameter of every node. [`config/aerial.yaml`](../repository/config/aerial.yaml.md) shows those of a vehicle
with their defaults: copy it, change it, and give it as `config:=my.yaml`. A value that is out of its range, or of
another type, keeps the node from starting, and the message names all such. Every node also has `autostart` (bool,
true): it configures and activates itself.
"""
_LIMITS = (
    (Gt, "gt", ">\u00a0{}"),
    (Ge, "ge", "≥\u00a0{}"),
    (Lt, "lt", "<\u00a0{}"),
    (Le, "le", "≤\u00a0{}"),
    (MinLen, "min_length", "at least {} values"),
    (MaxLen, "max_length", "at most {} values"),
)


@dataclass(frozen=True)
class Parameter:
    """A row of a table."""

    name: str
    kind: str
    default: str
    limits: str
    description: str


def declared_parameters(tree: ast.Module) -> Iterator[Parameter]:
    """The parameters that a node declares one by one."""
    for call in _calls(tree):
        if call.name == "string_parameter" and all(isinstance(a, ast.Constant) for a in call.arguments):
            name, default, description = (ast.literal_eval(a) for a in call.arguments)
            yield Parameter(name, "string", _shown(default), "", description)


def checked_parameters(tree: ast.Module, node: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The groups of parameters that a node checks with a model: prefix of their names, model."""
    modules = {
        name.asname or name.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }
    for call in _calls(tree):
        if call.name == "read_config" and isinstance(call.arguments[0], ast.Name):
            model = call.arguments[0].id
            prefix = ast.literal_eval(call.arguments[1]) if len(call.arguments) > 1 else ""
            module = modules.get(model, f"geo_nav.nodes.{node}")
            yield prefix, getattr(importlib.import_module(module), model)


def model_parameters(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, list[Parameter]]]:
    """Tables of a model and of those nested in it: prefix, what the model says of itself, rows."""
    rows, nested = [], []
    for name, field in model.model_fields.items():
        full = f"{prefix}.{name}" if prefix else name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            nested += list(model_parameters(field.annotation, full))
            continue
        default = field.get_default(call_default_factory=True)
        rows.append(Parameter(full, _kind(field.annotation), _shown(default), _limits(field), field.description or ""))
    yield prefix, _plain(model.__doc__ or ""), rows
    yield from nested


@dataclass(frozen=True)
class _Call:
    name: str
    arguments: list[ast.expr]


def _calls(tree: ast.Module) -> Iterator[_Call]:
    """Calls of methods with their positional arguments, in the order of the source."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.args]
    for call in sorted(calls, key=lambda n: (n.lineno, n.col_offset)):
        assert isinstance(call.func, ast.Attribute)
        yield _Call(call.func.attr, call.args)


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{a}`" for a in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(a) for a in arguments)
    if origin is tuple:
        return f"{len(arguments)} × {_kind(arguments[0])}"
    if origin is list:
        return f"list of {_kind(arguments[0])}"
    if hasattr(annotation, "__metadata__"):
        return _kind(arguments[0])
    return "string" if annotation is str else getattr(annotation, "__name__", str(annotation))


def _limits(field: FieldInfo) -> str:
    marks = ((mark, limit) for mark in field.metadata for limit in _LIMITS if isinstance(mark, limit[0]))
    return ", ".join(sign.format(getattr(mark, name)) for mark, (_, name, sign) in marks)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(str(v) for v in value)}]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _plain(docstring: str) -> str:
    """The first paragraph, without roles."""
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", " ".join(docstring.split("\n\n")[0].split()))


def _table(rows: list[Parameter]) -> str:
    lines = ["| parameter | type | default | range | meaning |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (f"`{row.name}`", row.kind, row.default, row.limits, row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def node_sections() -> Iterator[str]:
    """The page's part of each node."""
    for path in sorted(NODES.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own, groups = list(declared_parameters(tree)), list(checked_parameters(tree, path.stem))
        if path.stem == "base" or not (own or groups):
            continue
        yield f"## {path.stem}\n\n{_plain(ast.get_docstring(tree) or '')}\n"
        if own:
            yield _table(own)
        for group, model in groups:
            yield from _model_tables(path.stem, model, group)


def _model_tables(node: str, model: type[BaseModel], group: str = "") -> Iterator[str]:
    for prefix, about, rows in model_parameters(model, group):
        heading = f"### {node}: {prefix}\n\n" if prefix else ""
        yield f"{heading}{about}\n\n{_table(rows)}"


with mkdocs_gen_files.open(PAGE, "w") as page:
    replay = ["## replay\n\nNo node: how `geo-nav evaluate` replays a bag, set in the same file.\n"]
    page.write("\n".join([INTRODUCTION, *node_sections(), *replay, *_model_tables("replay", ReplayConfig)]))
