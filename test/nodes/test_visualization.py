"""The node `visualization`: draws for who looks, what the other nodes say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseWithCovariance
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from flight_harness import Listener, free_domain
from geo_nav.geodesy import Pose
from geo_nav.nodes.base import latched, make_executor, reliable
from geo_nav.nodes.conversion import ros_time, transform_message
from geo_nav.nodes.visualization import Visualization
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus
from site_helpers import COLUMNS, ROWS, write_site


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Another node in the domain of a visualization node that is at work."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    domain, lock = free_domain()
    site = write_site(tmp_path)
    words = ["--ros-args", "-r", "__ns:=/geo_nav", "-p", f"site:={site}", "-p", "site_triangles:=2000"]
    rclpy.init(args=[*words, "-p", "marker_rate:=20.0"], domain_id=domain)
    node = Visualization()
    node.trigger_configure()
    node.trigger_activate()
    executor = make_executor()
    executor.add_node(node)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    other = Listener(domain)
    yield other
    other.close()
    stop.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    lock.close()


class Vehicle:
    """Publishes what the other nodes would, at 5 m/s to the east."""

    def __init__(self, listener: Listener) -> None:
        make = listener.node.create_publisher
        self._odometry = make(Odometry, "/geo_nav/odometry", reliable(10))
        self._status = make(NavigationStatus, "/geo_nav/status", reliable(10))
        self._poses = make(AbsolutePose, "/geo_nav/absolute_pose", reliable(10))
        self._info = make(CameraInfo, "/geo_nav/camera_info", reliable(10))
        self._static = make(TFMessage, "/tf_static", latched())
        mounting = Pose.from_quaternion([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -0.1])
        self._static.publish(TFMessage(transforms=[transform_message("base_link", "eye", ros_time(0.0), mounting)]))
        self._begin = time.monotonic()

    def publish(self) -> float:
        t = time.monotonic() - self._begin
        odometry = Odometry()
        odometry.header.frame_id, odometry.header.stamp = "map", ros_time(100.0 + t)
        odometry.pose.pose.position.x, odometry.pose.pose.position.z = 5.0 * t, 120.0
        odometry.pose.pose.orientation.w = 1.0
        odometry.pose.covariance = np.diag([4.0, 1.0, 0.25, 1e-4, 1e-4, 1e-4]).ravel()
        self._odometry.publish(odometry)
        self._status.publish(NavigationStatus(state=1, horizontal_level_95=3.0, vertical_level_95=1.0))
        verdict = int(t * 10) % 3  # accepted, rejected, failed
        pose = AbsolutePose(status=verdict, pose=PoseWithCovariance(pose=odometry.pose.pose))
        pose.header.stamp = odometry.header.stamp
        self._poses.publish(pose)
        info = CameraInfo(width=640, height=480, k=[500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0])
        info.header.frame_id = "eye"
        self._info.publish(info)
        return t


def test_what_is_published_reaches_the_displays(listener: Listener) -> None:
    markers = listener.listen(MarkerArray, "/geo_nav/markers", reliable(50))
    site = listener.listen(MarkerArray, "/geo_nav/site_markers", latched())
    paths = listener.listen(PathMessage, "/geo_nav/path", reliable(5))
    vehicle = Vehicle(listener)

    def complete() -> bool:
        vehicle.publish()
        names = {m.ns for m in markers[-1].markers} if markers else set()
        return (
            {"camera", "state", "protection_level_95"} <= names and bool(site) and bool(paths and paths[-1].poses[1:])
        )

    assert listener.wait(complete, 40.0)
    # What is not drawn again goes by itself, so nothing hangs on a message that a display missed.
    drawn = [m for message in markers for m in message.markers if m.action == Marker.ADD]
    assert {(m.lifetime.sec, m.lifetime.nanosec) for m in drawn} == {(5, 0)}
    assert {m.action for message in markers for m in message.markers} <= {Marker.ADD, Marker.DELETE}
    last = {m.ns: m for m in markers[-1].markers}
    assert {m.header.frame_id for m in last.values()} == {"map"}
    size = last["covariance"].scale
    axes = np.sort([size.x, size.y, size.z])
    np.testing.assert_allclose(axes / axes[0], [1.0, 2.0, 4.0], rtol=1e-6)
    assert len(last["fixes_accepted"].points) >= 1
    assert len(last["fixes_refused"].points) >= 1
    camera = np.array([[p.x, p.y, p.z] for p in last["camera"].points])
    assert camera[:, 2].max() == pytest.approx(119.9, abs=1e-6)
    assert camera[:, 2].min() == pytest.approx(99.9, abs=1e-6)  # it looks down

    east = [pose.pose.position.x for pose in paths[-1].poses]
    stamps = [pose.header.stamp.sec + 1e-9 * pose.header.stamp.nanosec for pose in paths[-1].poses]
    assert (np.diff(stamps) > 0.3).all()  # one a second, late by what the site's mesh took
    np.testing.assert_allclose(np.diff(east), 5.0 * np.diff(stamps), rtol=1e-6)

    clear, mesh = site[0].markers
    assert clear.action == Marker.DELETEALL
    assert 3 * 2000 >= len(mesh.points) == len(mesh.colors) > 3 * 1000
    assert len(mesh.points) < 3 * 2 * ROWS * COLUMNS


def test_nothing_is_published_without_a_subscriber_and_the_site_comes_to_who_is_late(listener: Listener) -> None:
    vehicle = Vehicle(listener)
    end = time.monotonic() + 1.5
    listener.wait(lambda: bool(vehicle.publish() and time.monotonic() > end), 3.0)
    first = listener.listen(MarkerArray, "/geo_nav/site_markers", latched())
    assert listener.wait(lambda: bool(first), 40.0)
    second = listener.listen(MarkerArray, "/geo_nav/site_markers", latched())
    assert listener.wait(lambda: bool(second), 5.0)
    assert len(first) == 1
