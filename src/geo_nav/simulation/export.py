"""Writes an epoch as a survey would deliver it: GeoTIFFs, a GLB and a site descriptor."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import yaml
from PIL import Image as PillowImage
from rasterio.transform import Affine, from_origin

from geo_nav.simulation.mesh_builder import TexturedMesh
from geo_nav.simulation.noise import Raster
from geo_nav.simulation.plan import CORNER, CRS, WorldPlan


def write_orthophoto(
    file: Path,
    picture: npt.NDArray[np.uint8],
    resolution: float,
    plan: WorldPlan,
    corner: tuple[float, float] | None = None,
) -> None:
    """An RGB GeoTIFF in UTM, JPEG inside, as surveyors hand them out; ``corner`` as in :func:`write_dem`."""
    profile = {
        "driver": "GTiff", "width": picture.shape[1], "height": picture.shape[0], "count": 3, "dtype": "uint8",
        "crs": CRS, "transform": _place(plan, corner, resolution),
        "compress": "JPEG", "photometric": "YCBCR", "JPEG_QUALITY": 92, "tiled": True, "blockxsize": 512,
        "blockysize": 512, "NUM_THREADS": 2,
    }  # fmt: skip
    with rasterio.open(file, "w", **profile) as raster:
        raster.write(np.moveaxis(picture, -1, 0))


def write_dem(
    file: Path, heights: Raster, resolution: float, plan: WorldPlan, corner: tuple[float, float] | None = None
) -> None:
    """A float32 GeoTIFF in UTM of heights above the ellipsoid.

    Args:
        file: to write.
        heights: row 0 in the north, m.
        resolution: cell, m.
        plan: of the world.
        corner: west and north edge of the raster, m from the site's south-west corner; the whole site's when None.
    """
    profile = {
        "driver": "GTiff", "width": heights.shape[1], "height": heights.shape[0], "count": 1, "dtype": "float32",
        "crs": CRS, "transform": _place(plan, corner, resolution),
        "compress": "DEFLATE", "predictor": 3, "zlevel": 1, "tiled": True, "nodata": -9999.0, "NUM_THREADS": 2,
    }  # fmt: skip
    with rasterio.open(file, "w", **profile) as raster:
        raster.write(np.round(heights, 3).astype(np.float32), 1)


def _place(plan: WorldPlan, corner: tuple[float, float] | None, resolution: float) -> Affine:
    west, north = corner or (0.0, plan.size)
    return from_origin(CORNER[0] + west, CORNER[1] + north, resolution, resolution)


def write_mesh(file: Path, mesh: TexturedMesh, jpeg: bool = False) -> None:
    """A GLB with its texture inside, PNG or JPEG; metres from the site's corner, y up as glTF wants it."""
    import trimesh

    picture = PillowImage.fromarray(mesh.texture)
    if jpeg:
        # trimesh keeps the format that a picture was read from.
        memory = BytesIO()
        picture.save(memory, "JPEG", quality=88)
        picture = PillowImage.open(memory)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=1.0, name="town"
    )
    upright = mesh.vertices[:, [0, 2, 1]] * [1.0, 1.0, -1.0]
    shape = trimesh.Trimesh(
        upright, mesh.faces, visual=trimesh.visual.TextureVisuals(uv=mesh.uv, material=material), process=False
    )
    file.write_bytes(shape.export(file_type="glb"))


def write_descriptor(
    file: Path, plan: WorldPlan, name: str, sigma: tuple[float, float, float], meshes: Sequence[str]
) -> None:
    """The `site.yaml` of `dem.tif`, `orthophoto.tif` and the mesh files of those names beside it."""
    frame = plan.frame
    layers: list[dict[str, object]] = [
        {"kind": "dem_orthophoto", "dem": "dem.tif", "orthophoto": "orthophoto.tif", "vertical_datum": "ellipsoid"}
    ]
    for mesh in meshes:
        layers.append(
            {"kind": "mesh", "file": mesh, "crs": CRS, "vertical_datum": "ellipsoid", "origin": [*CORNER, 0.0]}
        )
    content = {
        "name": name,
        "datum": {"latitude": frame.latitude, "longitude": frame.longitude, "height": frame.height},
        "sigma": list(sigma),
        "layers": layers,
    }
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
