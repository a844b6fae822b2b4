"""A simulated log in the form of the real ones."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from fusion_helpers import CONFIG, FRAME, World
from geo_nav.evaluation.inertial.record import Attitudes, Fixes, Imu, Record

SIGMAS = np.array([0.8, 0.8, 1.2])


def simulated_record(seed: int = 0, duration: float = 90.0, rate: float = 100.0, velocities: bool = True) -> Record:
    """The figure of eight of the fusion tests with 5 GPS fixes a second, white by their sigmas."""
    world = World(seed=seed, duration=duration, rate=rate)
    rng = np.random.default_rng([seed, 1])
    imu = Imu(
        world.stamps,
        np.array([s.acceleration for s in world.imu]),
        np.array([s.angular_velocity for s in world.imu]),
    )
    stamps = np.arange(0.1013, duration - 0.1, 0.2)
    positions = world.flight.position(stamps) + rng.normal(0.0, SIGMAS, (len(stamps), 3))
    velocity = world.flight.velocity(stamps) + rng.normal(0.0, 0.5, (len(stamps), 3))
    attitude = world.flight.rotation(stamps) * Rotation.from_rotvec(rng.normal(0.0, 0.03, (len(stamps), 3)))
    return Record(
        name="simulated",
        frame=FRAME,
        imu=imu,
        fixes=Fixes(stamps, positions, SIGMAS, velocity if velocities else None),
        attitudes=Attitudes(stamps, attitude),
        config=CONFIG.model_copy(update={"gps_correlation_time": 0.0}),
        start_seconds=10.0,
    )
