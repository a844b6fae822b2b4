"""Generates a world: the survey's site model and the flown world, as files, once for each seed and size."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.simulation.building_mesh import building_mesh
from geo_nav.simulation.canvas import blocks
from geo_nav.simulation.config import WORLD_FIELDS, SimulationConfig
from geo_nav.simulation.epochs import FLIGHT, SURVEY, Epoch
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.export import write_dem, write_descriptor, write_mesh, write_orthophoto
from geo_nav.simulation.features import make_features
from geo_nav.simulation.noise import Raster, fractal_noise
from geo_nav.simulation.paint import GroundPainter, Patterns, make_patterns
from geo_nav.simulation.plan import WorldPlan, plan_world
from geo_nav.simulation.surface import CELL_SIZE, Surface, add_buildings, cast_shadow, cosine_to_sun, make_surface
from geo_nav.simulation.town import place_vehicles

Image = npt.NDArray[np.uint8]
Progress = Callable[[str, float], None]

VERSION = 5
"""Raised whenever the same seed would give another world; part of the cache's key."""

SURVEY_SIGMA = (0.15, 0.15, 0.15)
"""Error that the survey states of itself, east north up, m."""
_DEM_ERROR, _ORTHOPHOTO_ERROR, _BUILDING_ERROR = 0.07, 0.10, 0.08
_BLOCK = 800


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
        _write_epoch(config, plan, surface, patterns, epoch, resolution, target, _span(report, name, *share))
    settings = {field: getattr(config, field) for field in WORLD_FIELDS}
    (folder / "world.json").write_text(json.dumps(settings | {"version": VERSION}, indent=2), encoding="utf-8")


def _span(report: Progress, name: str, start: float, end: float) -> Callable[[float], None]:
    return lambda share: report(name, start + (end - start) * share)


def _write_epoch(
    config: SimulationConfig,
    plan: WorldPlan,
    surface: Surface,
    patterns: Patterns,
    epoch: Epoch,
    resolution: float,
    folder: Path,
    report: Callable[[float], None],
) -> None:
    rng = np.random.default_rng([plan.seed, 50 + epoch.index])
    surveyed = epoch is SURVEY
    standing = [b for b in plan.buildings if b.epochs[epoch.index]]
    vehicles = place_vehicles(rng, plan.lines, plan.size)
    bare = surface.ground + surface.canopy
    heights = add_buildings(bare, standing, vehicles, plan)
    shade, shadow = cosine_to_sun(heights, epoch), cast_shadow(heights, epoch)
    del heights
    report(0.1)
    painter = GroundPainter(plan, epoch, surface, patterns, make_features(plan, epoch, vehicles), shade, shadow)
    picture = _paint(painter, plan.size, resolution, lambda share: report(0.1 + 0.6 * share))
    if surveyed:
        picture = _survey_picture(picture, rng, resolution)
    write_orthophoto(folder / "orthophoto.tif", picture, resolution, plan)
    del picture
    report(0.85)
    write_dem(folder / "dem.tif", _elevation(bare, config.dem_resolution, rng, surveyed), config.dem_resolution, plan)
    offsets = rng.normal(0.0, _BUILDING_ERROR if surveyed else 0.0, (len(standing), 3))
    mesh = building_mesh(standing, epoch, 0.6 * resolution, shadow, plan.size, offsets)
    if len(mesh.faces):
        write_mesh(folder / "town.glb", mesh)
    sigma = SURVEY_SIGMA if surveyed else (0.01, 0.01, 0.01)
    write_descriptor(folder / "site.yaml", plan, f"simulated-{plan.seed}-{epoch.name}", sigma, bool(len(mesh.faces)))
    report(1.0)


def _paint(painter: GroundPainter, size: float, resolution: float, report: Callable[[float], None]) -> Image:
    """The whole ground (N, N, 3), block by block on two threads."""
    cells = round(size / resolution)
    picture = np.empty((cells, cells, 3), np.uint8)
    todo = blocks(size, resolution, _BLOCK)
    with ThreadPoolExecutor(2) as pool:
        for done, (block, painted) in enumerate(zip(todo, pool.map(painter.paint, todo), strict=True)):
            picture[block.row : block.row + block.rows, block.column : block.column + block.columns] = painted
            report((done + 1) / len(todo))
    return picture


def _survey_picture(picture: Image, rng: np.random.Generator, resolution: float) -> Image:
    """What photogrammetry makes of the ground: places off by a decimetre, brightness uneven between flight lines."""
    cells = len(picture)
    small = (cells // 8 + 2, cells // 8 + 2)
    scale = 8 * resolution
    shift = [fractal_noise(rng, small, (300.0 / scale, 90.0 / scale), (1.0, 0.7)) for _ in range(2)]
    gain = 1.0 + 0.025 * fractal_noise(rng, small, (420.0 / scale, 150.0 / scale), (1.0, 0.5))
    out = np.empty_like(picture)
    axis = np.arange(cells, dtype=np.float32)
    for strip in _strips(cells, 512):
        rows = axis[strip][:, None]
        column = np.broadcast_to(axis / 8, (len(rows), cells)).astype(np.float32)
        row = np.broadcast_to(rows / 8, (len(rows), cells)).astype(np.float32)
        dx, dy, tone = (cv2.remap(field, column, row, cv2.INTER_LINEAR) for field in (*shift, gain))
        error = np.float32(_ORTHOPHOTO_ERROR / resolution)
        moved = cv2.remap(
            picture, axis + error * dx, rows + error * dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        out[strip] = np.clip(moved * tone[..., None] + 0.5, 0, 255)
    return out


def _strips(rows: int, height: int) -> Iterator[slice]:
    for first in range(0, rows, height):
        yield slice(first, min(first + height, rows))


def _elevation(bare: Raster, resolution: float, rng: np.random.Generator, surveyed: bool) -> Raster:
    """Ground and trees as an elevation raster, with the survey's smooth error where it is the survey's."""
    cells = round(len(bare) * CELL_SIZE / resolution)
    low = np.float32(bare.min())
    if surveyed:
        # Dense matching rounds crowns off.
        bare = cv2.GaussianBlur(bare, (0, 0), 0.7 / CELL_SIZE)
    dem = cv2.resize(bare - low, (cells, cells), interpolation=cv2.INTER_AREA) + low
    if surveyed:
        wavelengths = (250.0 / resolution, 60.0 / resolution, 8.0 / resolution)
        dem += np.float32(_DEM_ERROR) * fractal_noise(rng, (cells, cells), wavelengths, (1.0, 0.5, 0.3))
    return np.asarray(dem, np.float32)
