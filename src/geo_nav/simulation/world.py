"""Generates a world: the survey's site model and the flown world, as files, once for each seed and size."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geo_nav.simulation.config import WORLD_FIELDS, SimulationConfig
from geo_nav.simulation.epoch_files import write_epoch
from geo_nav.simulation.epochs import FLIGHT, SURVEY
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.paint import make_patterns
from geo_nav.simulation.plan import plan_world
from geo_nav.simulation.surface import make_surface

Progress = Callable[[str, float], None]

VERSION = 5
"""Raised whenever the same seed would give another world; part of the cache's key."""


@dataclass(frozen=True)
class World:
    """A generated world on disk.

    Attributes:
        folder: that holds all of it.
        site_yaml: descriptor of the site model that an estimator may have (the survey's epoch).
        flown_yaml: descriptor of the world that the camera flies in; the simulator's alone.
    """

    folder: Path
    site_yaml: Path
    flown_yaml: Path


def world_folder(config: SimulationConfig) -> Path:
    """Where the world of a configuration is kept: named by its seed, its size and a hash of all that makes it."""
    content = {name: getattr(config, name) for name in WORLD_FIELDS} | {"version": VERSION}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
    return Path(config.world_dir) / f"seed{config.seed}_{config.world_size:g}m_{key}"


def generate_world(config: SimulationConfig, progress: Progress | None = None) -> World:
    """The world of a configuration, from the cache or made now.

    Args:
        config: what to generate and where to keep it.
        progress: called with what is being done and the share done, 0…1.

    Raises:
        SimulationError: the folder cannot be written.
    """
    folder = world_folder(config)
    world = World(folder, folder / "site" / "site.yaml", folder / "flown" / "site.yaml")
    if (folder / "world.json").is_file():
        return world
    report = progress or (lambda _what, _share: None)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Made aside and moved, so that an interrupted run leaves no half world behind.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making_") as making:
            part = Path(making) / "world"
            _generate(config, part, report)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    except OSError as error:
        if (folder / "world.json").is_file():
            # Another process made the same world meanwhile.
            return world
        raise SimulationError(f"the world cannot be written to {folder}: {error}") from error
    report("done", 1.0)
    return world


def _generate(config: SimulationConfig, folder: Path, report: Progress) -> None:
    report("plan", 0.0)
    plan = plan_world(config)
    surface = make_surface(plan)
    patterns = make_patterns(plan)
    for epoch, resolution, name, share in (
        (SURVEY, config.orthophoto_resolution, "site", (0.1, 0.4)),
        (FLIGHT, config.flown_resolution, "flown", (0.4, 1.0)),
    ):
        target = folder / name
        target.mkdir(parents=True)
        write_epoch(config, plan, surface, patterns, epoch, resolution, target, _span(report, name, *share))
    settings = {field: getattr(config, field) for field in WORLD_FIELDS}
    (folder / "world.json").write_text(json.dumps(settings | {"version": VERSION}, indent=2), encoding="utf-8")


def _span(report: Progress, name: str, start: float, end: float) -> Callable[[float], None]:
    return lambda share: report(name, start + (end - start) * share)
