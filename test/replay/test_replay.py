"""A simulated bag through `geo-nav evaluate`: repeatable, GPS withheld, and robust against bags that lack something."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from typer.testing import CliRunner

from geo_nav.cli import app
from geo_nav.evaluation import evaluate_run, summary
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.ros_types import typestore
from geo_nav.evaluation.truth import stamp_of
from geo_nav.geodesy import Pose, TransformTree
from geo_nav.replay.ablations import ABLATIONS, replay_fixes
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.gps import TAKEOVER_FIXES
from geo_nav.replay.inputs import ImuHead, imu_turned
from geo_nav.replay.live import parameter_file
from geo_nav.replay.parameters import default_parameter_file, read_parameters
from geo_nav.replay.preparation import ReplayOptions, prepare
from geo_nav.replay.run import replay_bag
from geo_nav.replay.run_folder import make_room
from geo_nav.simulation import Simulation
from geo_nav.site import load_site
from replay_helpers import short_flight

LATENCY = 0.1
MEASURED = {"milliseconds", "stage_milliseconds", "update_milliseconds"}
"""Fields that say how long something really took."""


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, Path]:
    return short_flight(tmp_path_factory.mktemp("flight"))


@pytest.fixture(scope="module")
def simulation(flight: tuple[Simulation, Path]) -> Simulation:
    return flight[0]


@pytest.fixture(scope="module")
def bag(flight: tuple[Simulation, Path]) -> Path:
    return flight[1]


@pytest.fixture(scope="module")
def run(simulation: Simulation, bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bag evaluated with the default settings, and an ablation."""
    out = tmp_path_factory.mktemp("run")
    result = evaluate(str(bag), "--site", str(simulation.site_yaml), "--out", str(out), "--ablations", "imu_only")
    assert result.exit_code == 0, result.output
    return out


def evaluate(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["evaluate", *arguments])


def options(simulation: Simulation, **changes: Any) -> ReplayOptions:
    said: list[Any] = []
    given: dict[str, Any] = {
        "site": load_site(simulation.site_yaml),
        "descriptor": simulation.site_yaml,
        "parameters": read_parameters(default_parameter_file()),
        "topics": {},
        "truth": None,
        "gps": "truth",
        "start": "gps",
        "info": None,
        "progress": lambda done, total: None,
        "say": said.append,
        "stopped": lambda: False,
    }
    return ReplayOptions(**{**given, **changes})


def contents(path: Path, *topics: str) -> list[tuple[str, float, Any]]:
    with open_bag(path) as opened:
        return list(opened.decoded(topics or None))


def values(message: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a message with its field's name, but for measured durations."""
    for name in message.__dataclass_fields__:
        value = getattr(message, name)
        if name in MEASURED:
            continue
        for part in value if isinstance(value, list) else [value]:
            if hasattr(part, "__dataclass_fields__"):
                yield from values(part)
            else:
                yield name, part.tobytes() if isinstance(part, np.ndarray) else repr(part)


def rewritten(source: Path, target: Path, keep: Callable[[str], bool]) -> Path:
    """A bag without some of its topics."""
    with open_bag(source) as opened, Writer(target, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = [topic for topic in opened.topics if keep(topic)]
        connections = {t: writer.add_connection(t, opened.topics[t].msgtype, typestore=typestore()) for t in topics}
        for topic, received, data in opened.messages(topics):
            writer.write(connections[topic], received, data)
    return target


def test_it_navigates_and_gps_is_withheld(run: Path, bag: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    said = json.loads((run / "summary.json").read_text())
    with open_bag(bag) as opened:
        fixes = opened.topics["/gps/fix"].count
    accepted = [
        received for _, received, m in contents(run / "bag", "/geo_nav/absolute_pose") if m.status == m.ACCEPTED
    ]
    arrivals = [received for _, received, _ in contents(bag, "/gps/fix")]
    assert info["gps"]["used"] == sum(received <= accepted[TAKEOVER_FIXES - 1] for received in arrivals) < fixes
    assert info["gps"]["used"] + info["gps"]["withheld"] == fixes
    used = [stamp_of(m) for _, _, m in contents(bag, "/gps/fix")][: info["gps"]["used"]]
    assert used[-1] <= info["gps_cut"]
    counts = [m for _, _, m in contents(run / "bag", "/geo_nav/status")][-1]
    assert counts.fixes_used <= len(accepted) + info["gps"]["used"]
    assert said["fixes_accepted"] >= 3
    assert said["false_fixes"] == 0
    assert said["rms_3d_m"] < 3.0
    assert info["topics"]["image"] == "/camera/image_raw/compressed"
    assert info["resources"]["by_stage"]["registration"] > 0.0
    assert (run / "report.html").stat().st_size > 10_000


def test_a_second_run_is_equal_to_the_bit(run: Path, bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    replay_bag(bag, tmp_path / "again", options(simulation))
    first, second = contents(run / "bag"), contents(tmp_path / "again" / "bag")
    assert {topic for topic, _, _ in first} == {
        "/geo_nav/odometry", "/geo_nav/fix", "/geo_nav/status", "/geo_nav/site", "/geo_nav/absolute_pose",
        "/geo_nav/tie_points", "/geo_nav/debug_image/compressed", "/tf", "/tf_static", "/diagnostics",
    }  # fmt: skip
    assert len(first) == len(second)
    for (topic, received, a), (other, received_again, b) in zip(first, second, strict=True):
        assert (topic, received) == (other, received_again)
        assert list(values(a)) == list(values(b)), topic


def test_a_registration_takes_its_time_of_the_bag(run: Path, bag: Path) -> None:
    arrivals = {stamp_of(m): received for _, received, m in contents(bag, "/camera/image_raw/compressed")}
    results = [(stamp_of(m), received) for _, received, m in contents(run / "bag", "/geo_nav/absolute_pose")]
    late = np.array([received - arrivals[stamp] for stamp, received in results])
    assert late == pytest.approx(np.full(len(late), LATENCY), abs=1e-6)  # frames come slower than that


def test_the_same_fixes_again_make_the_same_odometry(
    run: Path, bag: Path, simulation: Simulation, tmp_path: Path
) -> None:
    with open_bag(bag) as opened:
        journey = prepare(opened, options(simulation)).journey
    replay_fixes(journey, [bag], run / "bag", tmp_path / "again", lambda: False)
    first, second = (contents(path, "/geo_nav/odometry") for path in (run / "bag", tmp_path / "again"))
    assert [list(values(m)) for _, _, m in first] == [list(values(m)) for _, _, m in second]


def test_the_nodes_get_the_same_parameters(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    given = tmp_path / "given.yaml"
    given.write_text(
        "/**: {ros__parameters: {map_frame: site}}\n"
        "/**/fusion: {ros__parameters: {lag: 6.0, wheels: {scale_sigma: 0.0}, T_base_camera: [0, 0, 1, 1, 0, 0, 0]}}\n"
        "/**/camera_registration: {ros__parameters: {camera_frame: cam, tracking: {points: 99}}}\n"
    )
    with open_bag(bag) as opened:
        journey = prepare(opened, options(simulation, parameters=read_parameters(given))).journey
        written = tmp_path / "written.yaml"
        written.write_text(yaml.safe_dump(parameter_file(journey)))
    read, wanted = read_parameters(written), journey.parameters
    assert read.fusion == wanted.fusion
    assert read.fusion_node == wanted.fusion_node
    assert read.fusion_node.camera_frame == "cam"  # as the images' poses will be called
    assert read.camera == wanted.camera.model_copy(update={"image_transport": "compressed"})


def test_an_ablation_is_a_run_of_its_own(run: Path) -> None:
    folder = run / "ablations" / "imu_only"
    said = json.loads((folder / "summary.json").read_text())
    assert said["fixes_tried"] == 0
    # In so short a flight the IMU alone is about as good: it is another run, not a worse one.
    assert abs(said["rms_3d_m"] - json.loads((run / "summary.json").read_text())["rms_3d_m"]) > 0.01
    assert summary(evaluate_run(folder))["rms_3d_m"] == said["rms_3d_m"]
    assert json.loads((folder / "run.json").read_text())["ablation"]["name"] == "imu_only"


def test_an_ablation_that_the_parameters_do_not_allow_says_so(bag: Path, simulation: Simulation) -> None:
    with open_bag(bag) as opened:
        journey = prepare(opened, options(simulation)).journey
    gnc = journey.parameters.fusion.model_copy(update={"robust_loss": "gnc"})
    journey = replace(journey, parameters=replace(journey.parameters, fusion=gnc))
    with pytest.raises(ReplayError, match="gnc cannot weigh tie points"):
        ABLATIONS["points_for_poses"].apply(journey)
    assert ABLATIONS["no_tie_points"].apply(journey).fixes == {"absolute_pose": "/geo_nav/absolute_pose"}


def test_a_bag_without_images_is_fused_all_the_same(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    blind = rewritten(bag, tmp_path / "blind", lambda topic: not topic.startswith("/camera"))
    result = evaluate(
        str(blind), "--site", str(simulation.site_yaml), "--out", str(tmp_path / "out"), "--gps", "until:6", "--json"
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["fixes_tried"] == 0
    assert said["rms_3d_m"] < 5.0
    info = json.loads((tmp_path / "out" / "run.json").read_text())
    assert info["gps"]["used"] == 30
    assert info["gps_cut"] == pytest.approx(contents(blind, "/gps/fix")[29][1], abs=0.01)


def test_a_start_by_hand_or_from_truth_needs_no_gps(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    dark = rewritten(bag, tmp_path / "dark", lambda topic: topic not in ("/gps/fix", "/camera/camera_info"))
    with pytest.raises(ReplayError, match="no GPS to start from: give --start truth"):
        replay_bag(dark, tmp_path / "none", options(simulation))
    outcome = replay_bag(dark, tmp_path / "truth", options(simulation, start="truth"))
    assert (outcome.gps_used, outcome.gps_withheld) == (0, 0)
    first = contents(tmp_path / "truth" / "bag", "/geo_nav/odometry")[0][2].pose.pose.position
    truth = simulation.truth(0.0).T_map_base.translation
    assert np.linalg.norm([first.x, first.y, first.z] - truth) < 1.0
    latitude, longitude, height = simulation.site_frame.to_geodetic(truth + np.array([3.0, 0.0, 0.0]))
    heading = 90.0 - np.degrees(np.arctan2(*simulation.truth(0.0).T_map_base.rotation[1::-1, 0]))
    replay_bag(dark, tmp_path / "hand", options(simulation, start=f"{latitude},{longitude},{height},{heading}"))
    at = contents(tmp_path / "hand" / "bag", "/geo_nav/odometry")[0][2].pose.pose
    assert at.position.x - truth[0] == pytest.approx(3.0, abs=0.5)
    with pytest.raises(ReplayError, match="LATITUDE,LONGITUDE"):
        replay_bag(dark, tmp_path / "wrong", options(simulation, start="here"))


def test_one_bag_that_fails_does_not_stop_the_others(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    folder = tmp_path / "bags"
    folder.mkdir()
    rewritten(bag, folder / "a_without_imu", lambda topic: topic != "/imu/data")
    rewritten(bag, folder / "b_blind", lambda topic: not topic.startswith("/camera"))
    result = evaluate(str(folder), "--site", str(simulation.site_yaml), "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert "no IMU" in said["a_without_imu"]["error"]
    assert "/gps/fix (sensor_msgs/msg/NavSatFix)" in said["a_without_imu"]["error"]
    assert said["b_blind"]["samples"] > 100


def test_a_replay_that_is_broken_off_leaves_what_it_has(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    done: list[float] = []
    changes = {"progress": lambda now, total: done.append(now), "stopped": lambda: bool(done) and done[-1] > 4.0}
    outcome = replay_bag(bag, tmp_path / "out", options(simulation, **changes))
    assert outcome.interrupted
    last = stamp_of(contents(tmp_path / "out" / "bag", "/geo_nav/odometry")[-1][2])
    assert last - stamp_of(contents(bag, "/imu/data")[0][2]) == pytest.approx(4.0, abs=0.05)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["interrupted"] is True


def test_nothing_but_an_earlier_evaluation_is_replaced(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="would be overwritten"):
        replay_bag(bag, bag.parent, options(simulation))
    mine = rewritten(bag, tmp_path / "bag", lambda topic: topic == "/tf_static")
    with pytest.raises(ReplayError, match="not written by an evaluation"):
        replay_bag(bag, tmp_path, options(simulation))
    assert mine.is_dir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text('{"name": "mine"}')
    with pytest.raises(ReplayError, match=r"other/run\.json was not written"):
        replay_bag(bag, tmp_path / "other", options(simulation))
    make_room(tmp_path / "new", bag)
    make_room(tmp_path / "new", bag)  # a replay that failed leaves a folder that the next one may use


def test_options_that_cannot_be_used_are_named(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    site = ["--site", str(simulation.site_yaml), "--out", str(tmp_path / "out")]
    config = tmp_path / "config.yaml"
    config.write_text("/**/fusion: {ros__parameters: {lagg: 3.0}}")
    for more, words in (
        (["--config", str(config)], "is lag meant"),
        (["--ablations", "no_magic"], "no ablation no_magic"),
        (["--ablations", "imu_only", "--through-ros"], "leave --through-ros out"),
        (["--topic", "imu"], "ROLE:=TOPIC"),
        (["--topic", "imu:=/gps/fix"], "imu takes"),
        (["--truth", "/nowhere"], "neither a topic of the bag"),
        (["--gps", "maybe"], "until:SECONDS"),
    ):
        result = evaluate(str(bag), *site, *more)
        told = result.output + str(result.exception)
        assert result.exit_code != 0
        assert words in " ".join(told.split()), told


def test_what_a_bag_lacks_is_said_before_it_is_replayed(bag: Path, simulation: Simulation, tmp_path: Path) -> None:
    frozen = tmp_path / "frozen"
    with open_bag(bag) as opened, Writer(frozen, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {t: writer.add_connection(t, i.msgtype, typestore=typestore()) for t, i in opened.topics.items()}
        for topic, _, data in opened.messages():
            writer.write(connections[topic], 5, data)
    with pytest.raises(ReplayError, match=r"receive times cannot be used.*arrived within 0\.00 s"):
        replay_bag(frozen, tmp_path / "out", options(simulation))
    loose = rewritten(bag, tmp_path / "loose", lambda topic: topic != "/tf_static")
    with pytest.raises(ReplayError, match=r"nobody says how the camera is mounted.*base_link → camera_optical"):
        replay_bag(loose, tmp_path / "out", options(simulation))
    assert not (tmp_path / "out").exists()


def test_an_imu_that_is_turned_is_told() -> None:
    tree = TransformTree()
    tree.add("base_link", "imu_link", Pose.from_rotation_vector([np.pi / 2, 0.0, 0.0], np.zeros(3)))
    assert "turned by 90 degrees in base_link" in imu_turned(ImuHead(0.0, "imu_link"), tree, "base_link")
    assert imu_turned(ImuHead(0.0, "base_link"), tree, "base_link") == ""
    assert imu_turned(ImuHead(0.0, "unknown"), tree, "base_link") == ""
