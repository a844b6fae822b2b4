"""Puts textured pieces together into one mesh with one texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.atlas import pack

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


class MeshBuilder:
    """Collects pictures, and pieces of surface that show parts of them."""

    def __init__(self) -> None:
        self._pictures: list[Image] = []
        self._vertices: list[Array] = []
        self._faces: list[npt.NDArray[np.int64]] = []
        self._pixels: list[Array] = []
        self._shown: list[tuple[int, int]] = []
        self._count = 0

    def picture(self, picture: Image) -> int:
        """Adds a picture (h, w, 3) and returns its number."""
        self._pictures.append(picture)
        return len(self._pictures) - 1

    def polygon(self, corners: Array, pixels: Array, picture: int) -> None:
        """Adds a convex polygon (N, 3), counter-clockwise from outside; see :meth:`surface`."""
        fan = np.array([[0, k, k + 1] for k in range(1, len(corners) - 1)], np.int64)
        self.surface(corners, fan, pixels, picture)

    def surface(self, vertices: Array, faces: npt.NDArray[np.int64], pixels: Array, picture: int) -> None:
        """Adds triangles (M, 3) of vertices (N, 3) that show a picture at ``pixels`` (N, 2): column, row."""
        self._vertices.append(vertices)
        self._faces.append(faces + self._count)
        self._pixels.append(pixels)
        self._shown.append((picture, len(vertices)))
        self._count += len(vertices)

    def build(self) -> TexturedMesh:
        """The mesh; without faces when nothing was added."""
        atlas, corners = pack(self._pictures)
        if not self._vertices:
            return TexturedMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64), np.zeros((0, 2)), atlas)
        picture, repeats = np.array(self._shown).T
        position = np.vstack(self._pixels) + np.repeat(corners[picture], repeats, axis=0)
        position /= np.array([atlas.shape[1], atlas.shape[0]], np.float64)
        uv = np.column_stack([position[:, 0], 1.0 - position[:, 1]])
        return TexturedMesh(np.vstack(self._vertices), np.vstack(self._faces), uv, atlas)
