"""The node graph in flight, by the launch file: it navigates without GPS, and faults do not end it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image, Imu

from flight_harness import Launch, Listener
from geo_nav.nodes import conversion
from geo_nav.nodes.base import reliable
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus

pytestmark = pytest.mark.system


class Flight:
    """A launch in flight, and what is heard of it."""

    def __init__(self, folder: Path) -> None:
        self.launch = Launch(
            "simulation",
            {
                "duration": "240", "gps_outage_start": "6", "seed": "5", "world_dir": str(folder / "worlds"),
                "world_size": "800", "checkpoint": str(folder / "checkpoint.json"),
            },
            folder / "launch.log",
        )  # fmt: skip
        self.listener = Listener(self.launch.domain)
        self.poses = self.listener.listen(AbsolutePose, "/geo_nav/absolute_pose", reliable(50))
        self.status = self.listener.listen(NavigationStatus, "/geo_nav/status", reliable(10))
        self.odometry = self.listener.listen(Odometry, "/geo_nav/odometry", reliable(400))
        self.truth = self.listener.listen(Odometry, "/simulation/truth", reliable(100))

    def accepted(self) -> int:
        return sum(p.status == AbsolutePose.ACCEPTED for p in self.poses)

    def wait_for_fixes(self, count: int, seconds: float) -> None:
        target = self.accepted() + count
        assert self.listener.wait(lambda: self.accepted() >= target, seconds, self.launch), (
            f"{self.accepted()} of {target} fixes\n{self.launch.text()[-3000:]}"
        )

    def position_error(self) -> float:
        """Distance of the newest odometry from the truth at its stamp, m."""
        estimate = self.odometry[-1]
        stamp = conversion.seconds(estimate.header.stamp)
        truth = list(self.truth)  # it grows meanwhile
        stamps = np.array([conversion.seconds(m.header.stamp) for m in truth])
        track = np.array([conversion.pose_from_message(m.pose.pose).translation for m in truth])
        at = [np.interp(stamp, stamps, track[:, i]) for i in range(3)]
        return float(np.linalg.norm(conversion.pose_from_message(estimate.pose.pose).translation - at))


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flight]:
    flight = Flight(tmp_path_factory.mktemp("flight"))
    yield flight
    flight.listener.close()
    status = flight.launch.close()
    assert status == 0, flight.launch.text()[-3000:]


def test_it_navigates_without_gps(flight: Flight) -> None:
    assert flight.listener.wait(lambda: len(flight.truth) > 0, 150, flight.launch), flight.launch.text()[-3000:]
    first = conversion.seconds(flight.truth[0].header.stamp)
    assert flight.listener.wait(
        lambda: conversion.seconds(flight.truth[-1].header.stamp) - first > 12.0, 60, flight.launch
    )
    flight.wait_for_fixes(5, 60)
    assert flight.listener.wait(lambda: flight.status[-1].state == NavigationStatus.TRACKING, 10, flight.launch)
    assert flight.position_error() < 5.0
    # Odometry at the IMU's rate: one for each sample of the last seconds.
    stamps = np.array([conversion.seconds(m.header.stamp) for m in flight.odometry[-400:]])
    assert np.median(np.diff(stamps)) == pytest.approx(0.005, abs=1e-4)


def test_a_frame_of_noise_is_refused_with_a_reason(flight: Flight) -> None:
    publisher = flight.listener.node.create_publisher(Image, "/camera/image_raw", reliable(2))
    assert flight.listener.wait(lambda: publisher.get_subscription_count() > 0, 10)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    message = conversion.image_message(noise, "rgb8", "camera_optical", flight.odometry[-1].header.stamp)
    stamps = []

    def verdicts() -> list[
        AbsolutePose
    ]:  # a frame that comes while another is registered is passed over: until one is taken
        stamp = conversion.ros_time(conversion.seconds(flight.odometry[-20].header.stamp) + 0.001)  # of no real frame
        message.header.stamp = stamp
        publisher.publish(message)
        stamps.append(stamp)
        return [p for p in flight.poses if p.header.stamp in stamps]

    assert flight.listener.wait(lambda: bool(verdicts()), 30, flight.launch), "no verdict on the frame of noise"
    seen = verdicts()
    assert all(p.status != AbsolutePose.ACCEPTED for p in seen)
    assert len(seen[0].reason) > 10
    flight.listener.node.destroy_publisher(publisher)


def test_an_image_of_the_wrong_size_is_refused_with_both_sizes(flight: Flight) -> None:
    publisher = flight.listener.node.create_publisher(Image, "/camera/image_raw", reliable(2))
    assert flight.listener.wait(lambda: publisher.get_subscription_count() > 0, 10)
    small = np.zeros((100, 200, 3), np.uint8)

    def refused() -> bool:
        publisher.publish(conversion.image_message(small, "rgb8", "camera_optical", flight.odometry[-1].header.stamp))
        return any(p.gate == "bad_input" and "200x100" in p.reason and "640x480" in p.reason for p in flight.poses)

    assert flight.listener.wait(refused, 20, flight.launch)
    flight.listener.node.destroy_publisher(publisher)
    flight.wait_for_fixes(2, 60)


def test_a_nan_imu_sample_is_counted_and_survived(flight: Flight) -> None:
    publisher = flight.listener.node.create_publisher(Imu, "/imu/data", reliable(10))
    assert flight.listener.wait(lambda: publisher.get_subscription_count() > 0, 10)
    before = flight.status[-1].imu_samples_refused
    message = Imu()
    message.linear_acceleration.x = float("nan")

    def refused() -> bool:  # until one is: a reader may match its writer after the writer says that it is matched
        message.header.stamp = flight.odometry[-1].header.stamp
        publisher.publish(message)
        return flight.status[-1].imu_samples_refused > before

    assert flight.listener.wait(refused, 20, flight.launch)
    flight.listener.node.destroy_publisher(publisher)
    flight.wait_for_fixes(2, 60)
    assert np.isfinite(flight.odometry[-1].pose.pose.position.x)
    assert flight.position_error() < 5.0


@pytest.mark.parametrize("node", ["fusion", "camera_registration", "site_server"])
def test_a_killed_node_is_brought_up_again_and_the_graph_recovers(flight: Flight, node: str) -> None:
    pid = flight.launch.pid_of(node)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert flight.listener.wait(lambda: flight.launch.pid_of(node) not in (None, pid), 20, flight.launch)
    before = len(flight.status)
    assert flight.listener.wait(lambda: len(flight.status) > before, 60, flight.launch)
    flight.wait_for_fixes(5, 90)
    assert flight.listener.wait(
        lambda: flight.status[-1].state == NavigationStatus.TRACKING and flight.position_error() < 5.0,
        30,
        flight.launch,
    ), f"{flight.status[-1].reason}; {flight.position_error():.1f} m\n{flight.launch.text()[-3000:]}"


def test_a_missing_site_refuses_to_start(tmp_path: Path) -> None:
    launch = Launch("aerial", {"site": str(tmp_path / "nowhere" / "site.yaml")}, tmp_path / "launch.log")
    try:
        assert launch.process.wait(timeout=60) != 0
    finally:
        launch.close()
    assert "nowhere" in launch.text()
