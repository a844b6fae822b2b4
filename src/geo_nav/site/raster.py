"""Rasters as the DEM reader needs them: an elevation grid and crops of an orthophoto."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geo_nav.site.errors import SiteError

# Heights that no place on Earth has mark holes of files that declare no nodata value (-9999, -32768, 3.4e38).
_LOWEST, _HIGHEST = -600.0, 9500.0
# GDAL keeps decoded blocks up to a twentieth of the machine's memory, long after a site is read.
_CACHE_MEGABYTES = 128


@contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Opens a raster that has a geotransform.

    Raises:
        SiteError: missing, not a raster, or not georeferenced; also when a block turns out damaged inside the block.
    """
    if not path.is_file():
        raise SiteError(f"the raster {path} does not exist: correct the descriptor or put the file there")
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES), rasterio.open(path) as raster:
            if raster.transform.is_identity or raster.transform.is_degenerate:
                raise SiteError(f"{path} has no geotransform: write one, for example with gdal_translate -a_ullr")
            yield raster
    except (RasterioIOError, RasterioError) as error:
        raise SiteError(f"{path} cannot be read, it may be damaged: {error}") from error


def raster_crs(raster: Any, path: Path, override: str | None) -> str:
    """The horizontal CRS of a raster; ``override`` serves a file that names none.

    Raises:
        SiteError: there is no CRS at all, or the descriptor contradicts the file.
    """
    if raster.crs is None:
        if override is None:
            raise SiteError(f"{path} names no coordinate reference system: give the layer's `crs` in the descriptor")
        return override
    if override is not None and rasterio.crs.CRS.from_user_input(override) != raster.crs:
        raise SiteError(f"{path} is in {raster.crs}, the descriptor says {override}: correct one of them")
    crs: str = raster.crs.to_string()
    return crs


def read_elevation(raster: Any, path: Path, max_cells: int) -> tuple[npt.NDArray[np.float32], Affine]:
    """An elevation band, averaged over whole cells until it has at most ``max_cells``.

    Returns:
        heights (rows, columns), NaN where there is none, and the affine from (column, row) of a cell's
        **upper left corner** to the CRS (a height belongs to the centre of its cell: +0.5).

    Raises:
        SiteError: several bands, or fewer than 2x2 cells with a height.
    """
    if raster.count != 1:
        raise SiteError(f"{path} has {raster.count} bands: an elevation raster has one")
    factor = max(1, int(np.ceil(np.sqrt(raster.width * raster.height / max_cells))))
    rows, columns = raster.height // factor, raster.width // factor
    heights = raster.read(
        1,
        window=Window(0, 0, columns * factor, rows * factor),
        out_shape=(rows, columns),
        resampling=Resampling.average if factor > 1 else Resampling.nearest,
        masked=True,
        out_dtype="float32",
    ).filled(np.nan)
    with np.errstate(invalid="ignore"):
        heights[~((heights > _LOWEST) & (heights < _HIGHEST))] = np.nan
    if np.isfinite(heights).sum() < 4:
        raise SiteError(f"{path} has no heights: every cell is nodata or outside {_LOWEST} … {_HIGHEST} m")
    return heights, raster.transform * Affine.scale(factor)


class Orthophoto:
    """Crops of an orthophoto, in the CRS of the elevation raster.

    Args:
        raster: the open orthophoto.
        path: its name for messages.
        crs: of the elevation raster.
        own_crs: of the orthophoto.
        nodata: grey value that marks holes, see :class:`~geo_nav.site.DemOrthophotoLayer`.
        reduction: whole number of source pixels that one pixel of a crop averages, per axis.

    Attributes:
        transform: affine from (column, row) of the reduced picture (corner of the first pixel at 0, 0) to the CRS.

    Raises:
        SiteError: not 8 bit.
    """

    def __init__(self, raster: Any, path: Path, crs: str, own_crs: str, nodata: int | None, reduction: float) -> None:
        if any(dtype != "uint8" for dtype in raster.dtypes):
            raise SiteError(
                f"{path} is {raster.dtypes[0]}, an orthophoto must be 8 bit: gdal_translate -ot Byte -scale makes it so"
            )
        self._path, self._nodata = path, nodata
        same_crs = rasterio.crs.CRS.from_user_input(crs) == rasterio.crs.CRS.from_user_input(own_crs)
        straight = raster.transform.is_rectilinear
        self._source = raster if same_crs and straight else _warped(raster, crs, own_crs)
        self._reduction = max(1, int(np.ceil(reduction)))
        self.transform: Affine = self._source.transform * Affine.scale(self._reduction)
        self.width = -(-self._source.width // self._reduction)
        self.height = -(-self._source.height // self._reduction)
        self._bands = _color_bands(raster)
        self._palette = _palette(raster)

    def crop(self, left: int, top: int, right: int, bottom: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Pixels ``top:bottom, left:right`` of the reduced picture.

        Returns:
            picture (H, W, 3) uint8 RGB and mask (H, W), True where the orthophoto has a value.
        """
        shape = (bottom - top, right - left)
        k = self._reduction
        window = Window(
            left * k,
            top * k,
            min(right * k, self._source.width) - left * k,
            min(bottom * k, self._source.height) - top * k,
        )
        how = Resampling.average if k > 1 and self._palette is None else Resampling.nearest
        bands = self._source.read(self._bands, window=window, out_shape=(len(self._bands), *shape), resampling=how)
        mask = self._source.dataset_mask(window=window, out_shape=shape) > 0
        if self._nodata is not None:
            mask &= (bands != self._nodata).any(axis=0)
        if self._palette is not None:
            return self._palette[bands[0]], mask
        if len(bands) == 1:
            bands = np.repeat(bands, 3, axis=0)
        return np.ascontiguousarray(np.moveaxis(bands, 0, -1)), mask


def _warped(raster: Any, crs: str, own_crs: str) -> Any:
    has_alpha = ColorInterp.alpha in raster.colorinterp
    return WarpedVRT(
        raster,
        src_crs=own_crs,
        crs=crs,
        resampling=Resampling.bilinear,
        add_alpha=not has_alpha and raster.nodata is None,
    )


def _color_bands(raster: Any) -> list[int]:
    kinds = list(raster.colorinterp)
    rgb = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    if all(kind in kinds for kind in rgb):
        return [kinds.index(kind) + 1 for kind in rgb]
    colors = [band for band, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
    return colors[:3] if len(colors) >= 3 else colors[:1]


def _palette(raster: Any) -> npt.NDArray[np.uint8] | None:
    if raster.colorinterp[0] != ColorInterp.palette:
        return None
    table = np.zeros((256, 3), np.uint8)
    for value, rgba in raster.colormap(1).items():
        table[value] = rgba[:3]
    return table
