"""The parameter files that we ship: every key is one that a node reads, every value one that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from geo_nav.fusion import FusionConfig
from geo_nav.matching import MatchingConfig, matcher_names
from geo_nav.nodes.visualization import VisualizationConfig
from geo_nav.registration import MaskConfig, RegistrationConfig
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.rendering import RenderingConfig
from geo_nav.replay.config import ReplayConfig

CONFIG = Path(__file__).resolve().parents[2] / "config"
FRAMES = {"map_frame", "base_frame", "odom_frame"}
OWN = {
    "site_server": {"site"},
    "camera_registration": {"site", "matcher", "image_transport", "camera_frame"},
    "fusion": {"camera_frame", "checkpoint", "solver", "tf_rate", "fix_rate", "T_base_camera"},
    "replay": set(),
    "visualization": {"site"},
}
GROUPS: dict[str, dict[str, type[BaseModel]]] = {
    "site_server": {"rendering": RenderingConfig},
    "camera_registration": {
        "rendering": RenderingConfig, "matching": MatchingConfig, "registration": RegistrationConfig,
        "tracking": TrackingConfig, "masks": MaskConfig,
    },
    "fusion": {"": FusionConfig},
    "replay": {"": ReplayConfig},
    "visualization": {"": VisualizationConfig},
}  # fmt: skip


def sections(name: str) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((CONFIG / name).read_text())
    return {key.rpartition("/")[2]: value["ros__parameters"] for key, value in content.items()}


@pytest.mark.parametrize("name", ["aerial.yaml", "ground.yaml"])
def test_every_key_is_read_by_its_node_and_has_a_value_that_it_takes(name: str) -> None:
    content = sections(name)
    assert set(content.pop("**", {})) <= FRAMES
    assert content
    for node, parameters in content.items():
        for group, kind in GROUPS[node].items():
            values = parameters if group == "" else parameters.pop(group, {})
            own = {key: value for key, value in values.items() if key in kind.model_fields}
            kind(**own)
            unknown = set(values) - set(own) - (OWN[node] if group == "" else set())
            assert not unknown, f"{name}: {node}: {unknown}"
        assert set(parameters) <= OWN[node] | set(GROUPS[node].get("", BaseModel).model_fields)
        assert parameters.get("matcher", "sift") in matcher_names()


def test_aerial_yaml_shows_every_key_at_its_default() -> None:
    content = sections("aerial.yaml")
    for node, groups in GROUPS.items():
        for group, kind in groups.items():
            if node == "site_server":
                continue  # only the keys that matter to its one service
            shown = content[node] if group == "" else content[node][group]
            for key, value in kind().model_dump().items():
                assert shown[key] == value, f"{node}: {group}.{key}"
