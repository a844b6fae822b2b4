"""Parameter files, read without ROS as ROS would."""

from __future__ import annotations

from pathlib import Path

import pytest

from geo_nav.fusion import FusionConfig
from geo_nav.nodes.settings import CameraNodeConfig
from geo_nav.replay.config import ReplayConfig
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.parameters import read_parameters

CONFIG = Path(__file__).resolve().parents[2] / "config"


def read(tmp_path: Path, text: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return read_parameters(path)


def test_our_own_file_is_read_whole() -> None:
    found = read_parameters(CONFIG / "aerial.yaml")
    assert found.fusion == FusionConfig()
    assert found.camera == CameraNodeConfig()
    assert found.fusion_node.checkpoint == "~/.ros/geo_nav/checkpoint.json"
    assert found.fusion_node.tf_rate == 50.0
    assert found.fusion_node.mounting is None
    ground = read_parameters(CONFIG / "ground.yaml")
    assert ground.fusion != FusionConfig()


def test_sections_match_as_in_ros_and_the_later_one_holds(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
/**: {ros__parameters: {map_frame: site, use_sim_time: true, of_a_node_of_mine: 1}}
/**/fusion:
  ros__parameters:
    lag: 5.0
    wheels.scale_sigma: 0.5
    T_base_camera: [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
/*/fusion: {ros__parameters: {lag: 6.0}}
/other/fusion: {ros__parameters: {lag: 8.0}}
geo_nav:
  camera_registration: {ros__parameters: {registration: {max_width: 800}, matching: {threads: 2}}}
/**/replay: {ros__parameters: {registration_seconds: 0.1}}
/**/planner: {ros__parameters: {speed: 3}}
""",
    )
    assert found.fusion.lag == 6.0
    assert found.fusion.wheels.scale_sigma == 0.5
    assert found.fusion_node.map_frame == found.camera.map_frame == "site"
    assert found.fusion_node.mounting.translation.tolist() == [0.0, 0.0, 1.0]
    assert (found.camera.registration.max_width, found.camera.matching.threads) == (800, 2)
    assert found.replay == ReplayConfig(registration_seconds=0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/**/fusion: {ros__parameters: {lagg: 5.0}}", "/\\*\\*/fusion has a parameter lagg.*is lag meant"),
        ("/**/fusion: {ros__parameters: {wheels: {scale_sigmas: 5.0}}}", "is wheels.scale_sigma meant"),
        ("/**: {ros__parameters: {map_fram: x}}", "is map_frame meant"),
        ("/**/camera_registration: {ros__parameters: {zzz: 1}}", "zzz, which camera_registration does not know$"),
        ("/**/fuson: {ros__parameters: {lag: 1.0}}", "is /\\*\\*/fusion meant"),
        ("fusion: {ros__parameters: {lag: 1.0}}", "/fusion matches no node: is /\\*\\*/fusion meant"),
        ("/**/fusion: {ros__parameters: {lag: 500.0}}", "fusion that cannot be used: lag: .*60 .got 500.0"),
        ("/**/fusion: {ros__parameters: {T_base_camera: [1, 2]}}", "seven numbers"),
        ("/**/camera_registration: {ros__parameters: {image_transport: theora}}", "image_transport"),
        ("- 1", "no parameter file"),
        ("lag: 5.0", "no section with ros__parameters"),
        ("a: [b", "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ReplayError, match=words):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"nowhere\.yaml"):
        read_parameters(tmp_path / "nowhere.yaml")
