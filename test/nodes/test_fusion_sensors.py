"""The sensors' messages: what they say, and what the node makes of them and of its nested parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from sensor_msgs.msg import FluidPressure, Imu, MagneticField

from geo_nav import GeoNavError
from geo_nav.fusion import Fusion, FusionConfig, ImuSample
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.fusion import FusionNode
from geo_nav.nodes.status_messages import diagnostics_message, fill_status
from geo_nav_msgs.msg import Consistency as ConsistencyMessage
from geo_nav_msgs.msg import NavigationStatus

FRAME = LocalFrame(47.4, 8.5, 450.0)


def heading(yaw: float, variance: float = 0.0) -> Imu:
    message = Imu()
    message.header.stamp = Time(sec=11)
    message.orientation.z, message.orientation.w = math.sin(0.5 * yaw), math.cos(0.5 * yaw)
    message.orientation_covariance[8] = variance
    return message


def test_heading_message_has_yaw_and_sigma() -> None:
    yaw, sigma = conversion.yaw_and_sigma(heading(2.0, 0.0025))
    assert yaw == pytest.approx(2.0)
    assert sigma == pytest.approx(0.05)
    assert conversion.yaw_and_sigma(heading(2.0))[1] is None
    without = heading(2.0)
    without.orientation_covariance[0] = -1.0
    with pytest.raises(conversion.MessageError, match="without orientation"):
        conversion.yaw_and_sigma(without)
    with pytest.raises(GeoNavError):
        conversion.yaw_and_sigma(heading(math.nan))


def test_variance_of_a_pressure_is_that_of_a_height() -> None:
    assert conversion.altitude_sigma(FluidPressure(variance=144.0)) == pytest.approx(1.0)
    assert conversion.altitude_sigma(FluidPressure()) is None


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FusionNode:
    """Configured with two nested parameters, and with a graph that has a state at 10 s."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    arguments = ["--ros-args", "-p", "wheels.scale_sigma:=0.05", "-p", "barometer.offset:=12.0"]
    rclpy.init(args=arguments, domain_id=219)
    node = FusionNode()
    node.configure()
    fusion = Fusion(node._config, FRAME, Pose.identity())
    for k in range(301):
        fusion.add_imu(ImuSample(10.0 + 0.01 * k, np.array([0.0, 0.0, 9.807]), np.zeros(3)))
    pose = Pose(np.eye(3), np.zeros(3))
    fusion.set_pose(10.0, pose, np.diag([1.0, 1.0, 1.0, 1e-4, 1e-4, 1e-2]), np.zeros(3), 0.01 * np.eye(3))
    fusion.update()
    node._messages.fusion = fusion
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def test_messages_reach_the_graph_and_the_diagnostics(node: FusionNode) -> None:
    assert node._config.wheels.scale_sigma == 0.05
    assert node._config.barometer.offset == 12.0
    assert node._config.heading == FusionConfig().heading
    pressure = FluidPressure(fluid_pressure=95_900.0)
    wheels = Odometry(child_frame_id="base_link")
    field = MagneticField()
    field.magnetic_field.y, field.magnetic_field.z = 21e-6, -43e-6
    for message in (pressure, wheels, field):
        message.header.stamp = Time(sec=11)
    node._messages.on_pressure(pressure)
    node._messages.on_heading(heading(0.05))
    node._messages.on_magnetic_field(field)
    node._messages.on_wheel_odometry(wheels)
    outcomes = node._messages.fusion.update().fixes
    assert sorted((o.kind, o.used) for o in outcomes) == [
        ("barometer", True), ("heading", True), ("magnetometer", True), ("wheels", True)
    ]  # fmt: skip
    with pytest.raises(GeoNavError, match="nan"):
        node._messages.on_pressure(FluidPressure(fluid_pressure=math.nan))
    with pytest.raises(GeoNavError, match="odom_wheels"):
        node._messages.on_wheel_odometry(Odometry(child_frame_id="odom_wheels"))

    said = {s.name: s for s in diagnostics_message(node._messages.fusion.status(), "fusion").status}
    assert {v.key: v.value for v in said["fusion: barometer"].values}["refused"] == "1"
    assert said["fusion: wheels"].level == DiagnosticStatus.OK
    assert said["fusion: wheel scale"].message == "not observable so far"
    assert said["fusion: barometer offset"].message == "calibrated"
    assert said["fusion: consistency of wheels"].message.startswith("unknown: worth 1 independent")


def test_status_message_has_levels_and_consistency(node: FusionNode) -> None:
    before = node._messages.fusion
    node._messages.fusion = Fusion(node._config, FRAME, Pose.identity())
    empty = fill_status(NavigationStatus(), node._messages.fusion.status())
    assert math.isnan(empty.horizontal_level_95)
    assert (empty.state, list(empty.consistency)) == (NavigationStatus.INITIALIZING, [])
    node._messages.fusion = before
    for k in range(20):
        before.add_heading(10.1 + 0.1 * k, 0.0 if k < 5 else 2.0, 0.02)
        before.update()
    status = before.status()
    message = fill_status(NavigationStatus(), status)
    assert message.state == NavigationStatus.TRACKING
    assert message.fixes_used == status.fixes_used
    assert message.horizontal_level_95 == pytest.approx(status.levels.horizontal_95)
    assert message.horizontal_level_999 == pytest.approx(status.levels.horizontal_999)
    assert message.vertical_level_95 == pytest.approx(status.levels.vertical_95)
    assert message.vertical_level_999 == pytest.approx(status.levels.vertical_999)
    assert message.horizontal_level_999 > message.horizontal_level_95 > 0.0
    (heading,) = message.consistency
    assert (heading.kind, heading.verdict) == ("heading", ConsistencyMessage.CONTRADICTED)
    assert heading.reason == status.consistency["heading"].reason
    assert heading.refused_share == pytest.approx(status.consistency["heading"].refused_share)
    said = {s.name: s for s in diagnostics_message(status, "fusion").status}
    assert said["fusion: consistency of heading"].level == DiagnosticStatus.WARN
