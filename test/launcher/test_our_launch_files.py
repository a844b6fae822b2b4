"""The launch files of this package: the nodes they start, and what those get."""

from __future__ import annotations

import itertools
import shutil

import pytest

from geo_nav.launcher import describe_arguments
from launcher_standins import ROOT, reports

NODES = ("site_server", "camera_registration", "fusion", "recorder", "simulator", "bag_player", "visualization")
NAVIGATION = {"site_server", "camera_registration", "fusion"}


@pytest.fixture
def folder(make_package):
    """The launch files in a stand-in geo_nav."""
    share = make_package("geo_nav", NODES, stay=True) / "share" / "geo_nav"
    shutil.copytree(ROOT / "launch", share / "launch")
    (share / "config").mkdir()
    for vehicle in ("aerial", "ground"):
        (share / "config" / f"{vehicle}.yaml").write_text(f"/**: {{ros__parameters: {{vehicle: {vehicle}}}}}\n")
    return share / "launch"


def start(background, path, *words, count):
    """Starts a launch file; the reports of its nodes by name, and the runner."""
    runner = background(path, *words)
    runner.wait_for(lambda: len(reports(runner.output)) == count or runner.process.poll() is not None)
    return {report["node"]: report for report in reports(runner.output)}, runner


def remaps(report):
    words = report["words"]
    return dict(b.split(":=") for a, b in itertools.pairwise(words) if a == "-r")


def parameters(report):
    node = f"/geo_nav/{report['node']}"
    return {k: v for file in report["files"] for k, v in (file.get("/**") or file[node])["ros__parameters"].items()}


@pytest.mark.parametrize("vehicle", ["aerial", "ground"])
def test_navigation(folder, background, vehicle):
    path = folder / f"{vehicle}.launch.py"
    words = ["site:=/s/site.yaml", "image_topic:=/cam/image", "imu_topic:=/my_imu", "matcher:=sift"]
    found, runner = start(background, path, *words, count=3)
    assert set(found) == NAVIGATION
    for name, report in found.items():
        assert remaps(report)["__node"] == name
        assert remaps(report)["__ns"] == "/geo_nav"
        assert parameters(report) == {
            "vehicle": vehicle,
            "site": "/s/site.yaml",
            "matcher": "sift",
            "use_sim_time": False,
            "autostart": True,
        }
    camera, fusion = remaps(found["camera_registration"]), remaps(found["fusion"])
    assert camera["image_raw"] == "/cam/image"
    assert camera["image_raw/compressed"] == "/cam/image/compressed"
    assert camera["camera_info"] == "/camera/camera_info"
    assert (fusion["imu"], fusion["gps"]) == ("/my_imu", "/gps/fix")
    assert runner.stop() == 0


def test_simulation_adds_simulator_and_recorder(folder, background):
    words = ["site:=/s", "duration:=30", "seed:=3", "imu_topic:=/my_imu", "record:=/tmp/bag"]
    found, runner = start(background, folder / "simulation.launch.py", *words, count=5)
    assert set(found) == NAVIGATION | {"simulator", "recorder"}
    settings = parameters(found["simulator"])
    assert settings["vehicle"] == "aerial"
    assert (settings["duration"], settings["gps_outage_start"], settings["seed"]) == (30, 10.0, 3)
    assert remaps(found["simulator"])["imu"] == remaps(found["fusion"])["imu"] == "/my_imu"
    assert remaps(found["simulator"])["image_raw"] == remaps(found["camera_registration"])["image_raw"]
    recording = parameters(found["recorder"])
    assert recording["bag"] == "/tmp/bag"
    pairs = recording["topics"].split()
    topics = dict(zip(pairs[::2], pairs[1::2], strict=True))
    assert topics["/my_imu"] == "sensor_msgs/msg/Imu"
    assert topics["/geo_nav/odometry"] == "nav_msgs/msg/Odometry"
    assert runner.stop() == 0


@pytest.mark.parametrize("word", ["true", "1"])
def test_visualization_is_a_node_beside_that_knows_the_camera(folder, background, word):
    words = ["site:=/s/site.yaml", "camera_info_topic:=/cam/info", f"visualization:={word}"]
    found, runner = start(background, folder / "ground.launch.py", *words, count=4)
    assert set(found) == NAVIGATION | {"visualization"}
    assert remaps(found["visualization"])["camera_info"] == "/cam/info"
    assert parameters(found["visualization"])["site"] == "/s/site.yaml"
    assert runner.stop() == 0


def test_simulation_makes_its_world(folder, background, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text('#!/bin/sh\nshift 2\necho progress\necho "/worlds/$1-$2-$3/site.yaml"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    words = ["seed:=5", "world_size:=800", "world_dir:=w", "checkpoint:=/c"]
    found, runner = start(background, folder / "simulation.launch.py", *words, count=4)
    assert parameters(found["site_server"])["site"] == "/worlds/5-800-w/site.yaml"
    assert parameters(found["simulator"])["world_size"] == 800
    assert parameters(found["fusion"])["checkpoint"] == "/c"
    assert runner.stop() == 0


def test_replay_takes_time_from_the_bag_and_chooses_the_vehicle(folder, background):
    words = ["bag:=/b", "rate:=2", "vehicle:=ground", "skip_topics:=/a /b", "gps:=until:30"]
    found, runner = start(background, folder / "replay.launch.py", *words, count=4)
    assert set(found) == NAVIGATION | {"bag_player"}
    # No state of another flight: that of the vehicle lies where its config says.
    expected = {"vehicle": "ground", "checkpoint": "", "use_sim_time": True, "autostart": True}
    assert parameters(found["fusion"]) == expected
    assert parameters(found["bag_player"]) == {"bag": "/b", "rate": "2", "skip_topics": "/a /b", "gps": "until:30"}
    assert runner.stop() == 0


def test_replay_takes_a_checkpoint_that_is_named(folder, background):
    found, runner = start(background, folder / "replay.launch.py", "bag:=/b", "checkpoint:=/c", count=4)
    assert parameters(found["fusion"])["checkpoint"] == "/c"
    assert runner.stop() == 0


def test_end_of_the_flight_ends_the_launch(folder, background, tmp_path):
    simulator = folder.parents[2] / "lib" / "geo_nav" / "simulator"
    simulator.write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/landed ]; do sleep 0.02; done\n")
    found, runner = start(background, folder / "simulation.launch.py", "site:=/s", count=3)
    assert parameters(found["fusion"])["checkpoint"] == ""
    (tmp_path / "landed").touch()
    assert runner.process.wait(60.0) == 0
    assert "shutting down: the flight has ended" in runner.output


def test_node_that_cannot_be_brought_up_ends_the_launch(folder, background):
    (folder.parents[2] / "lib" / "geo_nav" / "fusion").write_text("#!/bin/sh\nexit 2\n")
    runner = background(folder / "aerial.launch.py")
    assert runner.process.wait(60.0) == 2
    assert "shutting down: fusion-3 cannot be brought up" in runner.output


def test_node_that_crashed_is_brought_up_again(folder, background, tmp_path):
    fusion = folder.parents[2] / "lib" / "geo_nav" / "fusion"
    working = fusion.rename(fusion.with_name("working"))
    mark = tmp_path / "crashed"
    fusion.write_text(f'#!/bin/sh\n[ -e {mark} ] && exec {working} "$@"\n> {mark}\nexit 1\n')
    fusion.chmod(0o755)
    found, runner = start(background, folder / "aerial.launch.py", count=3)
    assert set(found) == {"site_server", "camera_registration", "working"}
    assert runner.output.count("[fusion-3]: process started") == 2
    assert runner.stop() == 0


@pytest.mark.parametrize("name", ["aerial", "ground", "simulation", "replay"])
def test_every_argument_is_described(folder, name):
    text = describe_arguments(folder / f"{name}.launch.py")
    assert "'image_topic':" in text
    assert "no description given" not in text
