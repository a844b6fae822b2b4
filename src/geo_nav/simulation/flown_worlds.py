"""Other flown worlds over one survey's site: the seasons, lights and towns that conditions are flown in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geo_nav.simulation.condition_epochs import LOW_SUN, OVERCAST_DAY, SAME_DAY, WINTER
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.epoch_files import write_epoch
from geo_nav.simulation.epochs import FLIGHT, Epoch
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.paint import Patterns, make_patterns
from geo_nav.simulation.plan import WorldPlan, plan_world
from geo_nav.simulation.rebuilding import rebuild
from geo_nav.simulation.street_world import write_street_world
from geo_nav.simulation.surface import Surface, make_surface
from geo_nav.simulation.world import Progress, World, generate_world

Writer = Callable[[SimulationConfig, WorldPlan, Surface, Patterns, Path, Callable[[float], None]], None]

FLOWN_VERSION = 1
"""Raised whenever one of these worlds would look otherwise; part of its folder's name."""


@dataclass(frozen=True, eq=False)
class _EpochWriter:
    """Writes a whole site in another epoch, its town changed first where ``change`` says how."""

    epoch: Epoch
    change: Callable[[WorldPlan], WorldPlan] | None = None

    def __call__(
        self,
        config: SimulationConfig,
        plan: WorldPlan,
        surface: Surface,
        patterns: Patterns,
        folder: Path,
        report: Callable[[float], None],
    ) -> None:
        plan = self.change(plan) if self.change else plan
        write_epoch(config, plan, surface, patterns, self.epoch, config.flown_resolution, folder, report)


_WRITERS: dict[str, Writer] = {
    "same_day": _EpochWriter(SAME_DAY),
    "low_sun": _EpochWriter(LOW_SUN),
    "winter": _EpochWriter(WINTER),
    "overcast": _EpochWriter(OVERCAST_DAY),
    "rebuilt": _EpochWriter(FLIGHT, rebuild),
    "street": write_street_world,
}
FLOWN_WORLDS = tuple(_WRITERS)
"""Names of the flown worlds beside the flight's own."""


def generate_flown(config: SimulationConfig, name: str, progress: Progress | None = None) -> World:
    """The survey's site with another flown world, from the cache or made now.

    It is kept within the world's own folder, which is made first where it is missing.

    Args:
        config: of the world, and where worlds are kept.
        name: one of :data:`FLOWN_WORLDS`.
        progress: as of :func:`~geo_nav.simulation.generate_world`.

    Raises:
        SimulationError: there is no such world, or it cannot be written.
    """
    if name not in _WRITERS:
        raise SimulationError(f"there is no flown world '{name}': use one of {', '.join(FLOWN_WORLDS)}")
    world = generate_world(config, progress)
    folder = world.folder / f"{name}_v{FLOWN_VERSION}"
    flown = World(world.folder, world.site_yaml, folder / "site.yaml")
    if flown.flown_yaml.is_file():
        return flown
    report = progress or (lambda _what, _share: None)
    report(name, 0.0)
    plan = plan_world(config)
    surface, patterns = make_surface(plan), make_patterns(plan)
    try:
        # Made aside and moved, so that an interrupted run leaves no half world behind.
        with tempfile.TemporaryDirectory(dir=world.folder, prefix=".making_") as making:
            part = Path(making) / name
            part.mkdir()
            _WRITERS[name](config, plan, surface, patterns, part, lambda share: report(name, share))
            part.rename(folder)
    except OSError as error:
        if flown.flown_yaml.is_file():
            # Another process made the same world meanwhile.
            return flown
        raise SimulationError(f"the flown world '{name}' cannot be written to {folder}: {error}") from error
    return flown
