"""A simulated flight as a bag: complete, readable, and the same from run to run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.messages import image_format
from geo_nav.evaluation.simulated_bag import EPOCH, write_simulated_bag
from geo_nav.simulation import Simulation, SimulationConfig

DURATION, CUT = 5.0, 3.0


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    worlds = str(tmp_path_factory.mktemp("worlds"))
    config = SimulationConfig(
        seed=4, world_size=400.0, world_dir=worlds, duration=DURATION, gps_outage_start=CUT, camera_rate=1.0
    )
    return Simulation(config)


def contents(bag: Path) -> list[tuple[str, int, bytes]]:
    with AnyReader([bag]) as reader:
        return [(c.topic, received, bytes(data)) for c, received, data in reader.messages()]


@pytest.mark.parametrize(("images", "topic"), [("raw", "/camera/image_raw"), ("png", "/camera/image_raw/compressed")])
def test_every_sensor_is_in_the_bag(simulation: Simulation, tmp_path: Path, images: str, topic: str) -> None:
    told: list[int] = []
    write_simulated_bag(simulation, tmp_path, image_format(images), told.append)
    assert told == [1, 2, 3, 4, 5]
    with AnyReader([tmp_path / "bag"]) as reader:
        counts = {name: info.msgcount for name, info in reader.topics.items()}
        assert counts == {
            "/tf_static": 1, "/simulation/gps_cut": 1, "/imu/data": 1001, "/gps/fix": 15, "/simulation/truth": 250,
            "/camera/camera_info": 5, topic: 5,
        }  # fmt: skip
        frames = [c for c in reader.connections if c.topic == topic]
        arrivals = []
        for connection, received, data in reader.messages(frames):
            message = reader.deserialize(data, connection.msgtype)
            arrivals.append(received * 1e-9 - message.header.stamp.sec - message.header.stamp.nanosec * 1e-9)
        assert all(0.05 < late < 0.11 for late in arrivals)
        assert message.header.stamp.sec == EPOCH + 4.0
        data = message.data
        pixels = data.reshape(480, 640, 3) if images == "raw" else cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert pixels.shape == (480, 640, 3)
        assert pixels.std() > 5.0


def test_two_bags_of_a_seed_are_equal(simulation: Simulation, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_simulated_bag(simulation, tmp_path / name, "jpeg")
    assert contents(tmp_path / "a" / "bag") == contents(tmp_path / "b" / "bag")


def test_frames_of_an_unknown_format_are_refused() -> None:
    with pytest.raises(EvaluationError, match="raw, jpeg, png"):
        image_format("webp")


def test_stamps_increase_with_the_flight(simulation: Simulation, tmp_path: Path) -> None:
    write_simulated_bag(simulation, tmp_path, "jpeg")
    received = np.array([t for _, t, _ in contents(tmp_path / "bag")])
    assert (np.diff(received) >= 0).all()
    assert received[0] * 1e-9 == pytest.approx(EPOCH)
    assert received[-1] * 1e-9 == pytest.approx(EPOCH + DURATION, abs=0.2)
