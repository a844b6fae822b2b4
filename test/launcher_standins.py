"""Stand-in nodes that print what they were given, and the launcher as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Prints its arguments as JSON, then does as told by them: exit=N, ignore (signals), child (starts one), wait.
NODE = """#!{python}
import json, os, signal, subprocess, sys, time
import yaml
words = sys.argv[1:]
files = [yaml.safe_load(open(words[i + 1])) for i, w in enumerate(words) if w == "--params-file"]
settings = {{k: v for k, v in os.environ.items() if k.startswith("STANDIN_")}}
if "ignore" in words:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"]).pid if "child" in words else None
try:
    print(json.dumps({{"node": os.path.basename(sys.argv[0]), "pid": os.getpid(), "child": child, "words": words,
        "files": files, "env": settings}}), flush=True)
    for word in words:
        if word.startswith("exit="):
            sys.stdout.write("without newline")
            sys.exit(int(word[5:]))
    time.sleep(1000 if {stay} or {{"wait", "ignore"}} & set(words) else 0)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


IMPORTS = """
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import *
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import *
from launch_ros.actions import *
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare
"""


def reports(output: str) -> list[dict[str, object]]:
    """What the stand-in nodes printed, in the order of their numbers."""
    found = [line.split("] ", 1) for line in output.splitlines() if '] {"node"' in line]
    return [json.loads(text) for _, text in sorted(found, key=lambda pair: int(pair[0].rsplit("-", 1)[1]))]


class Runner:
    """`python -m geo_nav.launcher` in a process of its own, with its output in a file."""

    def __init__(self, path: Path, log: Path, *words: str) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "geo_nav.launcher", str(path), *words],
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Waits until something holds; fails with the output after a minute."""
        deadline = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGINT, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60.0)


def alive(pid: int) -> bool:
    """Whether a process runs (one that has ended, but was not waited for, does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
