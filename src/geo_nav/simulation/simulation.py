"""Everything that a simulated flight consists of, behind one door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.fusion.types import ImuSample
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.rendering import Camera
from geo_nav.simulation.aiding import AttitudeReference, GpsReceiver
from geo_nav.simulation.camera import camera_mounting, make_camera
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.flight import make_flight
from geo_nav.simulation.imu import ImuRecord, synthesise_imu
from geo_nav.simulation.plan import plan_world
from geo_nav.simulation.trajectory import FlightSpline, Motion
from geo_nav.simulation.world import Progress, World, generate_world, world_folder

Array = npt.NDArray[np.float64]


class Simulation:
    """A world, a flight over it and its sensors; times are seconds from the start of the flight.

    Only :attr:`site_yaml`, :attr:`camera` and :attr:`T_base_camera` and the sensors' output are for an estimator;
    :meth:`truth` and the flown world are for the evaluation alone.

    Args:
        config: all settings; the world is generated, or taken from the cache.
        progress: of the generation, see :func:`~geo_nav.simulation.generate_world`.

    Raises:
        SimulationError: the world cannot be written, or the flight cannot be flown over it.

    Attributes:
        config: all settings.
        world: the files of the world.
        site_frame: local frame of `map`.
        camera: calibration of the camera.
        T_base_camera: its mounting.
        flight: the true motion.
        imu_record: every IMU sample of the flight.
    """

    def __init__(self, config: SimulationConfig, progress: Progress | None = None) -> None:
        self.config = config
        self.world: World = generate_world(config, progress)
        plan = plan_world(config)
        self.site_frame: LocalFrame = plan.frame
        self.camera: Camera = make_camera(config)
        self.T_base_camera: Pose = camera_mounting(config)
        self.flight: FlightSpline = make_flight(plan, config)
        self.imu_record: ImuRecord = synthesise_imu(
            self.flight, self.site_frame, config, np.random.default_rng([config.seed, 70])
        )
        self._gps = GpsReceiver(self.flight, config, np.random.default_rng([config.seed, 71]))
        self._attitude = AttitudeReference(self.flight, config, np.random.default_rng([config.seed, 72]))
        spread = config.camera_latency_spread
        self._delays = config.camera_latency + np.random.default_rng([config.seed, 73]).uniform(
            -spread, spread, self.frame_count
        )

    @property
    def site_yaml(self) -> Path:
        """Descriptor of the site model, all that an estimator may know of the world."""
        return self.world.site_yaml

    @property
    def imu_count(self) -> int:
        """Number of IMU samples of the flight."""
        return len(self.imu_record)

    @property
    def frame_count(self) -> int:
        """Number of camera frames of the flight; frame k is exposed at ``k / camera_rate``."""
        return int(np.ceil(self.config.duration * self.config.camera_rate - 1e-9))

    def frame_delay(self, k: int) -> float:
        """Seconds from the exposure of frame ``k`` to its arrival: 60 to 100 ms as configured by default.

        Raises:
            SimulationError: there is no such frame.
        """
        if not 0 <= k < self.frame_count:
            raise SimulationError(f"the flight has {self.frame_count} frames, there is no number {k}")
        return max(float(self._delays[k]), 0.0)

    def imu(self, k: int) -> ImuSample:
        """IMU sample number ``k``, its stamp in seconds of the flight."""
        return self.imu_record.sample(k)

    def attitude(self, time: float) -> tuple[Array, Array]:
        """The autopilot's attitude: rotation (3, 3) of T_map_base, covariance (3, 3) about the fixed axes, rad²."""
        return self._attitude.at(time)

    def gps(self, time: float) -> tuple[Array, Array]:
        """A GPS fix: position (3,) in `map`, m, and its covariance (3, 3), m².

        Raises:
            SimulationError: GPS has been lost by then, or the time lies outside the flight.
        """
        if time >= self.config.gps_outage_start:
            lost = self.config.gps_outage_start
            raise SimulationError(f"there is no GPS at {time:.2f} s: it was lost at {lost:.2f} s")
        return self._gps.fix(time)

    def truth(self, time: float) -> Motion:
        """The true motion of `base_link` at a time, s."""
        return self.flight.motion(time)


def ensure_world(config: SimulationConfig, quiet: bool = False) -> Path:
    """The `site.yaml` of a configuration's world, generated with a progress bar unless it is there already.

    Raises:
        SimulationError: the world cannot be written.
    """
    if (world_folder(config) / "world.json").is_file():
        quiet = True
    with world_progress(quiet) as progress:
        return generate_world(config, progress).site_yaml


@contextmanager
def world_progress(quiet: bool = False) -> Iterator[Progress | None]:
    """A progress bar for the making of a world; nothing when ``quiet``."""
    if quiet:
        yield None
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as ProgressBar

    with ProgressBar(TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("generating the world", total=1.0)
        yield lambda what, share: bar.update(task, description=f"world: {what}", completed=share)
