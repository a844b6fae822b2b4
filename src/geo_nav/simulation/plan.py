"""The plan of a world: everything that both epochs share, drawn from the seed alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyproj

from geo_nav.geodesy import LocalFrame
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.parcels import Line, Parcel, Zoning, subdivide, zoning
from geo_nav.simulation.terrain import Terrain, Warp, make_terrain, make_warp
from geo_nav.simulation.town import Building, build_town
from geo_nav.simulation.trees import Trees, plant

Array = npt.NDArray[np.float64]

CRS = "EPSG:32632"
CORNER = (702_000.0, 5_318_000.0)
"""South-west corner of every world, UTM metres: in the Alpine foreland, 2.7 degrees off the central meridian, so
that grid north is not true north and the scale is not one."""
BASE_HEIGHT = 640.0
"""Mean height of the ground, m above the ellipsoid."""


@dataclass(frozen=True, eq=False)
class WorldPlan:
    """Relief, parcels, roads, buildings and trees; places are metres east and north of :data:`CORNER`.

    Attributes:
        size: side of the site, m.
        seed: what all of it was drawn from.
        warp: of the parcels.
        terrain: the bare ground.
        zones: where the town and the bare fields lie.
        parcels: fields, woods, blocks.
        lines: roads, tracks, hedges, margins.
        buildings: of both epochs.
        trees: of both epochs.
    """

    size: float
    seed: int
    warp: Warp
    terrain: Terrain
    zones: Zoning
    parcels: list[Parcel]
    lines: list[Line]
    buildings: list[Building]
    trees: Trees

    @cached_property
    def frame(self) -> LocalFrame:
        """Local frame with its origin on the ground in the middle of the site."""
        half = self.size / 2
        lon, lat = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(
            CORNER[0] + half, CORNER[1] + half
        )
        return LocalFrame(round(lat, 7), round(lon, 7), round(float(self.terrain.at(half, half)), 1))

    def to_map(self, points: npt.ArrayLike) -> Array:
        """(..., 3) metres east and north of the corner and height above the ellipsoid → (..., 3) `map`."""
        p = np.asarray(points, np.float64)
        return self.frame.from_crs(p[..., 0] + CORNER[0], p[..., 1] + CORNER[1], p[..., 2], CRS)

    def from_map(self, points: npt.ArrayLike) -> Array:
        """The inverse of :meth:`to_map`."""
        out: Array = self.frame.to_crs(points, CRS) - np.array([*CORNER, 0.0])
        return out


def plan_world(config: SimulationConfig) -> WorldPlan:
    """Draws the plan of a world; the same seed and size give the same plan."""
    rng = np.random.default_rng([config.seed, 1])
    warp = make_warp(rng, config.world_size)
    terrain = make_terrain(rng, config.world_size, BASE_HEIGHT)
    zones = zoning(config.world_size)
    parcels, lines = subdivide(rng, config.world_size, warp)
    buildings = build_town(rng, parcels, warp, terrain, zones, config.world_size)
    trees = plant(rng, parcels, lines, buildings, terrain, config.world_size)
    return WorldPlan(config.world_size, config.seed, warp, terrain, zones, parcels, lines, buildings, trees)
