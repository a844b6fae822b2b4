"""From a project of OpenDroneMap to a surveyed folder."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.odm_project import (
    OdmProject,
    OdmShot,
    orthophoto,
    projected_crs,
    read_project,
    surface_model,
)
from geo_nav.geodesy import GeodesyError, LocalFrame, Pose, geodetic_from_crs, geoid_undulation
from geo_nav.rendering import Camera
from geo_nav.site.raster import open_raster

Array = npt.NDArray[np.float64]

_LEAST_SHARED = 3
_WORST_TIE = 0.02
"""RMS of the shared photographs' places after the tie, in flying heights: more, and they are not the same ones."""

_SAME_LENS = 0.5
"""Pixels by which the calibrations of two projects may differ at the rim of the picture."""


@dataclass(frozen=True)
class OdmSurvey:
    """What was made of a project.

    Attributes:
        model: photographs that the map was made from.
        queries: photographs that were kept out of it.
        left_out: pictures of the folder that got no pose.
        tie: RMS of the shared photographs' places after the two projects were tied, m; None with one project.
        scale: of the tie; None with one project.
    """

    model: int
    queries: int
    left_out: tuple[str, ...]
    tie: float | None
    scale: float | None


def make_survey(
    project: Path, out: Path, vertical_datum: str, truth: Path | None = None, images: Path | None = None
) -> OdmSurvey:
    """Writes a surveyed folder: the map of a project, and where its photographs were taken.

    Args:
        project: whose orthophoto and surface model become the map.
        out: the folder to make; it must be empty or not there.
        vertical_datum: what the project's heights are above, as the GPS tags or control points were.
        truth: a second project with more photographs, whose poses are taken; those that the first has not are queries.
        images: folder of the photographs; else that of the project whose poses are taken.

    Raises:
        EvaluationError: a file is missing or damaged, or the projects do not fit each other.
    """
    if out.exists() and any(out.iterdir()):
        raise EvaluationError(f"{out} is not empty: name another folder for the survey")
    crs = projected_crs(surface_model(project))
    if projected_crs(orthophoto(project)) != crs:
        raise EvaluationError(f"the orthophoto and the surface model of {project} have different CRS")
    mapped = read_project(project, crs)
    posed = mapped if truth is None else read_project(truth, crs)
    camera = posed.camera()
    frame = _datum(mapped, surface_model(project), vertical_datum)
    poses_of_map = {shot.name: shot.pose(frame, crs, vertical_datum) for shot in mapped.shots}
    poses, tie, scale = poses_of_map, None, None
    roles = dict.fromkeys(poses, "model")
    if truth is not None:
        _require_one_lens(camera, mapped.camera(), project, truth)
        own = {shot.name: shot.pose(frame, crs, vertical_datum) for shot in posed.shots}
        poses, tie, scale = tie_poses(own, poses_of_map)
        roles = _roles(poses, poses_of_map, project)
    pictures = images or posed.folder / "images"
    shots = [shot for shot in posed.shots if shot.name in roles]
    missing = [shot.name for shot in shots if not (pictures / shot.name).is_file()]
    if missing:
        raise EvaluationError(f"{pictures} lacks {len(missing)} of {len(shots)} photographs, such as {missing[0]}")
    _write_tables(out, shots, roles, poses, camera, frame)
    _write_map(project, out / "site", vertical_datum)
    (out / "images").mkdir()
    for shot in shots:
        shutil.copy2(pictures / shot.name, out / "images" / shot.name)
    left_out = tuple(sorted(set(_pictures(pictures)) - set(roles)))
    queries = sum(role == "query" for role in roles.values())
    return OdmSurvey(len(shots) - queries, queries, left_out, tie, scale)


def _roles(poses: Iterable[str], of_map: Container[str], project: Path) -> dict[str, str]:
    """By name; a photograph that the map's project had, yet could not place, gets none."""
    had = set(_pictures(project / "images"))
    roles = {name: "model" if name in of_map else "query" for name in poses if name in of_map or name not in had}
    if "query" not in roles.values():
        raise EvaluationError(
            f"all photographs of the second project are in {project} too: none was kept out of the map"
        )
    return roles


def tie_poses(poses: dict[str, Pose], onto: dict[str, Pose]) -> tuple[dict[str, Pose], float, float]:
    """Poses of one adjustment moved onto those of another by the similarity between the photographs that both have.

    The similarity is that of least squares (Umeyama 1991) between the places; its rotation, so that one strip is
    enough, also between the axes of each camera, at the length of the flying height.

    Args:
        poses: of the photographs by name.
        onto: some of the same photographs in the other adjustment.

    Returns:
        all of ``poses`` moved, the RMS of the shared places after it (m), and the scale.

    Raises:
        EvaluationError: fewer than three are shared, or they do not fit.
    """
    shared = sorted(set(poses) & set(onto))
    if len(shared) < _LEAST_SHARED:
        raise EvaluationError(f"the projects share {len(shared)} photographs: {_LEAST_SHARED} at least tie them")
    height = float(np.median([abs(onto[name].translation[2]) for name in shared]))
    source, target = (np.array([some[name].translation for name in shared]) for some in (poses, onto))
    middle, place = source.mean(axis=0), target.mean(axis=0)
    source, target = source - middle, target - place
    axes = sum(onto[name].rotation @ poses[name].rotation.T for name in shared)
    u, _, vt = np.linalg.svd(target.T @ source + height**2 * axes)
    rotation = (u * [1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    spread = float((source**2).sum())
    scale = float((target * (source @ rotation.T)).sum()) / spread if spread > 0.0 else 0.0
    if scale <= 0.0:
        raise EvaluationError("the photographs that both projects have do not lie in the same order in them")
    moved = {
        name: Pose(rotation @ pose.rotation, place + scale * rotation @ (pose.translation - middle))
        for name, pose in poses.items()
    }
    rms = float(np.sqrt(np.mean([moved[name].distance_to(onto[name]) ** 2 for name in shared])))
    if rms > _WORST_TIE * height:
        raise EvaluationError(
            f"the {len(shared)} photographs that both projects have lie {rms:.2f} m (RMS) apart after the projects are "
            f"tied, at {height:.0f} m above ground: one of the adjustments failed, or they are not the same photographs"
        )
    return moved, rms, scale


def _require_one_lens(camera: Camera, other: Camera, project: Path, truth: Path) -> None:
    """Two calibrations put the same photographs at other heights, which the tie would hand on to the queries."""
    x, y = np.meshgrid(np.linspace(0, camera.width - 1, 5), np.linspace(0, camera.height - 1, 5))
    pixels = np.column_stack([x.ravel(), y.ravel()])
    same_size = (camera.width, camera.height) == (other.width, other.height)
    apart = np.abs(other.project(camera.rays(pixels)) - pixels).max() if same_size else np.inf
    if not apart <= _SAME_LENS:
        raise EvaluationError(
            f"the projects calibrated the camera each for itself ({apart:.1f} pixels apart): process {project} again "
            f"with --cameras {truth / 'cameras.json'} --use-fixed-camera-params"
        )


def _datum(project: OdmProject, dsm: Path, vertical_datum: str) -> LocalFrame:
    """Origin: in the middle of the photographs, at the median height of the surface."""
    with open_raster(dsm) as raster:
        factor = max(1.0, (raster.width * raster.height / 1e6) ** 0.5)
        shape = (max(1, int(raster.height / factor)), max(1, int(raster.width / factor)))
        heights = raster.read(1, out_shape=shape, resampling=Resampling.nearest, masked=True).compressed()
    heights = heights[np.isfinite(heights)]
    if len(heights) == 0:
        raise EvaluationError(f"{dsm} has no height")
    east, north, _ = np.mean([shot.position for shot in project.shots], axis=0)
    try:
        latitude, longitude, height = geodetic_from_crs(east, north, np.median(heights), project.crs, vertical_datum)
    except GeodesyError as error:
        raise EvaluationError(str(error)) from error
    return LocalFrame(float(latitude), float(longitude), float(height))


def _write_tables(
    out: Path,
    shots: Sequence[OdmShot],
    roles: dict[str, str],
    poses: dict[str, Pose],
    camera: Camera,
    frame: LocalFrame,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    names = ("width", "height", "fx", "fy", "cx", "cy", "distortion_model", "distortion")
    (out / "camera.json").write_text(json.dumps({name: getattr(camera, name) for name in names}, indent=1))
    datum = {"lat0": frame.latitude, "lon0": frame.longitude, "h0_ellipsoid": frame.height}
    (out / "datum.json").write_text(json.dumps(datum, indent=1))
    with (out / "meta.csv").open("w", newline="") as tags, (out / "truth.csv").open("w", newline="") as rows:
        meta, truth = csv.writer(tags), csv.writer(rows)
        meta.writerow(["name", "time"])
        truth.writerow(["name", "role", "east_m", "north_m", "up_m", "qw", "qx", "qy", "qz"])
        for shot in shots:
            time = datetime.fromtimestamp(shot.time, UTC)
            # Whole seconds as EXIF has them: not a fraction that says more than is known.
            pattern = "%Y:%m:%d %H:%M:%S" if time.microsecond == 0 else "%Y:%m:%d %H:%M:%S.%f"
            meta.writerow([shot.name, time.strftime(pattern) if shot.time else ""])
            x, y, z, w = poses[shot.name].inverse().quaternion
            numbers = (*poses[shot.name].translation, w, x, y, z)
            truth.writerow([shot.name, roles[shot.name], *(float(v) for v in numbers)])


def _write_map(project: Path, site: Path, vertical_datum: str) -> None:
    """The rasters; the surface model's heights become ellipsoidal."""
    site.mkdir()
    shutil.copy(orthophoto(project), site / "ortho.tif")
    if vertical_datum == "ellipsoid":
        shutil.copy(surface_model(project), site / "dsm.tif")
        return
    with open_raster(surface_model(project)) as source:
        profile = source.profile | {"driver": "GTiff", "dtype": "float32", "count": 1}
        with rasterio.open(site / "dsm.tif", "w", **profile) as raised:
            for _, window in source.block_windows(1):
                heights = source.read(1, window=window, masked=True)
                geoid = _geoid(source, window, heights.shape, vertical_datum)
                hole = np.nan if source.nodata is None else source.nodata
                raised.write((heights + geoid).astype(np.float32).filled(hole), 1, window=window)


def _geoid(raster: Any, window: Any, shape: tuple[int, int], vertical_datum: str) -> Array:
    """Its height over a block of a raster: linear between the corners, which is a millimetre off at most over 1 km."""
    rows, columns = shape
    x, y = raster.window_transform(window) * np.array([[0, columns, 0, columns], [0, 0, rows, rows]])
    latitude, longitude, _ = geodetic_from_crs(x, y, np.zeros(4), raster.crs.to_string())
    (a, b), (c, d) = geoid_undulation(latitude, longitude, vertical_datum).reshape(2, 2)
    v, u = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    return np.asarray((1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * c + u * d))


def _pictures(folder: Path) -> list[str]:
    """Names of the pictures in a folder."""
    kinds = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
    return [path.name for path in folder.iterdir() if path.suffix.lower() in kinds] if folder.is_dir() else []
