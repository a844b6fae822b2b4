"""`geo-nav monitor` beside a navigation that is played to it, in a ROS domain of its own."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rich.console import Console
from sensor_msgs.msg import NavSatFix

from flight_harness import free_domain
from geo_nav.nodes.base import reliable
from geo_nav.nodes.conversion import ros_time
from geo_nav.nodes.diagnostics import diagnostic
from geo_nav.nodes.monitor import SystemListener, listening, watch
from geo_nav.nodes.monitor_snapshot import Snapshot, snapshot
from geo_nav.nodes.monitor_view import page
from geo_nav_msgs.msg import AbsolutePose, Consistency, NavigationStatus

NAME = "uav1/geo_nav"
IMU_RATE = 100.0


class Played:
    """Publishes what a navigation would: IMU counted at 100 Hz, odometry at 50 Hz, every second frame refused."""

    def __init__(self, domain: int, namespace: str = NAME) -> None:
        self._namespace = namespace
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node("played", context=self._context)
        self._publishers = {
            topic: self._node.create_publisher(kind, topic, reliable(10))
            for topic, kind in (
                (f"/{namespace}/odometry", Odometry), (f"/{namespace}/fix", NavSatFix),
                (f"/{namespace}/status", NavigationStatus), (f"/{namespace}/absolute_pose", AbsolutePose),
                ("/diagnostics", DiagnosticArray),
            )
        }  # fmt: skip
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        begin, k = time.monotonic(), 0
        while not self._stop.is_set():
            now = ros_time(time.time() - 0.2)
            self._publish("odometry", now, self._odometry())
            if k % 10 == 0:
                self._publish("fix", now, NavSatFix(latitude=47.5, longitude=8.25, altitude=512.0))
            if k % 25 == 0:
                self._publish("status", now, self._status(int((time.monotonic() - begin) * IMU_RATE)))
                verdict = AbsolutePose.ACCEPTED if k % 50 else AbsolutePose.REJECTED
                self._publish("absolute_pose", now, AbsolutePose(status=verdict, gate="few_inliers", reason="9 of 31"))
            if k % 50 == 0:
                self._publishers["/diagnostics"].publish(self._diagnostics())
            k += 1
            time.sleep(max(0.0, begin + k / 50.0 - time.monotonic()))

    def _publish(self, name: str, now, message) -> None:
        message.header.stamp = now
        self._publishers[f"/{self._namespace}/{name}"].publish(message)

    @staticmethod
    def _odometry() -> Odometry:
        message = Odometry()
        message.pose.pose.position.x, message.pose.pose.position.y = 12.0, -34.0
        message.pose.pose.orientation.z = message.pose.pose.orientation.w = 0.5**0.5  # x axis to the north
        message.twist.twist.linear.x, message.twist.twist.linear.z = 10.0, -1.0
        return message

    @staticmethod
    def _status(samples: int) -> NavigationStatus:
        message = NavigationStatus(
            state=NavigationStatus.COASTING, reason="no fix used for 12.0 s", imu_samples=samples
        )
        message.horizontal_level_95, message.horizontal_level_999 = float("inf"), float("nan")
        message.fixes_refused, message.update_milliseconds = 3, 4.5
        message.consistency = [Consistency(kind="pose", verdict=Consistency.CONTRADICTED, reason="most refused")]
        return message

    @staticmethod
    def _diagnostics() -> DiagnosticArray:
        told = {"frames/s": "20.0", "registered/s": "2.5", "tracked/s": "-"}
        ours = diagnostic(DiagnosticStatus.WARN, f"{NAME}: camera_registration", "1 of 20 accepted", told)
        graph = diagnostic(
            DiagnosticStatus.OK, f"{NAME}: fusion: gps", "7 used", {"used": 7, "last refusal": "[9 sigma]"}
        )
        quiet = diagnostic(DiagnosticStatus.OK, f"{NAME}: fusion: pose", "8 used", {"used": 8, "last refusal": ""})
        foreign = diagnostic(DiagnosticStatus.ERROR, "gripper: motor", "stuck", {})
        return DiagnosticArray(status=[ours, graph, quiet, foreign])

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    number, lock = free_domain()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    yield number
    lock.close()


@pytest.fixture
def played(domain: int) -> Iterator[Played]:
    system = Played(domain)
    yield system
    system.close()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "geo_nav.cli", "monitor", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_one_snapshot_as_json_with_the_state_as_exit_status(played: Played) -> None:
    result = run("--once", "--json", "--namespace", f"/{NAME}", "--imu-rate", "200", "--camera-rate", "20")
    assert result.returncode == 3, result.stderr
    now = json.loads(result.stdout)
    assert (now["state"], now["reason"], now["heard"]) == ("COASTING", "no fix used for 12.0 s", True)
    assert now["geodetic"] == [47.5, 8.25, 512.0]
    assert now["position"] == [12.0, -34.0, 0.0]
    assert now["heading"] == pytest.approx(0.0, abs=1e-6)
    assert (now["speed"], now["climb"]) == (pytest.approx(10.0), pytest.approx(-1.0))
    assert now["status"]["horizontal_level_95"] == "inf"
    assert now["status"]["horizontal_level_999"] is None
    assert (now["status"]["fixes_refused"], now["status"]["update_milliseconds"]) == (3, 4.5)
    assert now["refused"] >= 1
    assert now["refusals"][0][1:] == ["few_inliers", "9 of 31"]
    rates = now["rates"]
    assert rates["IMU"]["hz"] == pytest.approx(IMU_RATE, rel=0.1)
    assert rates["odometry"]["hz"] == pytest.approx(50.0, rel=0.2)
    assert rates["odometry"]["expected"] == rates["IMU"]["hz"]
    assert rates["odometry"]["latency"] == pytest.approx(0.2, abs=0.1)
    assert (rates["camera frames"]["hz"], rates["frames tracked"]["hz"]) == (20.0, None)
    assert now["consistency"]["pose"]["verdict"] == "contradicted"
    assert now["diagnostics"][f"{NAME}: camera_registration"] == ["WARN", "1 of 20 accepted"]
    assert len(now["diagnostics"]) == 3
    assert now["refused_by_graph"] == {"gps": "[9 sigma]"}
    warnings = "\n".join(now["warnings"])
    assert "200.0 Hz expected" in warnings
    assert f"WARN {NAME}: camera_registration: 1 of 20 accepted" in warnings
    assert "gripper" not in warnings
    assert "camera frames" not in warnings


def test_page_shows_what_is_known_and_says_when_it_is_old(played: Played) -> None:
    with listening(SystemListener, NAME) as listener:
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline and not (listener.diagnostics and listener.refusals and listener.fix):
            time.sleep(0.05)
        now = snapshot(listener, None, None)
    words = text(now)
    for part in (
        "COASTING",
        "no fix used for 12.0 s",
        "47.5000000°",
        "few_inliers",
        "∞",
        "contradicted",
        "20.0",
        "[9 sigma]",
    ):
        assert part in words, part
    assert "not heard any more" not in words
    assert "not heard any more" in text(replace(now, heard=False))


def text(now: Snapshot) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(page(now, 1.0, 140))
    return console.export_text()


def test_nothing_heard_has_a_status_of_its_own_and_names_where_something_is(played: Played) -> None:
    result = run("--once", "--timeout", "5", "--json")
    assert result.returncode == 6
    assert json.loads(result.stdout)["heard"] is False
    assert "nothing heard on /geo_nav/status" in result.stderr
    assert f"--namespace {NAME}" in result.stderr


def test_an_empty_domain_is_said_to_be_empty(domain: int) -> None:
    result = run("--once", "--timeout", "0.5")
    assert result.returncode == 6
    assert f"ROS_DOMAIN_ID {domain}" in result.stderr
    assert "elsewhere" not in result.stderr


def test_progress_bar_of_a_flight_shows_its_state_and_its_frames(
    domain: int, capfd: pytest.CaptureFixture[str]
) -> None:
    system = Played(domain, "geo_nav")
    end = time.monotonic() + 2.5
    watch(100.0, lambda: time.monotonic() < end, clock_topic="/geo_nav/odometry")
    system.close()
    shown = capfd.readouterr().out
    assert "COASTING" in shown
    accepted, refused = (int(n) for n in re.search(r"fixes (\d+) accepted, (\d+) refused", shown).groups())
    assert accepted + refused >= 2
