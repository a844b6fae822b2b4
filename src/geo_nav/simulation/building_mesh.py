"""The buildings of one epoch as one textured mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.atlas import pack
from geo_nav.simulation.epochs import Epoch
from geo_nav.simulation.facades import FOOTING, OVERHANG, roof_picture, roof_planes, wall_picture
from geo_nav.simulation.noise import Raster
from geo_nav.simulation.town import Building, rotation

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TexturedMesh:
    """Triangles with one texture.

    Attributes:
        vertices: (N, 3) m east and north of the site's corner, and above the ellipsoid.
        faces: (M, 3) counter-clockwise from outside.
        uv: (N, 2), (0, 0) the lower left corner of the texture.
        texture: (H, W, 3) uint8 RGB.
    """

    vertices: Array
    faces: npt.NDArray[np.int64]
    uv: Array
    texture: Image


@dataclass(frozen=True, eq=False)
class _Face:
    """A convex polygon (N, 3) in a building's axes, and where its vertices lie in its picture (N, 2), pixels."""

    polygon: Array
    pixels: Array
    picture: int


def building_mesh(
    buildings: list[Building],
    epoch: Epoch,
    resolution: float,
    shadow: Raster,
    size: float,
    offsets: Array,
) -> TexturedMesh:
    """Meshes buildings.

    Args:
        buildings: those that stand.
        epoch: light and grain.
        resolution: pixel of the texture, m.
        shadow: cast shadow over the site.
        size: side of the site, m.
        offsets: (len(buildings), 3) displacement of each, m: the survey's error.
    """
    pictures: list[Image] = []
    placed: list[tuple[Building, Array, _Face]] = []
    for building, offset in zip(buildings, offsets, strict=True):
        for face in _faces(building, epoch, resolution, shadow, size, pictures):
            placed.append((building, offset, face))
    atlas, corners = pack(pictures)
    extent = np.array([atlas.shape[1], atlas.shape[0]], np.float64)
    vertices, uv, faces, count = [], [], [], 0
    for building, offset, face in placed:
        n = len(face.polygon)
        flat = building.centre + face.polygon[:, :2] @ rotation(building.angle).T
        vertices.append(np.column_stack([flat, building.ground + face.polygon[:, 2]]) + offset)
        position = (face.pixels + corners[face.picture]) / extent
        uv.append(np.column_stack([position[:, 0], 1.0 - position[:, 1]]))
        faces += [[count, count + k, count + k + 1] for k in range(1, n - 1)]
        count += n
    return TexturedMesh(
        np.vstack(vertices) if vertices else np.zeros((0, 3)),
        np.array(faces, np.int64).reshape(-1, 3),
        np.vstack(uv) if uv else np.zeros((0, 2)),
        atlas,
    )


def _faces(
    building: Building, epoch: Epoch, resolution: float, shadow: Raster, size: float, pictures: list[Image]
) -> list[_Face]:
    """All faces of a building; their pictures are appended."""
    roof = roof_picture(building, epoch, resolution, shadow, size)
    pictures.append(roof)
    length, width = building.length + 2 * OVERHANG, building.width + 2 * OVERHANG
    faces = []
    for polygon, _ in roof_planes(building):
        pixels = np.column_stack(
            [(polygon[:, 0] / length + 0.5) * roof.shape[1], (0.5 - polygon[:, 1] / width) * roof.shape[0]]
        )
        faces.append(_Face(polygon, pixels, len(pictures) - 1))
    for side in range(4):
        faces.append(_wall(building, side, epoch, resolution, pictures))
    return faces


def _wall(building: Building, side: int, epoch: Epoch, resolution: float, pictures: list[Image]) -> _Face:
    gable = building.roof == "gable" and side % 2 == 1
    height = building.eaves + (building.ridge if gable else 0.0)
    picture = wall_picture(building, side, epoch, resolution, height)
    pictures.append(picture)
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
    return _Face(points, np.column_stack([along * picture.shape[1], down * picture.shape[0]]), len(pictures) - 1)
