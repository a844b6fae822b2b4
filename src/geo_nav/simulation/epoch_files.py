"""One epoch of a world as files: DEM, orthophoto, buildings and descriptor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.simulation.building_mesh import building_mesh
from geo_nav.simulation.canvas import Block, blocks
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.epochs import SURVEY, Epoch
from geo_nav.simulation.export import write_dem, write_descriptor, write_mesh, write_orthophoto
from geo_nav.simulation.features import make_features
from geo_nav.simulation.noise import Raster, fractal_noise
from geo_nav.simulation.paint import GroundPainter, Patterns
from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.surface import CELL_SIZE, Surface, add_buildings, cast_shadow, cosine_to_sun
from geo_nav.simulation.town import Vehicle, place_vehicles

Image = npt.NDArray[np.uint8]
Report = Callable[[float], None]

SURVEY_SIGMA = (0.15, 0.15, 0.15)
"""Error that the survey states of itself, east north up, m."""
FLOWN_SIGMA = (0.01, 0.01, 0.01)
"""Error that the flown world states of itself: it is the truth but for rounding, m."""
_DEM_ERROR, _ORTHOPHOTO_ERROR, _BUILDING_ERROR = 0.07, 0.10, 0.08
_BLOCK = 800
_TWIG_SHADE = 0.45
"""Share of the sun that bare branches keep off the ground."""


def epoch_draws(plan: WorldPlan, epoch: Epoch) -> tuple[np.random.Generator, list[Vehicle]]:
    """The epoch's source of randomness, and its vehicles, which are the first thing drawn from it."""
    rng = np.random.default_rng([plan.seed, 50 + epoch.index])
    return rng, place_vehicles(rng, plan.lines, plan.size)


def write_epoch(
    config: SimulationConfig,
    plan: WorldPlan,
    surface: Surface,
    patterns: Patterns,
    epoch: Epoch,
    resolution: float,
    folder: Path,
    report: Report,
) -> None:
    """Draws an epoch and writes it.

    Args:
        config: resolution of the DEM.
        plan: of the world.
        surface: its heights and trees.
        patterns: of the land.
        epoch: which one; the survey gets a survey's errors.
        resolution: pixel of the orthophoto, m.
        folder: to write to; must exist.
        report: called with the share done, 0…1.
    """
    rng, vehicles = epoch_draws(plan, epoch)
    surveyed = epoch is SURVEY
    standing = [b for b in plan.buildings if b.epochs[epoch.land]]
    bare = surface.ground + in_leaf(surface, epoch)
    heights = add_buildings(bare, standing, vehicles, plan)
    shade, shadow = cosine_to_sun(heights, epoch), cast_shadow(heights, epoch)
    if epoch.leafless:
        crowns = cast_shadow(surface.ground + surface.canopy, epoch)
        shadow = np.maximum(shadow, np.float32(_TWIG_SHADE) * crowns)
    del heights
    report(0.1)
    painter = GroundPainter(plan, epoch, surface, patterns, make_features(plan, epoch, vehicles), shade, shadow)
    picture = paint_blocks(painter, blocks(plan.size, resolution, _BLOCK), lambda share: report(0.1 + 0.6 * share))
    if surveyed:
        picture = _survey_picture(picture, rng, resolution)
    write_orthophoto(folder / "orthophoto.tif", picture, resolution, plan)
    del picture
    report(0.85)
    write_dem(folder / "dem.tif", elevation(bare, config.dem_resolution, rng, surveyed), config.dem_resolution, plan)
    offsets = rng.normal(0.0, _BUILDING_ERROR if surveyed else 0.0, (len(standing), 3))
    mesh = building_mesh(standing, epoch, 0.6 * resolution, shadow, plan.size, offsets)
    meshes = []
    if len(mesh.faces):
        meshes.append("town.glb")
        write_mesh(folder / "town.glb", mesh)
    sigma = SURVEY_SIGMA if surveyed else FLOWN_SIGMA
    write_descriptor(folder / "site.yaml", plan, f"simulated-{plan.seed}-{epoch.name}", sigma, meshes)
    report(1.0)


def in_leaf(surface: Surface, epoch: Epoch) -> Raster:
    """Height of the canopy, m, without the trees whose bare crowns one sees through."""
    if not epoch.leafless:
        return surface.canopy
    return np.where(np.isin(surface.tree_kind, [kind + 1 for kind in epoch.leafless]), np.float32(0.0), surface.canopy)


def paint_blocks(painter: GroundPainter, todo: Sequence[Block], report: Report) -> Image:
    """The rectangle of ground that blocks cover, (rows, columns, 3), painted on two threads."""
    top, left = min(b.row for b in todo), min(b.column for b in todo)
    rows, columns = max(b.row + b.rows for b in todo) - top, max(b.column + b.columns for b in todo) - left
    picture = np.empty((rows, columns, 3), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        for done, (block, painted) in enumerate(zip(todo, pool.map(painter.paint, todo), strict=True)):
            row, column = block.row - top, block.column - left
            picture[row : row + block.rows, column : column + block.columns] = painted
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


def elevation(bare: Raster, resolution: float, rng: np.random.Generator, surveyed: bool) -> Raster:
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
