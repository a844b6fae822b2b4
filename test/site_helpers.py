"""A small georeferenced site whose geometry is known in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import yaml
from affine import Affine

CRS = "EPSG:32632"
WEST, NORTH = 691000.0, 5334000.0
CELL = 2.0
ROWS, COLUMNS = 60, 80


def dem_height(x, y):
    """Height of the DEM, metres, at UTM coordinates."""
    return 500.0 + 0.05 * (x - WEST) + 0.02 * (y - NORTH)


def dem_heights() -> np.ndarray:
    """(ROWS, COLUMNS) float32: the height at the centres of the cells."""
    column, row = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS))
    return dem_height(WEST + (column + 0.5) * CELL, NORTH - (row + 0.5) * CELL).astype(np.float32)


def orthophoto(pixel: float = 0.5) -> np.ndarray:
    """(3, H, W) uint8: red grows eastwards, green southwards, blue is constant."""
    height, width = int(ROWS * CELL / pixel), int(COLUMNS * CELL / pixel)
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([column * 255 // width, row * 255 // height, np.full_like(row, 77)]).astype(np.uint8)


def write_raster(path: Path, bands: np.ndarray, pixel: float, west=WEST, north=NORTH, crs=CRS, **options) -> Path:
    """Writes a north-up GeoTIFF."""
    bands = bands if bands.ndim == 3 else bands[None]
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    transform = Affine(pixel, 0.0, west, 0.0, -pixel, north)
    with rasterio.open(path, "w", **profile, dtype=bands.dtype, crs=crs, transform=transform, **options) as raster:
        raster.write(bands)
    return path


def write_site(folder: Path, dem=None, ortho=None, layer=None, **content) -> Path:
    """Writes DEM, orthophoto and `site.yaml`; returns the folder."""
    write_raster(folder / "dem.tif", dem_heights() if dem is None else dem, CELL, nodata=-9999.0)
    write_raster(folder / "ortho.tif", orthophoto() if ortho is None else ortho, 0.5)
    entry = {"kind": "dem_orthophoto", "dem": "dem.tif", "orthophoto": "ortho.tif", **(layer or {})}
    write_descriptor(folder, [entry], **content)
    return folder


def write_descriptor(folder: Path, layers: list, **content) -> Path:
    """Writes a `site.yaml` with these layers."""
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump({"name": "testland", "sigma": [0.5, 0.5, 1.0], "layers": layers, **content}))
    return path
