"""The buildings of one epoch as one textured mesh."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.epochs import Epoch
from geo_nav.simulation.facades import FOOTING, OVERHANG, roof_picture, roof_planes, wall_picture
from geo_nav.simulation.mesh_builder import MeshBuilder, TexturedMesh
from geo_nav.simulation.noise import Raster
from geo_nav.simulation.town import Building, rotation

Array = npt.NDArray[np.float64]


def building_mesh(
    buildings: list[Building],
    epoch: Epoch,
    resolution: float,
    shadow: Raster,
    size: float,
    offsets: Array,
    wall_resolution: float | None = None,
) -> TexturedMesh:
    """Meshes buildings.

    Args:
        buildings: those that stand.
        epoch: light and grain.
        resolution: pixel of the texture, m.
        shadow: cast shadow over the site.
        size: side of the site, m.
        offsets: (len(buildings), 3) displacement of each, m: the survey's error.
        wall_resolution: pixel of walls to be looked at from the street, m; they then have doors, frames, sills and
            shutters. When None, walls have the roofs' resolution and no more than windows.
    """
    builder = MeshBuilder()
    for building, offset in zip(buildings, offsets, strict=True):
        _roof(builder, building, offset, roof_picture(building, epoch, resolution, shadow, size))
        for side in range(4):
            _wall(builder, building, offset, side, epoch, wall_resolution or resolution, wall_resolution is not None)
    return builder.build()


def _add(builder: MeshBuilder, building: Building, offset: Array, polygon: Array, pixels: Array, picture: int) -> None:
    flat = building.centre + polygon[:, :2] @ rotation(building.angle).T
    builder.polygon(np.column_stack([flat, building.ground + polygon[:, 2]]) + offset, pixels, picture)


def _roof(builder: MeshBuilder, building: Building, offset: Array, picture: npt.NDArray[np.uint8]) -> None:
    number = builder.picture(picture)
    length, width = building.length + 2 * OVERHANG, building.width + 2 * OVERHANG
    for polygon, _ in roof_planes(building):
        pixels = np.column_stack(
            [(polygon[:, 0] / length + 0.5) * picture.shape[1], (0.5 - polygon[:, 1] / width) * picture.shape[0]]
        )
        _add(builder, building, offset, polygon, pixels, number)


def _wall(
    builder: MeshBuilder, building: Building, offset: Array, side: int, epoch: Epoch, resolution: float, detailed: bool
) -> None:
    gable = building.roof == "gable" and side % 2 == 1
    height = building.eaves + (building.ridge if gable else 0.0)
    picture = wall_picture(building, side, epoch, resolution, height, detailed)
    half_l, half_w = building.length / 2, building.width / 2
    corners = np.array([[-half_l, -half_w], [half_l, -half_w], [half_l, half_w], [-half_l, half_w]])
    a, b = corners[side], corners[(side + 1) % 4]
    e = building.eaves
    polygon = [[*a, -FOOTING], [*b, -FOOTING], [*b, e], [*a, e]]
    if gable:
        polygon.insert(3, [*((a + b) / 2), height])
    points = np.array(polygon)
    along = np.linalg.norm(points[:, :2] - a, axis=1) / np.linalg.norm(b - a)
    down = (height - points[:, 2]) / (height + FOOTING)
    pixels = np.column_stack([along * picture.shape[1], down * picture.shape[0]])
    _add(builder, building, offset, points, pixels, builder.picture(picture))
