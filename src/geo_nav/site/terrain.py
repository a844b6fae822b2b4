"""Reader of a DEM with an orthophoto: a grid of textured tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine

from geo_nav.geodesy import GeodesyError, LocalFrame, geodetic_from_crs
from geo_nav.site.config import SiteConfig
from geo_nav.site.descriptor import DemOrthophotoLayer
from geo_nav.site.despike import remove_spikes
from geo_nav.site.errors import SiteError
from geo_nav.site.grid import ControlGrid, apply_affine
from geo_nav.site.model import SiteTile
from geo_nav.site.raster import Orthophoto, open_raster, raster_crs, read_elevation

# Pixels that a tile's texture reaches past the tile, so that mipmaps do not pull in its clamped edge.
_MARGIN = 8


class TerrainLayer:
    """A DEM with an orthophoto, opened and checked.

    Args:
        layer: from the descriptor.
        folder: that the descriptor's files are relative to.
        config: limits.

    Raises:
        SiteError: a raster is missing, damaged, without CRS, or contradicts the descriptor.
    """

    def __init__(self, layer: DemOrthophotoLayer, folder: Path, config: SiteConfig) -> None:
        self._layer, self._config = layer, config
        self._dem, self._orthophoto = folder / layer.dem, folder / layer.orthophoto
        with open_raster(self._dem) as raster:
            self._crs = raster_crs(raster, self._dem, layer.crs)
            self._heights, self._transform = read_elevation(raster, self._dem, config.max_triangles // 2)
        if layer.despike > 0.0:
            self._heights = remove_spikes(self._heights, self._cell_size(), layer.despike)

    def origin(self) -> LocalFrame:
        """The centre of the DEM at its median height."""
        rows, columns = self._heights.shape
        x, y = self._transform * (columns / 2, rows / 2)
        try:
            geodetic = geodetic_from_crs(x, y, np.nanmedian(self._heights), self._crs, self._layer.vertical_datum)
        except GeodesyError as error:
            raise SiteError(f"{self._dem}: {error}") from error
        return LocalFrame(*(float(value) for value in geodetic))

    def _cell_size(self) -> float:
        """Mean side of a cell at the centre of the DEM, metres."""
        rows, columns = self._heights.shape
        c, r = columns / 2 + np.array([0.0, 1.0, 0.0]), rows / 2 + np.array([0.0, 0.0, 1.0])
        x, y = apply_affine(self._transform, c, r)
        frame = self.origin()
        enu = frame.from_crs(x, y, np.full(3, frame.height), self._crs)
        return float(np.sqrt(np.linalg.norm(np.cross(enu[1] - enu[0], enu[2] - enu[0]))))

    def tiles(self, frame: LocalFrame) -> list[SiteTile]:
        """The textured tiles in a local frame; empty ones are left out.

        Raises:
            SiteError: the rasters do not overlap, or a coordinate cannot be converted.
        """
        try:
            # Heights belong to the centres of the cells.
            centres = self._transform * Affine.translation(0.5, 0.5)
            grid = ControlGrid(centres, self._heights.shape, self._crs, self._layer.vertical_datum, frame)
        except GeodesyError as error:
            raise SiteError(f"{self._dem}: {error}") from error
        with open_raster(self._orthophoto) as raster:
            own_crs = raster_crs(raster, self._orthophoto, self._layer.crs if raster.crs is None else None)
            reduction = np.sqrt(raster.width * raster.height / (self._config.max_texture_megapixels * 1e6))
            picture = Orthophoto(raster, self._orthophoto, self._crs, own_crs, self._layer.orthophoto_nodata, reduction)
            to_picture = ~picture.transform * centres
            tiles = [
                tile
                for rows, columns in self._blocks(to_picture)
                if (tile := self._tile(rows, columns, grid, picture, to_picture)) is not None
            ]
        if not tiles:
            raise SiteError(f"{self._dem} and {self._orthophoto} have no covered place in common")
        return tiles

    def _blocks(self, to_picture: Affine) -> list[tuple[slice, slice]]:
        rows, columns = self._heights.shape
        pixels_per_cell = float(np.sqrt(abs(to_picture.determinant)))
        side = int((self._config.max_texture_side - 2 * _MARGIN) / max(pixels_per_cell * np.sqrt(2.0), 1e-9))
        side = max(1, min(self._config.tile_cells, side))
        # Neighbouring tiles share a row or column of vertices: no crack between them.
        return [
            (slice(r, min(r + side + 1, rows)), slice(c, min(c + side + 1, columns)))
            for r in range(0, rows - 1, side)
            for c in range(0, columns - 1, side)
        ]

    def _tile(
        self, rows: slice, columns: slice, grid: ControlGrid, picture: Orthophoto, to_picture: Affine
    ) -> SiteTile | None:
        r, c = np.arange(rows.start, rows.stop, dtype=float), np.arange(columns.start, columns.stop, dtype=float)
        heights = self._heights[rows, columns]
        px, py = apply_affine(to_picture, *np.meshgrid(c, r))
        left, right = max(int(px.min()) - _MARGIN, 0), min(int(px.max()) + 1 + _MARGIN, picture.width)
        top, bottom = max(int(py.min()) - _MARGIN, 0), min(int(py.max()) + 1 + _MARGIN, picture.height)
        if left >= right or top >= bottom or not np.isfinite(heights).any():
            return None
        texture, mask = picture.crop(left, top, right, bottom)
        faces = _grid_faces(np.isfinite(heights) & _sample(mask, px - left, py - top), flip=to_picture.determinant < 0)
        if len(faces) == 0:
            return None
        positions = grid.positions(r, c, heights).reshape(-1, 3)
        uv = np.stack([(px - left) / (right - left), 1.0 - (py - top) / (bottom - top)], axis=-1).reshape(-1, 2)
        used, compact = np.unique(faces, return_inverse=True)
        return SiteTile(
            vertices=positions[used].astype(np.float32),
            faces=compact.reshape(-1, 3).astype(np.int32),
            uv=uv[used].astype(np.float32),
            texture=texture,
        )


def _sample(
    mask: npt.NDArray[np.bool_], px: npt.NDArray[np.float64], py: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Whether the pixel under each place is covered; False outside the picture."""
    x, y = np.floor(px).astype(int), np.floor(py).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    covered = mask[np.clip(y, 0, mask.shape[0] - 1), np.clip(x, 0, mask.shape[1] - 1)]
    return np.asarray(inside & covered)


def _grid_faces(valid: npt.NDArray[np.bool_], flip: bool) -> npt.NDArray[np.int64]:
    """Two triangles a cell, counter-clockwise seen from above for a north-up raster, where all corners are valid."""
    index = np.arange(valid.size).reshape(valid.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    # Both triangles of a cell follow each other: what they share is still in the renderer's vertex cache.
    faces = np.stack([a, c, b, b, c, d], axis=-1).reshape(-1, 3)
    faces = faces[valid.ravel()[faces].all(axis=1)]
    return np.asarray(faces[:, ::-1] if flip else faces)
