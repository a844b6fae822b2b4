"""The layouts that we ship: every topic in them is published by our nodes, with the type that its display takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml

from flight_harness import free_domain
from geo_nav.nodes.camera_registration import CameraRegistration
from geo_nav.nodes.conversion import message_type
from geo_nav.nodes.fusion import FusionNode
from geo_nav.nodes.site_server import SiteServer
from geo_nav.nodes.visualization import Visualization
from site_helpers import write_site

CONFIG = Path(__file__).resolve().parents[2] / "config"
RVIZ_DISPLAYS = {
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "Path": "nav_msgs/msg/Path",
    "Odometry": "nav_msgs/msg/Odometry",
    "Image": "sensor_msgs/msg/CompressedImage",  # by the name of the topic
    "TF": "tf2_msgs/msg/TFMessage",
}
FOXGLOVE_3D = {"visualization_msgs/msg/MarkerArray", "nav_msgs/msg/Path", "nav_msgs/msg/Odometry"}
FOXGLOVE_PANELS = {
    "3D", "Image", "Plot", "StateTransitions", "map", "DiagnosticSummary", "RosOut",
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Type by topic of what the configured nodes publish."""
    site = write_site(tmp_path_factory.mktemp("site"))
    domain, lock = free_domain()
    rclpy.init(args=["--ros-args", "-r", "__ns:=/geo_nav", "-p", f"site:={site}"], domain_id=domain)
    topics = {"/rosout": "rcl_interfaces/msg/Log"}
    for kind in (SiteServer, CameraRegistration, FusionNode, Visualization):
        node = kind()
        node.configure()
        for publisher in node.publishers:
            message = publisher.msg_type
            topics[publisher.topic_name] = f"{message.__module__.split('.')[0]}/msg/{message.__name__}"
        node.destroy_node()
    rclpy.try_shutdown()
    lock.close()
    return topics


@pytest.fixture
def rviz() -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "rviz" / "geo_nav.rviz").read_text())["Visualization Manager"]


@pytest.fixture
def foxglove() -> dict[str, Any]:
    return json.loads((CONFIG / "foxglove" / "geo_nav.json").read_text())


def test_rviz_displays_take_what_is_published(rviz: dict[str, Any], published: dict[str, str]) -> None:
    assert rviz["Global Options"]["Fixed Frame"] == "map"
    shown = set()
    for display in rviz["Displays"]:
        name = display["Class"].removeprefix("rviz_default_plugins/")
        topic = "/tf" if name == "TF" else display["Topic"]["Value"]
        assert published[topic] == RVIZ_DISPLAYS[name], topic
        shown.add(topic)
    assert shown >= {"/geo_nav/site_markers", "/geo_nav/markers", "/geo_nav/path", "/geo_nav/debug_image/compressed"}
    site = next(d["Topic"] for d in rviz["Displays"] if d["Name"] == "Site")
    assert site["Durability Policy"] == "Transient Local"  # else whoever comes later sees no site


def panels(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    assert node["direction"] in ("row", "column")
    assert 0 < node["splitPercentage"] < 100
    return panels(node["first"]) + panels(node["second"])


def test_foxglove_layout_places_every_panel_once(foxglove: dict[str, Any]) -> None:
    placed = panels(foxglove["layout"])
    assert sorted(placed) == sorted(foxglove["configById"])
    assert {name.partition("!")[0] for name in placed} <= FOXGLOVE_PANELS


def test_foxglove_panels_take_what_is_published(foxglove: dict[str, Any], published: dict[str, str]) -> None:
    by_id = foxglove["configById"]
    for topic in by_id["3D!scene"]["topics"]:
        assert published[topic] in FOXGLOVE_3D, topic
    assert published[by_id["Image!registration"]["imageMode"]["imageTopic"]] == "sensor_msgs/msg/CompressedImage"
    assert published[by_id["map!map"]["followTopic"]] == "sensor_msgs/msg/NavSatFix"
    assert published[by_id["DiagnosticSummary!summary"]["topicToRender"]] == "diagnostic_msgs/msg/DiagnosticArray"
    assert published[by_id["RosOut!log"]["topicToRender"]] == "rcl_interfaces/msg/Log"
    paths = [path["value"] for panel in by_id.values() for path in panel.get("paths", [])]
    assert len(paths) > 8
    for path in paths:
        topic, _, fields = path.partition(".")
        kind = published[topic]
        for field in re.sub(r"\[:\]|\{.*?\}", "", fields).split("."):
            members = message_type(kind).get_fields_and_field_types()
            assert field in members, path
            kind = re.sub(r"sequence<(\w+)/(\w+)>", r"\1/msg/\2", members[field])
