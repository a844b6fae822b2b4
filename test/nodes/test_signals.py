"""A node that is asked to end does so with status 0, and never in the midst of a message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

_NODE = """
import os, signal, sys, time
from geo_nav.nodes.base import GeoNavNode, run

class Busy(GeoNavNode):
    def __init__(self):
        super().__init__("busy")

    def configure(self):
        print("configuring", flush=True)
        if {slow!r}:
            time.sleep(60)
        self.create_timer(0.01, self._on_timer)

    def _on_timer(self):
        os.kill(os.getpid(), getattr(signal, {name!r}))
        for _ in range(50):
            time.sleep(0.001)  # Python looks for signals here
        print("callback done", flush=True)

run(Busy)
"""


def _start(name: str, slow: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _NODE.format(slow=slow, name=name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": "218", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_waits_for_the_end_of_a_callback(name: str) -> None:
    node = _start(name, slow=False)
    out, err = node.communicate(timeout=60)
    assert node.returncode == 0, err
    assert out.split("\n")[1] == "callback done"
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_long_configuration(name: str) -> None:
    node = _start(name, slow=True)
    assert node.stdout is not None
    assert node.stdout.readline() == "configuring\n"
    begin = time.monotonic()
    node.send_signal(getattr(signal, name))
    _, err = node.communicate(timeout=40)
    assert time.monotonic() - begin < 30.0
    assert node.returncode == 0, err
