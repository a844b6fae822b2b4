"""A simulated flight as a recorded one: made without ROS, as fast as frames render, the same from run to run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from heapq import merge
from pathlib import Path

import numpy as np

from geo_nav.evaluation import messages
from geo_nav.evaluation.flight_bag import (
    CAMERA_FRAME,
    CAMERA_INFO,
    GPS,
    GPS_CUT,
    IMAGE,
    IMU,
    SENSOR_DELAY,
    STATIC_TRANSFORMS,
    TRUTH,
    TRUTH_RATE,
    Timed,
)
from geo_nav.evaluation.messages import ImageFormat
from geo_nav.geodesy import Pose
from geo_nav.simulation import CameraSimulator, Simulation

EPOCH = 1_750_000_000.0
"""Stamp of the start of every simulated bag, s: one that is fixed, so that two bags of a seed are the same."""


def write_simulated_bag(
    simulation: Simulation,
    out: Path,
    images: ImageFormat = "jpeg",
    progress: Callable[[int], object] | None = None,
) -> None:
    """Writes `bag/` and `run.json` into ``out``.

    GPS is there until ``simulation.config.gps_outage_start``; where that lies within the flight, `/simulation/gps_cut`
    says when. The bag's receive times are the arrivals: frames come late by the camera's latency.

    Args:
        simulation: the flight and its sensors.
        out: a folder that has no `bag/` yet.
        images: ``raw`` (sensor_msgs/Image), ``jpeg`` or ``png`` (sensor_msgs/CompressedImage).
        progress: told how many frames have been written.

    Raises:
        EvaluationError: there is a bag already.
    """
    out.mkdir(parents=True, exist_ok=True)
    mounting = {("base_link", CAMERA_FRAME): simulation.T_base_camera}
    start: list[Timed] = [(0.0, STATIC_TRANSFORMS, messages.transforms(EPOCH, mounting))]
    cut = simulation.config.gps_outage_start
    if cut < simulation.config.duration:
        start.append((0.0, GPS_CUT, messages.message("std_msgs/msg/Float64", data=EPOCH + cut)))
    streams = (iter(start), _inertial(simulation), _gps(simulation), _truth(simulation), _frames(simulation, images))
    frames = 0
    with messages.BagWriter(out / "bag") as bag:
        for received, topic, content in merge(*streams, key=lambda item: item[0]):
            bag.write(topic, content, EPOCH + received)
            if topic == CAMERA_INFO and progress is not None:
                frames += 1
                progress(frames)
    info = {"name": f"simulated flight, seed {simulation.config.seed}", "site": str(simulation.site_yaml.resolve())}
    (out / "run.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def _inertial(simulation: Simulation) -> Iterator[Timed]:
    for k in range(simulation.imu_count):
        sample = simulation.imu(k)
        rotation, covariance = simulation.attitude(sample.stamp)
        attitude = Pose(rotation, np.zeros(3))
        stamp = EPOCH + sample.stamp
        content = messages.imu(stamp, sample.acceleration, sample.angular_velocity, attitude, covariance)
        yield sample.stamp + SENSOR_DELAY, IMU, content


def _gps(simulation: Simulation) -> Iterator[Timed]:
    config = simulation.config
    for t in np.arange(0.0, min(config.gps_outage_start, config.duration), 1.0 / config.gps_rate):
        position, covariance = simulation.gps(float(t))
        latitude, longitude, height = (float(x) for x in simulation.site_frame.to_geodetic(position))
        content = messages.nav_sat_fix(EPOCH + float(t), latitude, longitude, height, covariance)
        yield float(t) + SENSOR_DELAY, GPS, content


def _truth(simulation: Simulation) -> Iterator[Timed]:
    for t in np.arange(0.0, simulation.config.duration, 1.0 / TRUTH_RATE):
        motion = simulation.truth(float(t))
        content = messages.odometry(EPOCH + float(t), motion.T_map_base, motion.velocity, motion.angular_velocity)
        yield float(t) + SENSOR_DELAY, TRUTH, content


def _frames(simulation: Simulation, images: ImageFormat) -> Iterator[Timed]:
    camera = CameraSimulator(simulation)
    try:
        for k in range(simulation.frame_count):
            t = k / simulation.config.camera_rate
            stamp, received = EPOCH + t, t + simulation.frame_delay(k)
            topic, content = messages.frame(IMAGE, stamp, CAMERA_FRAME, camera.frame(t), images)
            yield received, CAMERA_INFO, messages.camera_info(stamp, CAMERA_FRAME, simulation.camera)
            yield received, topic, content
    finally:
        camera.close()
