"""A simulated flight as a recorded bag, images and truth in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from geo_nav.evaluation import messages
from geo_nav.evaluation.flight_bag import (
    CAMERA_FRAME,
    CAMERA_INFO,
    GPS,
    GPS_CUT,
    IMAGE,
    IMU,
    STATIC_TRANSFORMS,
    TRUTH,
)
from geo_nav.geodesy import Pose
from geo_nav.simulation import CameraSimulator, Simulation

EPOCH = 1_700_000_000.0
"""Stamp of the flight's begin, s: a time of the present, as in a real bag."""

_TRUTH_RATE = 50.0
_SENSOR_DELAY = 0.002
_JPEG_QUALITY = 90

Timed = tuple[float, str, Any]


def write_simulated_bag(
    simulation: Simulation,
    path: Path,
    compressed: bool = False,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Writes a flight as the drivers of its sensors would be recorded, and its truth.

    Args:
        simulation: the flight.
        path: folder of the bag; it may not exist yet.
        compressed: images as JPEG on ``/camera/image_raw/compressed`` (sensor_msgs/CompressedImage).
        progress: told how many frames have been written.

    Raises:
        EvaluationError: the folder exists.
    """
    mounting = {("base_link", CAMERA_FRAME): simulation.T_base_camera}
    cut = EPOCH + simulation.config.gps_outage_start
    start: list[Timed] = [
        (0.0, STATIC_TRANSFORMS, messages.transforms(EPOCH, mounting)),
        (0.0, GPS_CUT, messages.message("std_msgs/msg/Float64", data=cut)),
    ]
    camera = CameraSimulator(simulation)
    try:
        streams = (
            iter(start),
            _inertial(simulation),
            _gps(simulation),
            _truth(simulation),
            _frames(simulation, camera, compressed, progress),
        )
        with messages.BagWriter(path) as bag:
            for received, topic, content in merge(*streams, key=lambda item: item[0]):
                bag.write(topic, content, EPOCH + received, latched=topic in (STATIC_TRANSFORMS, GPS_CUT))
    finally:
        camera.close()


def _inertial(simulation: Simulation) -> Iterator[Timed]:
    for k in range(simulation.imu_count):
        sample = simulation.imu(k)
        rotation, covariance = simulation.attitude(sample.stamp)
        content = messages.imu(
            EPOCH + sample.stamp,
            sample.acceleration,
            sample.angular_velocity,
            Pose(rotation, np.zeros(3)),
            covariance,
        )
        yield sample.stamp + _SENSOR_DELAY, IMU, content


def _gps(simulation: Simulation) -> Iterator[Timed]:
    config = simulation.config
    for t in np.arange(0.0, min(config.gps_outage_start, config.duration), 1.0 / config.gps_rate):
        position, covariance = simulation.gps(float(t))
        latitude, longitude, height = (float(x) for x in simulation.site_frame.to_geodetic(position))
        yield float(t) + _SENSOR_DELAY, GPS, messages.nav_sat_fix(EPOCH + t, latitude, longitude, height, covariance)


def _truth(simulation: Simulation) -> Iterator[Timed]:
    for t in np.arange(0.0, simulation.config.duration, 1.0 / _TRUTH_RATE):
        motion = simulation.truth(float(t))
        content = messages.odometry(EPOCH + t, motion.T_map_base, motion.velocity, motion.angular_velocity)
        yield float(t) + _SENSOR_DELAY, TRUTH, content


def _frames(
    simulation: Simulation, camera: CameraSimulator, compressed: bool, progress: Callable[[int], object] | None
) -> Iterator[Timed]:
    for k in range(simulation.frame_count):
        t = k / simulation.config.camera_rate
        received, stamp = t + simulation.frame_delay(k), EPOCH + t
        picture = camera.frame(t)
        yield received, CAMERA_INFO, messages.camera_info(stamp, CAMERA_FRAME, simulation.camera)
        if compressed:
            _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            content = messages.message(
                "sensor_msgs/msg/CompressedImage",
                header=messages.header(stamp, CAMERA_FRAME),
                format="rgb8; jpeg compressed bgr8",
                data=jpeg.ravel(),
            )
            yield received, f"{IMAGE}/compressed", content
        else:
            yield received, IMAGE, messages.image(stamp, CAMERA_FRAME, picture)
        if progress is not None:
            progress(k + 1)
