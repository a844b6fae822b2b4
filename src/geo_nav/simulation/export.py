"""Writes an epoch as a survey would deliver it: GeoTIFFs, a GLB and a site descriptor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import yaml
from PIL import Image as PillowImage
from rasterio.transform import from_origin

from geo_nav.simulation.building_mesh import TexturedMesh
from geo_nav.simulation.noise import Raster
from geo_nav.simulation.plan import CORNER, CRS, WorldPlan


def write_orthophoto(file: Path, picture: npt.NDArray[np.uint8], resolution: float, plan: WorldPlan) -> None:
    """An RGB GeoTIFF in UTM, JPEG inside, as surveyors hand them out."""
    profile = {
        "driver": "GTiff", "width": picture.shape[1], "height": picture.shape[0], "count": 3, "dtype": "uint8",
        "crs": CRS, "transform": from_origin(CORNER[0], CORNER[1] + plan.size, resolution, resolution),
        "compress": "JPEG", "photometric": "YCBCR", "JPEG_QUALITY": 92, "tiled": True, "blockxsize": 512,
        "blockysize": 512, "NUM_THREADS": 2,
    }  # fmt: skip
    with rasterio.open(file, "w", **profile) as raster:
        raster.write(np.moveaxis(picture, -1, 0))


def write_dem(file: Path, heights: Raster, resolution: float, plan: WorldPlan) -> None:
    """A float32 GeoTIFF in UTM of heights above the ellipsoid."""
    profile = {
        "driver": "GTiff", "width": heights.shape[1], "height": heights.shape[0], "count": 1, "dtype": "float32",
        "crs": CRS, "transform": from_origin(CORNER[0], CORNER[1] + plan.size, resolution, resolution),
        "compress": "DEFLATE", "predictor": 3, "zlevel": 1, "tiled": True, "nodata": -9999.0, "NUM_THREADS": 2,
    }  # fmt: skip
    with rasterio.open(file, "w", **profile) as raster:
        raster.write(np.round(heights, 3).astype(np.float32), 1)


def write_mesh(file: Path, mesh: TexturedMesh) -> None:
    """A GLB with its texture inside; metres from the site's corner, y up as glTF wants it."""
    import trimesh

    picture = PillowImage.fromarray(mesh.texture)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=1.0, name="town"
    )
    upright = mesh.vertices[:, [0, 2, 1]] * [1.0, 1.0, -1.0]
    shape = trimesh.Trimesh(
        upright, mesh.faces, visual=trimesh.visual.TextureVisuals(uv=mesh.uv, material=material), process=False
    )
    file.write_bytes(shape.export(file_type="glb"))


def write_descriptor(
    file: Path, plan: WorldPlan, name: str, sigma: tuple[float, float, float], with_mesh: bool
) -> None:
    """The `site.yaml` of the files beside it."""
    frame = plan.frame
    layers: list[dict[str, object]] = [
        {"kind": "dem_orthophoto", "dem": "dem.tif", "orthophoto": "orthophoto.tif", "vertical_datum": "ellipsoid"}
    ]
    if with_mesh:
        layers.append(
            {"kind": "mesh", "file": "town.glb", "crs": CRS, "vertical_datum": "ellipsoid", "origin": [*CORNER, 0.0]}
        )
    content = {
        "name": name,
        "datum": {"latitude": frame.latitude, "longitude": frame.longitude, "height": frame.height},
        "sigma": list(sigma),
        "layers": layers,
    }
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
