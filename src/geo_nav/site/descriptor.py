"""The site descriptor, `site.yaml`: which files make the site model, and what their numbers mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import rasterio
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rasterio.errors import RasterioIOError

from geo_nav.site.errors import SiteError
from geo_nav.site.model import DEFAULT_CORRELATION

VerticalDatum = Literal["ellipsoid", "egm96", "egm2008"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Datum(_Strict):
    """Origin of the `map` frame."""

    latitude: float = Field(description="degrees, WGS84", ge=-90, le=90)
    longitude: float = Field(description="degrees, WGS84", ge=-180, le=360)
    height: float = Field(description="metres above the WGS84 ellipsoid", ge=-1e4, le=1e5, allow_inf_nan=False)


class DemOrthophotoLayer(_Strict):
    """A digital elevation (or surface) model draped with an orthophoto; any raster that GDAL reads."""

    kind: Literal["dem_orthophoto"]
    dem: str = Field(description="elevation raster, heights in metres; relative to the descriptor")
    orthophoto: str = Field(description="orthophoto, 8 bit, 1 to 4 bands; may differ in extent, resolution and CRS")
    crs: str | None = Field(None, description="horizontal CRS of a raster that names none, for example EPSG:32614")
    vertical_datum: VerticalDatum = Field("ellipsoid", description="what the DEM's heights are above")
    orthophoto_nodata: int | None = Field(
        None, description="grey value that marks holes in an orthophoto without alpha or nodata tag", ge=0, le=255
    )
    despike: float = Field(
        0.0,
        description="lower what is narrower than this and stands out by more than it, metres; 0 is off",
        ge=0,
        le=50,
    )


class MeshLayer(_Strict):
    """A triangle mesh with textures or vertex colours: GLB, glTF, OBJ, PLY."""

    kind: Literal["mesh"]
    file: str = Field(description="relative to the descriptor")
    crs: str = Field(description="EPSG:… of the coordinates, or 'enu': metres in the local frame of the datum")
    vertical_datum: VerticalDatum = Field("ellipsoid", description="what the heights are above; unused with 'enu'")
    origin: tuple[float, float, float] = Field(
        (0.0, 0.0, 0.0), description="x, y, z added to the coordinates (after `up`) to reach the CRS"
    )
    up: Literal["y", "z"] | None = Field(
        None, description="the file's upward axis; y for GLB and glTF (as that standard says), else z"
    )


Layer = Annotated[DemOrthophotoLayer | MeshLayer, Field(discriminator="kind")]


class SiteDescriptor(_Strict):
    """The content of a `site.yaml`."""

    name: str = Field(description="of the site", min_length=1)
    datum: Datum | None = Field(None, description="origin of map; the centre of the first layer when left out")
    sigma: tuple[
        Annotated[float, Field(gt=0, lt=1e3)],
        Annotated[float, Field(gt=0, lt=1e3)],
        Annotated[float, Field(gt=0, lt=1e3)],
    ] = Field(description="expected error of the model east, north, up, metres (1 sigma)")
    sigma_correlation: float = Field(
        DEFAULT_CORRELATION,
        description="distance over which that error is alike, metres; .inf shifts the whole model",
        gt=0,
    )
    layers: list[Layer] = Field(description="the parts of the model", min_length=1)


def read_descriptor(path: Path) -> tuple[SiteDescriptor, Path]:
    """The descriptor of a site, and the folder that its files are relative to.

    Args:
        path: a `site.yaml`, a folder that holds one, or a surveyed folder (see :func:`describe_survey`).

    Raises:
        SiteError: nothing there, not YAML, or a key that is missing, unknown or out of range.
    """
    if path.is_dir():
        if (path / "site.yaml").is_file():
            path = path / "site.yaml"
        elif (path / "datum.json").is_file():
            return describe_survey(path), path
        else:
            raise SiteError(f"{path} holds neither a site.yaml nor a datum.json with site/ortho.tif and site/dsm.tif")
    if not path.is_file():
        raise SiteError(f"there is no site at {path}: give a site.yaml or the folder that holds one")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SiteError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise SiteError(f"{path} is not a site descriptor: it must be a mapping with name, sigma and layers")
    return _validate(content, str(path)), path.parent


def describe_survey(folder: Path) -> SiteDescriptor:
    """The descriptor of a surveyed folder: `datum.json`, `site/ortho.tif`, `site/dsm.tif` (ellipsoidal heights).

    Such a folder says nothing of the model's error: two ground sample distances in plan and three in height are
    taken, on the safe side of what photogrammetric products reach; `geo-nav site assess` measures it. Its surface
    model comes from image matching, which leaves needles: what is narrower than 2 m is lowered (``despike``).

    Raises:
        SiteError: a file is missing or damaged.
    """
    dem, orthophoto = folder / "site" / "dsm.tif", folder / "site" / "ortho.tif"
    for file in (dem, orthophoto):
        if not file.is_file():
            raise SiteError(f"the surveyed folder {folder} has no {file.relative_to(folder)}")
    try:
        datum = json.loads((folder / "datum.json").read_text(encoding="utf-8"))
        origin = {"latitude": datum["lat0"], "longitude": datum["lon0"], "height": datum["h0_ellipsoid"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SiteError(f"{folder / 'datum.json'} must hold lat0, lon0 and h0_ellipsoid: {error!r}") from error
    gsd = _ground_sample_distance(orthophoto)
    content: dict[str, object] = {
        "name": folder.resolve().name,
        "datum": origin,
        "sigma": [2.0 * gsd, 2.0 * gsd, 3.0 * gsd],
        "layers": [
            {"kind": "dem_orthophoto", "dem": "site/dsm.tif", "orthophoto": "site/ortho.tif", "despike": 2.0},
        ],
    }
    return _validate(content, str(folder))


def _ground_sample_distance(orthophoto: Path) -> float:
    try:
        with rasterio.open(orthophoto) as raster:
            metres = raster.crs.linear_units_factor[1] if raster.crs and raster.crs.is_projected else 111_320.0
            return float(abs(raster.transform.determinant) ** 0.5 * metres)
    except RasterioIOError as error:
        raise SiteError(f"{orthophoto} cannot be read as a raster: {error}") from error


def _validate(content: dict[str, object], where: str) -> SiteDescriptor:
    try:
        return SiteDescriptor.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'the file'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise SiteError(f"{where} is not a valid site descriptor: {problems}") from error
