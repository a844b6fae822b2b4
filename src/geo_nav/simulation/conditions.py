"""Nine conditions that a site model of May is flown in: each differs from plain flight by what its name says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.rendering import Camera, RenderingConfig
from geo_nav.simulation.atmosphere import CLEAR, DUSK, FOG, OVERCAST, Atmosphere
from geo_nav.simulation.camera import CameraSimulator
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.flight import make_flight
from geo_nav.simulation.flown_worlds import generate_flown
from geo_nav.simulation.plan import WorldPlan, plan_world
from geo_nav.simulation.simulation import world_progress
from geo_nav.simulation.street_drive import StreetDrive
from geo_nav.simulation.trajectory import Trajectory
from geo_nav.simulation.vibration import ShakenTrajectory
from geo_nav.simulation.world import World, generate_world


@dataclass(frozen=True, eq=False)
class _Recipe:
    """What makes a condition.

    Attributes:
        description: one sentence.
        flown: name of the flown world (:data:`~geo_nav.simulation.FLOWN_WORLDS`); the flight's own, of September,
            when None.
        air: that the camera looks through.
        settings: of the camera, where they differ from :class:`SimulationConfig`'s.
        shaking: 1 sigma of the angular rate that vibration adds to every axis, rad/s.
        driven: along the streets rather than flown.
        anisotropy: of the renderer; oblique views need it.
    """

    description: str
    flown: str | None = None
    air: Atmosphere = CLEAR
    settings: Mapping[str, float] = field(default_factory=dict)
    shaking: float = 0.0
    driven: bool = False
    anisotropy: float = 2.0


_SHAKING_FREQUENCY = 4.0
"""Of the vibration that blurs, Hz: an exposure of 30 ms is then an eighth of a period, so that streaks are straight."""

_RECIPES = {
    "same_day": _Recipe(
        "The survey's own day and light; only vehicles, fine texture, resolution and the sensor differ.", "same_day"
    ),
    "low_sun": _Recipe(
        "The survey's day at evening: the sun 12 degrees up in the west-north-west, shadows long and turned.", "low_sun"
    ),
    "winter": _Recipe(
        "January: three fifths of the open ground under snow, broadleaf trees bare, pale light through thin cloud.",
        "winter",
        OVERCAST,
    ),
    "fog": _Recipe(
        f"September in fog: contrast fades with distance after Koschmieder, visibility {FOG.visibility:g} m.",
        "overcast",
        FOG,
    ),
    "dusk": _Recipe(
        "September half an hour after sunset: blue light, 20 ms exposure, high gain with strong noise.",
        "overcast",
        DUSK,
        {"exposure_time": 0.02, "full_well": 350.0, "read_noise": 6.0},
    ),
    "motion_blur": _Recipe(
        "September, 30 ms exposure on an airframe that rocks at 4 Hz: streaks of several to some 15 pixels.",
        settings={"exposure_time": 0.03},
        shaking=0.26,
    ),
    "oblique": _Recipe(
        "September, the optical axis 45 degrees below the horizon.", settings={"camera_tilt": 45.0}, anisotropy=4.0
    ),
    "changed_buildings": _Recipe(
        "September of a later year: half of the surveyed buildings gone, replaced or of another height.", "rebuilt"
    ),
    "street": _Recipe(
        "September in the town, 1.7 to 2.5 m above the street, looking along it.",
        "street",
        settings={"camera_tilt": 89.0},
        driven=True,
        anisotropy=8.0,
    ),
}


def condition_names() -> tuple[str, ...]:
    """The names that :func:`open_condition` takes."""
    return tuple(_RECIPES)


@dataclass(frozen=True, eq=False)
class ConditionFrame:
    """A frame and the truth about it.

    Attributes:
        name: of the frame: its condition and its stamp.
        stamp: middle of its exposure, s from the start of the flight or drive.
        image: (H, W, 3) uint8 RGB, distorted as :attr:`Condition.camera` says.
        T_map_camera: where it was really taken from.
    """

    name: str
    stamp: float
    image: npt.NDArray[np.uint8]
    T_map_camera: Pose


@dataclass(frozen=True, eq=False)
class _Scene:
    """What :class:`CameraSimulator` films."""

    config: SimulationConfig
    world: World
    flight: Trajectory


class Condition:
    """One condition, ready to take frames; to be used in one thread, and closed, as its renderer must be.

    Args:
        name: one of :func:`condition_names`.
        config: of the world and the flight; the condition's own settings come on top.
        quiet: no progress bar while a world is made.

    Raises:
        SimulationError: there is no such condition, or its world cannot be made.
        RenderingError: no rendering backend works here.

    Attributes:
        name: of the condition.
        description: one sentence.
        site_yaml: the survey's site model, all that an estimator may know.
        flown_yaml: the world that is filmed; the simulator's alone.
        camera: calibration of the frames.
        atmosphere: the air that it is filmed through.
    """

    def __init__(self, name: str, config: SimulationConfig, quiet: bool = False) -> None:
        if name not in _RECIPES:
            raise SimulationError(f"there is no condition '{name}': use one of {', '.join(_RECIPES)}")
        recipe = _RECIPES[name]
        config = SimulationConfig(**{**config.model_dump(), **recipe.settings})
        self._trajectory = _trajectory(recipe, plan_world(config), config)
        with world_progress(quiet) as progress:
            world = (
                generate_world(config, progress)
                if recipe.flown is None
                else generate_flown(config, recipe.flown, progress)
            )
        self.name, self.description, self.atmosphere = name, recipe.description, recipe.air
        self.site_yaml: Path = world.site_yaml
        self.flown_yaml: Path = world.flown_yaml
        self._camera = CameraSimulator(
            _Scene(config, world, self._trajectory), RenderingConfig(anisotropy=recipe.anisotropy), medium=recipe.air
        )
        self.camera: Camera = self._camera.camera

    def frames(self, count: int) -> Iterator[ConditionFrame]:
        """``count`` frames, evenly over the whole flight or drive; the same ones at every call.

        Raises:
            SimulationError: ``count`` is less than one.
            RenderingError: rendering failed.
        """
        if count < 1:
            raise SimulationError(f"a condition gives one frame or more, asked for {count}")
        start, end = self._trajectory.start, self._trajectory.end
        for k in range(count):
            stamp = start + (end - start) * (k + 0.5) / count
            image = self._camera.frame(stamp)
            yield ConditionFrame(f"{self.name}_{stamp:07.2f}", stamp, image, self._camera.pose(stamp))

    def close(self) -> None:
        """Frees the renderer."""
        self._camera.close()

    def __enter__(self) -> Condition:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _trajectory(recipe: _Recipe, plan: WorldPlan, config: SimulationConfig) -> Trajectory:
    if recipe.driven:
        return StreetDrive(plan)
    flight = make_flight(plan, config)
    if recipe.shaking == 0.0:
        return flight
    return ShakenTrajectory(flight, recipe.shaking, _SHAKING_FREQUENCY, np.random.default_rng([config.seed, 47]))


def open_condition(
    name: str,
    seed: int = 1,
    world_dir: Path | str = "build/worlds",
    world_size: float = 2000.0,
    quiet: bool = False,
) -> Condition:
    """A condition of a world, the world made first where it is missing.

    Args:
        name: one of :func:`condition_names`.
        seed: of the world, the flight and the noise.
        world_dir: where generated worlds are kept.
        world_size: side of the square site, m.
        quiet: no progress bar while a world is made.

    Raises:
        SimulationError: there is no such condition, or its world cannot be made.
        RenderingError: no rendering backend works here.
    """
    return Condition(name, SimulationConfig(seed=seed, world_dir=str(world_dir), world_size=world_size), quiet)
