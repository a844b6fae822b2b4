"""Launch files in a temporary folder, and a ROS package `standin` whose nodes print what they were given."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geo_nav.launcher import LaunchService
from launcher_standins import IMPORTS, NODE, Runner, reports


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a package with stand-in nodes, and puts it first in AMENT_PREFIX_PATH."""

    def make(name: str = "standin", nodes: tuple[str, ...] = ("node",), stay: bool = False) -> Path:
        prefix = tmp_path / f"prefix_{name}"
        marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / name
        library = prefix / "lib" / name
        for folder in (marker.parent, library, prefix / "share" / name):
            folder.mkdir(parents=True)
        marker.touch()
        for node in nodes:
            (library / node).write_text(NODE.format(python=sys.executable, stay=stay), encoding="utf-8")
            (library / node).chmod(0o755)
        monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}{os.pathsep}{os.environ.get('AMENT_PREFIX_PATH', '')}")
        return prefix

    return make


@pytest.fixture
def launch_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a launch file from the text of its entities."""

    def write(entities: str, name: str = "test.launch.py", before: str = "") -> Path:
        path = tmp_path / name
        body = f"def generate_launch_description():\n    return LaunchDescription([\n{entities}\n    ])\n"
        path.write_text(f"{IMPORTS}\n{before}\n{body}", encoding="utf-8")
        return path

    return write


@pytest.fixture
def launch(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, list[dict[str, object]]]]:
    """Runs a launch file that ends by itself: its exit code, its output, and what each stand-in node printed."""

    def run(path: Path, **arguments: str) -> tuple[int, str, list[dict[str, object]]]:
        code = LaunchService(path, arguments).run()
        output = capfd.readouterr().out
        return code, output, reports(output)

    return run


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Callable[..., Runner]]:
    """Starts a launch file in a process of its own; whatever is left of it is killed at the end."""
    runners: list[Runner] = []

    def start(path: Path, *words: str) -> Runner:
        runners.append(Runner(path, tmp_path / f"runner_{len(runners)}.log", *words))
        return runners[-1]

    yield start
    for runner in runners:
        if runner.process.poll() is None:
            runner.process.kill()
            runner.process.wait()
