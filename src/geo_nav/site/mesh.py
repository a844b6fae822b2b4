"""Reader of textured meshes (GLB, glTF, OBJ, PLY): every part of the scene becomes tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import GeodesyError, LocalFrame, geodetic_from_crs
from geo_nav.site.config import SiteConfig
from geo_nav.site.descriptor import MeshLayer
from geo_nav.site.errors import SiteError
from geo_nav.site.material import material_picture, require_textures, vertex_colors
from geo_nav.site.model import SiteTile
from geo_nav.site.split import split_by_place, split_by_texture

Array = npt.NDArray[np.float64]

_FORMATS = (".glb", ".gltf", ".obj", ".ply")
_WHITE = np.full((1, 1, 3), 255, np.uint8)


class MeshFileLayer:
    """A mesh file, read and checked.

    Args:
        layer: from the descriptor.
        folder: that the descriptor's files are relative to.
        config: limits.

    Raises:
        SiteError: the file or a texture is missing or damaged, or holds no triangles.
    """

    def __init__(self, layer: MeshLayer, folder: Path, config: SiteConfig) -> None:
        self._layer, self._config, self._file = layer, config, folder / layer.file
        self._parts = _read_parts(self._file)
        up = layer.up or ("y" if self._file.suffix.lower() in (".glb", ".gltf") else "z")
        for index, (vertices, mesh) in enumerate(self._parts):
            if up == "y":
                vertices = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=-1)
            self._parts[index] = (vertices + np.array(layer.origin), mesh)

    def origin(self) -> LocalFrame:
        """The centre of the mesh in plan, at its least height.

        Raises:
            SiteError: the mesh is in local coordinates, which need the descriptor's datum.
        """
        if self._layer.crs == "enu":
            raise SiteError(f"{self._file} is in local metres ('enu'): give the descriptor's `datum`, their origin")
        low = np.min([v.min(axis=0) for v, _ in self._parts], axis=0)
        high = np.max([v.max(axis=0) for v, _ in self._parts], axis=0)
        x, y = (low[:2] + high[:2]) / 2.0
        try:
            geodetic = geodetic_from_crs(x, y, low[2], self._layer.crs, self._layer.vertical_datum)
        except GeodesyError as error:
            raise SiteError(f"{self._file}: {error}") from error
        return LocalFrame(*(float(value) for value in geodetic))

    def tiles(self, frame: LocalFrame) -> list[SiteTile]:
        """The textured tiles in a local frame.

        Raises:
            SiteError: a coordinate cannot be converted.
        """
        return [
            tile for vertices, mesh in self._parts for tile in self._part_tiles(self._to_map(vertices, frame), mesh)
        ]

    def _to_map(self, vertices: Array, frame: LocalFrame) -> Array:
        if self._layer.crs == "enu":
            return vertices
        x, y, z = vertices.T
        try:
            return frame.from_crs(x, y, z, self._layer.crs, self._layer.vertical_datum)
        except GeodesyError as error:
            raise SiteError(f"{self._file}: {error}: is the layer's `origin` right?") from error

    def _part_tiles(self, vertices: Array, mesh: Any) -> list[SiteTile]:
        picture = material_picture(mesh.visual, self._file)
        uv = getattr(mesh.visual, "uv", None)
        if uv is None or len(uv) != len(vertices) or not np.isfinite(uv).all():
            uv = np.zeros((len(vertices), 2))
        tile = SiteTile(
            vertices=vertices.astype(np.float32),
            faces=np.asarray(mesh.faces, dtype=np.int32),
            uv=np.asarray(uv, dtype=np.float32),
            texture=_WHITE if picture is None else picture,
            colors=vertex_colors(mesh.visual, len(vertices)),
        )
        return [
            piece
            for chunk in split_by_texture(tile, self._config.max_texture_side)
            for piece in split_by_place(chunk, 2 * self._config.tile_cells**2)
        ]


def _read_parts(file: Path) -> list[tuple[Array, Any]]:
    """(vertices in scene coordinates (N, 3), trimesh) of every part of the scene that has triangles."""
    import trimesh

    if file.suffix.lower() not in _FORMATS:
        raise SiteError(f"{file} is not a mesh format that is read: use one of {', '.join(_FORMATS)}")
    if not file.is_file():
        raise SiteError(f"the mesh {file} does not exist: correct the descriptor or put the file there")
    require_textures(file)
    try:
        scene = trimesh.load_scene(file, process=False, maintain_order=True)
        placed = [(scene.graph[node], scene.geometry) for node in scene.graph.nodes_geometry]
    except Exception as error:  # trimesh's readers raise whatever the damage leads to
        raise SiteError(f"{file} cannot be read as a mesh, it may be damaged: {error!r}") from error
    parts = []
    for (transform, name), geometry in placed:
        mesh = geometry[name]
        if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces):
            vertices = trimesh.transform_points(np.asarray(mesh.vertices, dtype=np.float64), transform)
            if not np.isfinite(vertices).all():
                raise SiteError(f"{file}: the part '{name}' has vertices that are not finite")
            parts.append((vertices, mesh))
    if not parts:
        raise SiteError(f"{file} holds no triangles")
    return parts
