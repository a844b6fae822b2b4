"""Processes are brought up again, stopped in order, and their exit codes kept."""

from __future__ import annotations

import os
import signal

import pytest

from geo_nav.launcher import BackgroundLaunch
from launcher_standins import alive, reports

# Unlike a Python program, it can be interrupted from its first moment on.
OTHER = 'ExecuteProcess(cmd=["sleep", "1000"]),'
REQUIRED = "on_exit=Shutdown(reason='it was required')"


def node(*words: str, options: str = "") -> str:
    return f'Node(package="standin", executable="node", arguments={list(words)}, {options}),'


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        (node("exit=0") + node("exit=0"), 0),
        (node("exit=0") + node("exit=7"), 7),
        (node("exit=7", options=REQUIRED) + OTHER, 7),
        (node("exit=0", options=REQUIRED) + OTHER, 0),
        ('ExecuteProcess(cmd=["bash", "-c", "kill -9 $$"]),', 128 + signal.SIGKILL),
        (node("exit=3", options="respawn=True, respawn_max_retries=2"), 3),
    ],
)
def test_exit_code_is_kept(make_package, launch_file, launch, entities, expected):
    make_package()
    code, output, _ = launch(launch_file(entities))
    assert code == expected, output


def test_respawn_stops_after_max_retries(make_package, launch_file, launch):
    make_package()
    _, output, started = launch(launch_file(node("exit=3", options="respawn=True, respawn_max_retries=2")))
    assert len(started) == 3
    assert output.count("[ERROR] [node-1]: process has died") == 3


def test_killed_node_is_brought_up_again(make_package, launch_file, background):
    make_package()
    runner = background(launch_file(node("wait", options="respawn=True, respawn_delay=0.1") + node("wait")))
    runner.wait_for(lambda: len(reports(runner.output)) == 2)
    first, other = (report["pid"] for report in reports(runner.output))
    os.kill(first, signal.SIGKILL)
    runner.wait_for(lambda: len(reports(runner.output)) == 3)
    again = {report["pid"] for report in reports(runner.output)} - {first, other}
    assert runner.stop() == 0
    assert f"[ERROR] [node-1]: process has died [pid {first}, exit code -9" in runner.output
    assert runner.output.count("interrupted") == 2
    assert not any(alive(pid) for pid in (*again, other))


def test_stop_escalates_to_sigkill_and_takes_the_whole_group(make_package, launch_file, background):
    make_package()
    options = "sigterm_timeout='0.2', sigkill_timeout='0.2'"
    runner = background(launch_file(node("ignore", "child", options=options)))
    runner.wait_for(lambda: reports(runner.output))
    report = reports(runner.output)[0]
    assert alive(report["child"])
    assert runner.stop() == 128 + signal.SIGKILL
    sent = [line.split("'")[1] for line in runner.output.splitlines() if "sending signal" in line]
    assert sent == ["SIGINT", "SIGTERM", "SIGKILL"]
    assert not alive(report["pid"])
    assert not alive(report["child"])


def test_second_interrupt_does_not_wait(make_package, launch_file, background):
    make_package()
    runner = background(launch_file(node("ignore", options="sigterm_timeout='1000', sigkill_timeout='1000'")))
    runner.wait_for(lambda: reports(runner.output))
    for number, name in ((signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGKILL")):
        runner.process.send_signal(number)
        runner.wait_for(lambda name=name: f"sending signal '{name}'" in runner.output)
    assert runner.process.wait(60.0) == 128 + signal.SIGKILL


def test_nodes_end_with_a_killed_launcher(make_package, launch_file, background):
    make_package()
    runner = background(launch_file(node("wait")))
    runner.wait_for(lambda: reports(runner.output))
    pid = reports(runner.output)[0]["pid"]
    runner.process.kill()
    runner.process.wait()
    runner.wait_for(lambda: not alive(pid))


def test_program_that_cannot_be_started_stops_the_others(make_package, launch_file, background):
    make_package()
    runner = background(launch_file(node("wait") + 'ExecuteProcess(cmd=["/no/such/program"]),'))
    assert runner.process.wait(60.0) == 1
    assert "[ERROR] [launch]: program-2: '/no/such/program' cannot be started" in runner.output
    assert not any(alive(report["pid"]) for report in reports(runner.output))


def test_background_launch_starts_and_stops(make_package, launch_file, tmp_path, monkeypatch):
    make_package()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    log = tmp_path / "log"
    path = launch_file(
        'DeclareLaunchArgument("word"),' + node("wait").replace("'wait'", "'wait', LaunchConfiguration('word')")
    )
    with BackgroundLaunch(path, {"word": "hello"}, log) as launched:
        while not reports(log.read_text()):
            assert launched.poll() is None, log.read_text()
        assert reports(log.read_text())[0]["words"][:2] == ["wait", "hello"]
        assert launched.stop() == 0
    assert launched.poll() == 0
