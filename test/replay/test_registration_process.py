"""The process that registers a replay's frames: what it cannot do, how it ends, and what a replay makes of that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from geo_nav import GeoNavError
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.geodesy import Pose
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.settings import CameraNodeConfig
from geo_nav.registration import Status
from geo_nav.rendering import Camera
from geo_nav.replay.config import ReplayConfig
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.parameters import default_parameter_file, read_parameters
from geo_nav.replay.pictures import PictureChoice
from geo_nav.replay.preparation import ReplayOptions
from geo_nav.replay.registration_process import Answer, RegistrationProcess, Task
from geo_nav.replay.run import replay_bag
from geo_nav.simulation import Simulation
from geo_nav.site import load_site
from replay_helpers import short_flight


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, Path]:
    return short_flight(tmp_path_factory.mktemp("flight"))


def process(site: Path, stopped: bool = False, **config: Any) -> RegistrationProcess:
    return RegistrationProcess(CameraNodeConfig(**config), site, PictureChoice(ReplayConfig(), 9.0), lambda: stopped)


def blank_task(covariance: Any) -> Task:
    camera = Camera(320, 240, 280.0, 280.0, 159.5, 119.5)
    return Task(
        0,
        Frame(np.full((240, 320, 3), 90, np.uint8), camera, Time(sec=7), "cam"),
        (Pose.identity(), covariance),
        Pose.identity(),
    )


def options(simulation: Simulation, stopped: Callable[[], bool] = lambda: False) -> ReplayOptions:
    return ReplayOptions(
        load_site(simulation.site_yaml), simulation.site_yaml, read_parameters(default_parameter_file()), {}, None,
        "truth", "gps", None, lambda done, total: None, lambda text: None, stopped,
    )  # fmt: skip


def signalled(monkeypatch: pytest.MonkeyPatch, number: int, before: bool = False) -> list[float]:
    """Has the process get a signal as soon as it has its third frame, or before; the time then, once it has come."""
    begin = RegistrationProcess.begin
    given: list[Task] = []
    when: list[float] = []

    def begun(self: RegistrationProcess, task: Task) -> None:
        given.append(task)
        if not before:
            begin(self, task)
        if len(given) == 3:
            os.kill(self._process.pid, number)
            when.append(time.monotonic())
        if before:
            begin(self, task)

    monkeypatch.setattr(RegistrationProcess, "begin", begun)
    return when


def test_a_process_that_cannot_begin_says_why(flight: tuple[Simulation, Path], tmp_path: Path) -> None:
    site = flight[0].site_yaml
    with pytest.raises(GeoNavError, match="nothing"):
        process(tmp_path / "nothing")
    with pytest.raises(GeoNavError, match="unknown matcher 'magic'"):
        process(site, matcher="magic")


def test_a_frame_that_fails_does_not_end_it(flight: tuple[Simulation, Path]) -> None:
    worker = process(flight[0].site_yaml)
    try:
        worker.begin(blank_task("none"))
        failed = worker.answer()
        assert isinstance(failed, ReplayError)
        assert "TypeError" in str(failed) or "ValueError" in str(failed)
        worker.begin(blank_task(np.eye(6)))
        answer = worker.answer()
        assert isinstance(answer, Answer)
        assert answer.result.status is Status.BAD_INPUT  # the frame is blank
        assert answer.view is None
        assert answer.picture is not None  # the first one of a refusal
        assert answer.picture.header.stamp.sec == 7
    finally:
        worker.close()


@pytest.mark.parametrize("before", [False, True])
def test_a_process_that_is_killed_ends_the_replay_and_says_so(
    flight: tuple[Simulation, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    signalled(monkeypatch, signal.SIGKILL, before)
    with pytest.raises(ReplayError, match=r"registers frames has ended with signal 9, as when memory runs out"):
        replay_bag(flight[1], tmp_path, options(flight[0]))


def test_a_replay_is_broken_off_while_it_waits_for_a_registration(
    flight: tuple[Simulation, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = signalled(monkeypatch, signal.SIGSTOP)
    given = options(flight[0], lambda: bool(stuck) and time.monotonic() > stuck[0] + 3.0)
    slow = ReplayConfig(registration_seconds=1.2)  # two frames a second: another one waits when this is over
    given = replace(given, parameters=replace(given.parameters, replay=slow))
    outcome = replay_bag(flight[1], tmp_path, given)
    assert outcome.interrupted
    assert 3.0 < time.monotonic() - stuck[0] < 20.0
    with open_bag(tmp_path / "bag") as bag:
        assert bag.topics["/geo_nav/absolute_pose"].count == 2


def test_ctrl_c_ends_a_replay_in_order_and_the_process_with_it(flight: tuple[Simulation, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "geo_nav.cli", "evaluate", str(flight[1]), "--quiet"]
    command += ["--site", str(flight[0].site_yaml), "--out", str(tmp_path)]
    replay = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{replay.pid}/task/{replay.pid}/children")
    until = time.monotonic() + 60.0
    while not children.read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.01)
    child = children.read_text().split()[0]
    os.killpg(replay.pid, signal.SIGINT)  # as a terminal does it: to all that run in it
    said = replay.communicate(timeout=60)[1]
    assert "process that registers frames" not in said
    assert "interrupted" in json.loads((tmp_path / "run.json").read_text())
    assert not Path(f"/proc/{child}").exists()
    assert replay.returncode == 130
