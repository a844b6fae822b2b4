"""The frame sets of the simulated world: its conditions, and the demo's flight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from geo_nav.evaluation.bench.frame_sets import BenchFrame, Image
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.geodesy import Pose
from geo_nav.registration import RegistrationConfig
from geo_nav.rendering import Camera
from geo_nav.simulation import CameraSimulator, Simulation, SimulationConfig, ensure_world
from geo_nav.site import SiteModel, load_site

FLIGHT = "flight"
"""The set of the demo's flight."""
BARE_FIELDS = "bare_fields"
"""The set of its stretch over bare fields."""
_BARE_STRETCH = (230.0, 280.0)
"""When the flight crosses them, s."""
_DURATION = 600.0


class _ConditionFrame(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def image(self) -> Image: ...

    @property
    def T_map_camera(self) -> Pose: ...


class _Condition(Protocol):
    name: str
    description: str
    site_yaml: Path
    camera: Camera

    def frames(self, count: int) -> Iterator[_ConditionFrame]: ...

    def close(self) -> None: ...


class ConditionSet:
    """A condition of :mod:`geo_nav.simulation.conditions`.

    Args:
        condition: open; closed with the set.
    """

    def __init__(self, condition: _Condition) -> None:
        self._condition = condition
        self.name = condition.name
        self.description = condition.description
        self.camera = condition.camera
        self.config = RegistrationConfig()
        self._frames: dict[int, list[BenchFrame]] = {}

    def load_site(self) -> SiteModel:
        """See :class:`~geo_nav.evaluation.bench.frame_sets.FrameSet`."""
        return load_site(self._condition.site_yaml)

    def frames(self, count: int) -> Sequence[BenchFrame]:
        """See :class:`~geo_nav.evaluation.bench.frame_sets.FrameSet`; kept, because they are rendered."""
        if count not in self._frames:
            made = self._condition.frames(count)
            self._frames[count] = [BenchFrame(f.name, i, f.T_map_camera, f.image) for i, f in enumerate(made)]
        return self._frames[count]

    def places(self) -> Sequence[Pose]:
        """Those of the frames asked for so far."""
        return [frame.T_map_camera for frames in self._frames.values() for frame in frames]

    def close(self) -> None:
        """Closes the condition."""
        self._condition.close()


class FlightSet:
    """Frames of the demo's flight, or of its stretch over bare fields.

    Args:
        bare: only the stretch over bare fields.
        seed: of the world.
        worlds: folder of the worlds; the flight's is generated where it is missing.
    """

    def __init__(self, bare: bool, seed: int, worlds: Path) -> None:
        self.name = BARE_FIELDS if bare else FLIGHT
        self._begin, self._end = _BARE_STRETCH if bare else (0.0, _DURATION)
        self.description = "the demo's flight" + (f", {self._begin:g} to {self._end:g} s: bare fields" if bare else "")
        config = SimulationConfig(seed=seed, world_dir=str(worlds), duration=_DURATION)
        ensure_world(config, quiet=True)
        self._simulation = Simulation(config)
        self._simulator = CameraSimulator(self._simulation)
        self.camera = self._simulator.camera
        self.config = RegistrationConfig()
        self._frames: dict[int, list[BenchFrame]] = {}

    def load_site(self) -> SiteModel:
        """See :class:`~geo_nav.evaluation.bench.frame_sets.FrameSet`."""
        return load_site(self._simulation.site_yaml)

    def frames(self, count: int) -> Sequence[BenchFrame]:
        """See :class:`~geo_nav.evaluation.bench.frame_sets.FrameSet`; evenly spaced in time."""
        if count not in self._frames:
            times = self._begin + (np.arange(count) + 0.5) * (self._end - self._begin) / count
            self._frames[count] = [
                BenchFrame(f"{t:05.1f} s", i, self._simulator.pose(float(t)), self._simulator.frame(float(t)))
                for i, t in enumerate(times)
            ]
        return self._frames[count]

    def places(self) -> Sequence[Pose]:
        """One a second."""
        return [self._simulator.pose(float(t)) for t in np.arange(self._begin, self._end, 1.0)]

    def close(self) -> None:
        """Frees the simulated camera."""
        self._simulator.close()


def open_condition_set(name: str, seed: int, worlds: Path) -> ConditionSet:
    """A condition by name.

    Raises:
        EvaluationError: there is none of this name.
        GeoNavError: its world cannot be made.
    """
    from geo_nav.simulation.conditions import condition_names, open_condition

    if name not in condition_names():
        raise EvaluationError(f"there is no condition '{name}': use one of {', '.join(condition_names())}")
    return ConditionSet(open_condition(name, seed, worlds, quiet=True))
