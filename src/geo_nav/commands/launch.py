"""`geo-nav launch`: a launch file, by `ros2 launch` where it is installed, by our own runner elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import typer

from geo_nav import GeoNavError


def launch_folder() -> Path:
    """Where the launch files are: the installed package's share, or the checkout."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        folder = Path(prefix) / "share" / "geo_nav" / "launch"
        if prefix and folder.is_dir():
            return folder
    return Path(__file__).resolve().parents[3] / "launch"


def launch_command(file: str, arguments: dict[str, str]) -> list[str]:
    """The command line that starts a launch file.

    Args:
        file: a path, or the name of one of ours (``aerial``, ``aerial.launch.py``).
        arguments: launch arguments.

    Raises:
        GeoNavError: there is no such file.
    """
    candidates = [Path(file), launch_folder() / file, launch_folder() / f"{file}.launch.py"]
    path = next((c for c in candidates if c.is_file()), None)
    if path is None:
        known = ", ".join(sorted(p.name for p in launch_folder().glob("*.launch.py"))) or "none found"
        raise GeoNavError(f"no launch file '{file}'; ours are: {known}")
    runner = ["ros2", "launch"] if shutil.which("ros2") else [sys.executable, "-m", "geo_nav.launcher"]
    return [*runner, str(path), *(f"{name}:={value}" for name, value in arguments.items())]


def launch(
    context: typer.Context, file: str = typer.Argument(help="aerial, ground, simulation, replay, or a path")
) -> None:
    """Starts a launch file; arguments as name:=value, --show-args lists them."""
    command = launch_command(file, {})
    os.execvp(command[0], [*command, *context.args])
