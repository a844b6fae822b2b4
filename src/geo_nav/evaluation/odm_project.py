"""What OpenDroneMap leaves in a project's folder: orthophoto, surface model, calibration and poses of the photographs.

Those files are also in WebODM's "All Assets": `odm_orthophoto/odm_orthophoto.tif`, `odm_dem/dsm.tif`, `cameras.json`,
`odm_report/shots.geojson`. Geometry as OpenSfM defines it (https://opensfm.org/docs/geometry.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioIOError
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.json_file import read_json
from geo_nav.geodesy import GeodesyError, LocalFrame, Pose, geodetic_from_crs
from geo_nav.rendering import Camera, RenderingError
from geo_nav.site import SiteError
from geo_nav.site.raster import open_raster

Array = npt.NDArray[np.float64]

_PERSPECTIVE = ("k1", "k2", "p1", "p2", "k3")
_FISHEYE = ("k1", "k2", "k3", "k4")
_MODELS = {
    "perspective": ("plumb_bob", _PERSPECTIVE),
    "simple_radial": ("plumb_bob", _PERSPECTIVE),
    "radial": ("plumb_bob", _PERSPECTIVE),
    "brown": ("plumb_bob", _PERSPECTIVE),
    "fisheye": ("equidistant", _FISHEYE),
    "fisheye_opencv": ("equidistant", _FISHEYE),
}
"""OpenSfM's lens models that `Camera` has too: its name for each, and the coefficients in its order."""

_SAME_PLACE = 1.0
"""Metres by which the two places that a shot names, projected and geodetic, may differ."""


@dataclass(frozen=True, eq=False)
class OdmShot:
    """A photograph that ODM could place.

    Attributes:
        name: of the file.
        camera: key of its camera in `cameras.json`.
        position: (3,) easting, northing (m, of the project's CRS) and height as ODM has it, m.
        rotation: (3, 3) from axes along easting, northing and up to the camera's.
        time: of the exposure, seconds since 1970; 0 where the photograph does not tell.
    """

    name: str
    camera: str
    position: Array
    rotation: Array
    time: float

    def pose(self, frame: LocalFrame, crs: str, vertical_datum: str) -> Pose:
        """The camera in a local frame: where ODM's map has it, so that map and pose fit each other.

        Args:
            frame: the local frame.
            crs: of the position.
            vertical_datum: what its height is above.
        """
        x, y, z = self.position
        place = frame.from_crs(x, y, z, crs, vertical_datum)
        # The map's axes there, seen in the local frame: turned by the meridian's convergence and the Earth's curvature.
        steps = np.concatenate([np.eye(3), -np.eye(3)]) * 10.0
        x, y, z = (self.position + steps).T
        moved = frame.from_crs(x, y, z, crs, vertical_datum)
        u, _, vt = np.linalg.svd((moved[:3] - moved[3:]).T)
        return Pose(u @ vt @ self.rotation.T, place)


@dataclass(frozen=True, eq=False)
class OdmProject:
    """A project as far as it tells where its photographs were taken.

    Attributes:
        folder: of the project.
        crs: projected CRS of all its coordinates.
        shots: the photographs that were placed, in the order of their names.
        cameras: of `cameras.json`, by key.
    """

    folder: Path
    crs: str
    shots: tuple[OdmShot, ...]
    cameras: Mapping[str, Any]

    def camera(self) -> Camera:
        """The camera of all photographs, as stored.

        Raises:
            EvaluationError: there are several, or it has a model that geo_nav has not.
        """
        used = sorted({shot.camera for shot in self.shots})
        if len(used) > 1:
            raise EvaluationError(
                f"{self.folder} has photographs of several cameras, a survey has one: {', '.join(used)}"
            )
        return camera_of(self.cameras[used[0]], f"'{used[0]}' of {self.folder / 'cameras.json'}")


def orthophoto(project: Path) -> Path:
    """Where a project has its orthophoto."""
    return project / "odm_orthophoto" / "odm_orthophoto.tif"


def surface_model(project: Path) -> Path:
    """Where a project has its surface model."""
    return project / "odm_dem" / "dsm.tif"


def projected_crs(raster: Path) -> str:
    """The CRS of a raster of a project.

    Raises:
        EvaluationError: it is missing, damaged, or not georeferenced.
    """
    if not raster.is_file():
        hint = ": process it with --dsm" if raster.name == "dsm.tif" else ""
        raise EvaluationError(f"the project has no {raster}{hint}")
    try:
        with open_raster(raster) as opened:
            if opened.crs is None or not opened.crs.is_projected:
                raise EvaluationError(f"{raster} is not georeferenced: its photographs had no GPS")
            crs: str = opened.crs.to_string()
            return crs
    except (SiteError, RasterioIOError) as error:
        raise EvaluationError(str(error)) from error


def read_project(folder: Path, crs: str) -> OdmProject:
    """Reads `cameras.json` and `odm_report/shots.geojson` of a project.

    Args:
        folder: of the project.
        crs: the projected CRS that its coordinates should be in.

    Raises:
        EvaluationError: a file is missing or damaged, the project is in pieces, moved afterwards or in another CRS.
    """
    if (folder / "odm_georeferencing" / "alignment_matrix.json").is_file():
        raise EvaluationError(f"{folder} was moved onto other data (--align): ODM does not turn its shots with it")
    reconstruction = folder / "opensfm" / "reconstruction.json"
    if reconstruction.is_file():
        pieces = read_json(reconstruction, list)
        if len(pieces) > 1:
            sizes = ", ".join(str(len(piece.get("shots", {}))) for piece in pieces)
            raise EvaluationError(
                f"{folder} fell into {len(pieces)} reconstructions ({sizes} photographs) that nothing ties: "
                "more overlap is needed"
            )
    cameras = read_json(folder / "cameras.json", dict)
    file = folder / "odm_report" / "shots.geojson"
    features = read_json(file, dict).get("features")
    if not isinstance(features, list) or not features:
        raise EvaluationError(f"{file} has no photograph")
    shots = sorted((_shot(feature, cameras, crs, file) for feature in features), key=lambda shot: shot.name)
    if len({shot.name for shot in shots}) < len(shots):
        raise EvaluationError(f"{file} has a photograph twice")
    return OdmProject(folder, crs, tuple(shots), cameras)


def _shot(feature: Mapping[str, Any], cameras: Mapping[str, Any], crs: str, file: Path) -> OdmShot:
    try:
        told = feature["properties"]
        name = str(told["filename"])
        # OpenSfM's keys begin with the version of their format, those of cameras.json do not.
        camera = str(told["camera"]).removeprefix("v2 ")
        position, vector = np.array(told["translation"], float), np.array(told["rotation"], float)
        longitude, latitude = (float(v) for v in feature["geometry"]["coordinates"][:2])
        time = float(told.get("capture_time") or 0.0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise EvaluationError(f"{file} has a photograph that cannot be read: {error!r}") from error
    if position.shape != (3,) or vector.shape != (3,) or not np.isfinite([*position, *vector]).all():
        raise EvaluationError(f"{file}: the pose of {name} is not three and three numbers")
    if Path(name).name != name:
        raise EvaluationError(f"{file}: '{name}' is not the name of a photograph")
    if not isinstance(cameras.get(camera), dict):
        raise EvaluationError(f"{file}: the camera of {name}, '{camera}', is not in cameras.json")
    try:
        lat, lon, _ = geodetic_from_crs(position[0], position[1], 0.0, crs)
        apart = float(np.linalg.norm(LocalFrame(latitude, longitude, 0.0).from_geodetic(lat, lon, 0.0)))
    except GeodesyError as error:
        raise EvaluationError(f"{file}: the place of {name} is not in {crs}: {error}") from error
    if apart > _SAME_PLACE:
        raise EvaluationError(f"{file}: the place of {name} is not in {crs}, that of the map: {apart:.0f} m off")
    return OdmShot(name, camera, position, Rotation.from_rotvec(vector).as_matrix(), time)


def camera_of(content: Mapping[str, Any], where: str) -> Camera:
    """A camera of `cameras.json` in pixels.

    OpenSfM measures in the picture's longer side, from its middle; `Camera` in pixels from the centre of the first.

    Raises:
        EvaluationError: its model is one that geo_nav has not, or a number is missing.
    """
    kind = content.get("projection_type", "perspective")
    if kind not in _MODELS:
        raise EvaluationError(f"the camera {where} is '{kind}': only {', '.join(_MODELS)} can be taken over")
    model, names = _MODELS[kind]
    try:
        width, height = int(content["width"]), int(content["height"])
        focal = [content["focal"]] * 2 if "focal" in content else [content["focal_x"], content["focal_y"]]
        scale = max(width, height)
        return Camera(
            width,
            height,
            fx=float(focal[0]) * scale,
            fy=float(focal[1]) * scale,
            cx=float(content.get("c_x", 0.0)) * scale + (width - 1) / 2.0,
            cy=float(content.get("c_y", 0.0)) * scale + (height - 1) / 2.0,
            distortion_model=model,
            distortion=tuple(float(content.get(name, 0.0)) for name in names),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"the camera {where} cannot be read: {error!r}") from error
    except RenderingError as error:
        raise EvaluationError(f"the camera {where} is none: {error}") from error
