"""A small coloured mesh of a site model, for displays that take no textures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.site.errors import SiteError
from geo_nav.site.model import SiteModel, SiteTile

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PreviewMesh:
    """A mesh with a colour a vertex.

    Attributes:
        vertices: (N, 3) in `map`, metres.
        faces: (M, 3) indices into the vertices.
        colors: (N, 3) red, green, blue, 0..1.
    """

    vertices: Array
    faces: npt.NDArray[np.int64]
    colors: Array


def preview(site: SiteModel, triangles: int) -> PreviewMesh:
    """The site with at most so many triangles.

    Tiles that are no finer than the result has to be (buildings on a fine terrain) stay as they are; the vertices of
    the others are merged, with their colours, in the cells of a grid (Rossignac and Borrel, "Multi-resolution 3D
    approximations for rendering complex scenes", 1993).

    Args:
        site: with its textures.
        triangles: at most, at least 100.

    Raises:
        SiteError: fewer than 100 triangles are asked for.
    """
    if triangles < 100:
        raise SiteError(f"a preview of a site takes 100 triangles or more, not {triangles}")
    if site.triangles <= triangles:
        return _joined(list(site.tiles))
    coarse = triangles / sum(_area(tile) for tile in site.tiles)
    kept = [tile for tile in site.tiles if len(tile.faces) <= coarse * _area(tile)]
    fine = [tile for tile in site.tiles if len(tile.faces) > coarse * _area(tile)]
    whole = _joined(kept)
    return _stacked([whole, _merged(_joined(fine), triangles - len(whole.faces))])


def _area(tile: SiteTile) -> float:
    """Of the ground that a tile's box covers, m²; of a wall, that of the wall."""
    sides = np.sort(np.ptp(tile.vertices, axis=0).astype(np.float64))
    return float(max(sides[1] * sides[2], 1e-6))


def _joined(tiles: list[SiteTile]) -> PreviewMesh:
    return _stacked(
        [PreviewMesh(t.vertices.astype(np.float64), t.faces.astype(np.int64), _vertex_colors(t)) for t in tiles]
    )


def _stacked(meshes: list[PreviewMesh]) -> PreviewMesh:
    firsts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    empty = PreviewMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), np.empty((0, 3)))
    return PreviewMesh(
        np.concatenate([empty.vertices, *(m.vertices for m in meshes)]),
        np.concatenate([empty.faces, *(m.faces + first for m, first in zip(meshes, firsts, strict=False))]),
        np.concatenate([empty.colors, *(m.colors for m in meshes)]),
    )


def _vertex_colors(tile: SiteTile) -> Array:
    """(N, 3) 0..1: of each vertex the mean colour of its faces, each of them the texture around its centre."""
    height, width = tile.texture.shape[:2]
    corners = tile.uv[tile.faces].astype(np.float64) * [width, height]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    texels = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2.0
    scale = 1.0 / max(1.0, float(np.sqrt(np.median(texels)))) if len(texels) else 1.0
    small = cv2.resize(tile.texture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    centre = corners.mean(axis=1) / [width, height] % 1.0
    column = np.minimum((centre[:, 0] * small.shape[1]).astype(int), small.shape[1] - 1)
    row = np.minimum(((1.0 - centre[:, 1]) * small.shape[0]).astype(int), small.shape[0] - 1)
    of_face = np.repeat(small[row, column] / 255.0, 3, axis=0)
    index, count = tile.faces.ravel(), len(tile.vertices)
    uses = np.maximum(np.bincount(index, minlength=count), 1)
    colors = np.stack([np.bincount(index, of_face[:, k], minlength=count) for k in range(3)], axis=1) / uses[:, None]
    return colors if tile.colors is None else colors * (tile.colors / 255.0)


def _merged(mesh: PreviewMesh, triangles: int) -> PreviewMesh:
    """The mesh with its vertices merged in the cells of the finest grid that leaves at most so many triangles."""
    if len(mesh.faces) <= triangles:
        return mesh
    sides = np.sort(np.ptp(mesh.vertices, axis=0))
    cell = float(np.sqrt(2.0 * max(sides[1] * sides[2], 1e-6) / triangles))
    coarse = _clustered(mesh, cell)
    while len(coarse.faces) > triangles:
        cell *= 1.1
        coarse = _clustered(mesh, cell)
    return coarse


def _clustered(mesh: PreviewMesh, cell: float) -> PreviewMesh:
    """The mesh with all vertices of a cube of the grid in their mean; triangles that collapse are dropped.

    Open3D has the same, but takes seconds and hundreds of megabytes to import, in a node that only draws.
    """
    column, row, layer = np.floor((mesh.vertices - mesh.vertices.min(axis=0)) / cell).astype(np.int64).T
    key = (layer * (row.max() + 1) + row) * (column.max() + 1) + column
    _, cluster = np.unique(key, return_inverse=True)
    number = np.bincount(cluster)
    faces = cluster[mesh.faces]
    a, b, c = faces.T
    return PreviewMesh(
        np.stack([np.bincount(cluster, values) / number for values in mesh.vertices.T], axis=1),
        faces[(a != b) & (b != c) & (c != a)],
        np.stack([np.bincount(cluster, values) / number for values in mesh.colors.T], axis=1),
    )
