"""Reference page of the launch files: what each does, and its arguments."""

from __future__ import annotations

import ast
from pathlib import Path

import mkdocs_gen_files

from geo_nav.launcher import launch_arguments

ROOT = Path(__file__).resolve().parents[2]
INTRODUCTION = """# Launch files

`geo-nav launch NAME ARGUMENT:=VALUE …`, or `ros2 launch geo_nav NAME.launch.py …` where `ros2` is installed; both take
`--show-args`. A path to a launch file of your own works too.
"""


def section(path: Path) -> str:
    """The page's part of one file."""
    about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")
    prose = "\n\n".join(part for part in about if not part.lstrip().startswith("ros2 launch"))
    rows = ["| argument | default | meaning |", "|---|---|---|"]
    for argument in launch_arguments(path):
        # Files of the installed package by their place in it, not by that on the machine that builds the docs.
        default = (argument.default or "").rpartition("/share/geo_nav/")[2]
        shown = "required" if argument.default is None else f"`{default}`" if default else ""
        choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
        rows.append(f"| `{argument.name}` | {shown} | {argument.description}{choices} |")
    return f"## {path.name.removesuffix('.launch.py')}\n\n{prose}\n\n" + "\n".join(rows) + "\n"


with mkdocs_gen_files.open("reference/launch.md", "w") as page:
    page.write("\n".join([INTRODUCTION, *map(section, sorted((ROOT / "launch").glob("*.launch.py")))]))
