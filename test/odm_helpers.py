"""Projects as OpenDroneMap would have left them, made from surveys whose truth is known."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.odm_project import projected_crs
from geo_nav.evaluation.photo_times import parse_time
from geo_nav.evaluation.survey import read_survey
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.rendering import Camera
from geo_nav.site import load_site

CAMERA_KEY = "v2 dji fc300s 1280 960 brown 0.8"


def in_projection(pose: Pose, frame: LocalFrame, crs: str) -> tuple[np.ndarray, np.ndarray]:
    """Position in a projected CRS and rotation vector from its axes to the camera's, by finite differences."""
    position = frame.to_crs(pose.translation, crs)
    steps = 5.0 * np.concatenate([np.eye(3), -np.eye(3)])
    moved = frame.to_crs(pose.translation + steps, crs)
    jacobian = (moved[:3] - moved[3:]).T / 10.0
    u, _, vt = np.linalg.svd(pose.rotation.T @ np.linalg.inv(jacobian))
    return position, Rotation.from_matrix(u @ vt).as_rotvec()


def write_project(
    folder: Path,
    poses: Mapping[str, Pose],
    frame: LocalFrame,
    crs: str,
    camera: Mapping[str, Any],
    times: Mapping[str, float],
    rasters: tuple[Path, Path] | None = None,
    images: Path | None = None,
) -> None:
    """Writes a project.

    Args:
        folder: of it.
        poses: of the photographs that it placed, in a local frame.
        frame: that frame.
        crs: projected.
        camera: what `cameras.json` says of the one camera.
        times: of the exposures.
        rasters: orthophoto and surface model.
        images: folder of the photographs, of which those with a pose are copied.
    """
    to_geodetic = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    features = []
    for name, pose in poses.items():
        position, vector = in_projection(pose, frame, crs)
        longitude, latitude = to_geodetic.transform(position[0], position[1])
        told = {
            "filename": name, "camera": CAMERA_KEY, "focal": 0.8, "width": camera["width"], "height": camera["height"],
            "capture_time": times[name], "translation": list(position), "rotation": list(vector),
        }  # fmt: skip
        point = {"type": "Point", "coordinates": [longitude, latitude, position[2]]}
        features.append({"type": "Feature", "properties": told, "geometry": point})
    (folder / "odm_report").mkdir(parents=True)
    collection = {"type": "FeatureCollection", "features": features}
    (folder / "odm_report" / "shots.geojson").write_text(json.dumps(collection))
    (folder / "cameras.json").write_text(json.dumps({CAMERA_KEY.removeprefix("v2 "): camera}))
    (folder / "opensfm").mkdir()
    pieces = [{"cameras": {CAMERA_KEY: camera}, "shots": dict.fromkeys(poses)}]
    (folder / "opensfm" / "reconstruction.json").write_text(json.dumps(pieces))
    if rasters is not None:
        for source, place in zip(rasters, ("odm_orthophoto/odm_orthophoto.tif", "odm_dem/dsm.tif"), strict=True):
            (folder / place).parent.mkdir()
            shutil.copy(source, folder / place)
    if images is not None:
        (folder / "images").mkdir()
        for name in poses:
            shutil.copy(images / name, folder / "images" / name)


def calibration(camera: Camera) -> dict[str, Any]:
    """A camera with at most five coefficients of a lens as OpenSfM writes it."""
    longer = max(camera.width, camera.height)
    k1, k2, p1, p2, k3 = (*camera.distortion, *[0.0] * 5)[:5]
    return {
        "projection_type": "brown", "width": camera.width, "height": camera.height,
        "focal_x": camera.fx / longer, "focal_y": camera.fy / longer,
        "c_x": (camera.cx - (camera.width - 1) / 2) / longer, "c_y": (camera.cy - (camera.height - 1) / 2) / longer,
        "k1": k1, "k2": k2, "p1": p1, "p2": p2, "k3": k3,
    }  # fmt: skip


def write_two_projects(survey: Path, folder: Path) -> None:
    """A survey as two projects: `all` places every photograph, `map` is made without those to score on."""
    read, frame, site = read_survey(survey), load_site(survey).frame, survey / "site"
    poses = {photo.name: photo.T_map_camera for photo in read.photos}
    of_map = {photo.name: photo.T_map_camera for photo in read.photos if not photo.is_query}
    with (survey / "meta.csv").open(newline="") as file:
        times = {row["name"]: parse_time(row["time"]) for row in csv.DictReader(file)}
    crs = projected_crs(site / "dsm.tif")
    common = (frame, crs, calibration(read.camera), times)
    write_project(folder / "all", poses, *common, None, survey / "images")
    write_project(folder / "map", of_map, *common, (site / "ortho.tif", site / "dsm.tif"), survey / "images")
