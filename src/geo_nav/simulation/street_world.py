"""The town as it is seen from its streets: finer ground and walls, trees and vehicles that stand up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from geo_nav.simulation.building_mesh import building_mesh
from geo_nav.simulation.canvas import Block
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.epoch_files import FLOWN_SIGMA, elevation, epoch_draws, paint_blocks
from geo_nav.simulation.epochs import FLIGHT
from geo_nav.simulation.export import write_dem, write_descriptor, write_mesh, write_orthophoto
from geo_nav.simulation.features import make_features
from geo_nav.simulation.mesh_builder import MeshBuilder
from geo_nav.simulation.paint import GroundPainter, Patterns
from geo_nav.simulation.parcels import Border
from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.scenery import add_trees, add_vehicles
from geo_nav.simulation.surface import Surface, add_buildings, cast_shadow, cosine_to_sun, make_surface
from geo_nav.simulation.trees import Trees

Array = npt.NDArray[np.float64]

GROUND_RESOLUTION = 0.1
"""Pixel of the ground, m."""
WALL_RESOLUTION = 0.07
"""Pixel of the walls, m."""
_ROOF_RESOLUTION = 0.15
_NEAR = 45.0
"""Trees nearer than this to a street get finer crowns, m."""
_CROWN_SHADE = 0.65
_AROUND = 60.0
_BLOCK = 800


def town_square(plan: WorldPlan) -> tuple[float, float, float, float]:
    """West, south, east, north (m from the corner, whole tens) of the part of the site that the town fills."""
    centre = plan.warp.apply(np.array(plan.zones.town))
    half = plan.zones.town_radius + _AROUND
    west, south = np.maximum(np.floor((centre - half) / 10.0) * 10.0, 0.0)
    east, north = np.minimum(np.ceil((centre + half) / 10.0) * 10.0, np.floor(plan.size / 10.0) * 10.0)
    return float(west), float(south), float(east), float(north)


def write_street_world(
    config: SimulationConfig,
    plan: WorldPlan,
    surface: Surface,
    patterns: Patterns,
    folder: Path,
    report: Callable[[float], None],
) -> None:
    """Writes the town of the flight's epoch, and nothing beyond it, as a site that a camera in the street can film.

    Args:
        config: resolution of the DEM.
        plan: of the world.
        surface: heights with all trees.
        patterns: of the land.
        folder: to write to; must exist.
        report: called with the share done, 0…1.
    """
    rng, vehicles = epoch_draws(plan, FLIGHT)
    square = west, south, east, north = town_square(plan)
    standing = [b for b in plan.buildings if b.epochs[FLIGHT.land] and _within(b.centre, square)]
    solid = np.array([_within(centre, square) for centre in plan.trees.centre], bool)
    trees = _chosen(plan.trees, solid)
    cut = make_surface(replace(plan, trees=_chosen(plan.trees, ~solid)))
    bare = cut.ground + cut.canopy
    shade = cosine_to_sun(add_buildings(bare, standing, [], plan), FLIGHT)
    shadow = cast_shadow(add_buildings(surface.ground + surface.canopy, standing, vehicles, plan), FLIGHT)
    crowns = (surface.tree_kind > 0) & (cut.tree_kind == 0)
    np.maximum(shadow, np.float32(_CROWN_SHADE) * crowns, out=shadow)
    report(0.1)
    painter = GroundPainter(plan, FLIGHT, cut, patterns, make_features(plan, FLIGHT, []), shade, shadow)
    todo = _window(plan.size, GROUND_RESOLUTION, square)
    picture = paint_blocks(painter, todo, lambda share: report(0.1 + 0.5 * share))
    write_orthophoto(folder / "orthophoto.tif", picture, GROUND_RESOLUTION, plan, (west, north))
    del picture
    report(0.7)
    cell = config.dem_resolution
    dem = elevation(bare, cell, rng, False)
    rows = slice(round((plan.size - north) / cell), round((plan.size - south) / cell))
    write_dem(
        folder / "dem.tif", dem[rows, round(west / cell) : round(east / cell)], cell, plan,
        (round(west / cell) * cell, plan.size - rows.start * cell),
    )  # fmt: skip
    town = building_mesh(
        standing, FLIGHT, _ROOF_RESOLUTION, shadow, plan.size, np.zeros((len(standing), 3)), WALL_RESOLUTION
    )
    report(0.85)
    builder = MeshBuilder()
    add_trees(builder, trees, _near_streets(plan, trees), plan.terrain, FLIGHT, rng)
    add_vehicles(builder, [v for v in vehicles if _within(v.centre, square)], plan.terrain, FLIGHT)
    meshes = []
    for name, mesh in (("town.glb", town), ("scenery.glb", builder.build())):
        if len(mesh.faces):
            meshes.append(name)
            write_mesh(folder / name, mesh, jpeg=True)
    write_descriptor(folder / "site.yaml", plan, f"simulated-{plan.seed}-street", FLOWN_SIGMA, meshes)
    report(1.0)


def _within(place: Array, square: tuple[float, float, float, float]) -> bool:
    west, south, east, north = square
    return bool(west + 5.0 < place[0] < east - 5.0 and south + 5.0 < place[1] < north - 5.0)


def _near_streets(plan: WorldPlan, trees: Trees) -> npt.NDArray[np.bool_]:
    paths = [line.path for line in plan.lines if line.border is Border.STREET]
    if not paths:
        return np.zeros(len(trees.centre), bool)
    distance, _ = cKDTree(np.vstack(paths)).query(trees.centre)
    return np.asarray(distance < _NEAR)


def _chosen(trees: Trees, which: npt.NDArray[np.bool_]) -> Trees:
    return Trees(trees.centre[which], trees.radius[which], trees.height[which], trees.kind[which], trees.tint[which])


def _window(size: float, resolution: float, square: tuple[float, float, float, float]) -> list[Block]:
    west, south, east, north = square
    top, bottom = round((size - north) / resolution), round((size - south) / resolution)
    left, right = round(west / resolution), round(east / resolution)
    return [
        Block(size, resolution, r, c, min(_BLOCK, bottom - r), min(_BLOCK, right - c))
        for r in range(top, bottom, _BLOCK)
        for c in range(left, right, _BLOCK)
    ]
