"""A surveyed folder: photographs with their true poses, beside a site model made from some of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.json_file import read_json
from geo_nav.geodesy import GeodesyError, Pose
from geo_nav.registration import RegistrationConfig
from geo_nav.rendering import Camera, RenderingError


@dataclass(frozen=True, eq=False)
class SurveyPhoto:
    """A photograph of a survey.

    Attributes:
        name: of the file.
        path: of the file.
        is_query: whether it was kept out of the site model, so that it may be scored.
        T_map_camera: its true pose in the site's frame.
    """

    name: str
    path: Path
    is_query: bool
    T_map_camera: Pose

    def read(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB.

        Raises:
            EvaluationError: the file is missing or damaged.
        """
        return read_image(self.path)


@dataclass(frozen=True, eq=False)
class Survey:
    """A surveyed folder.

    Attributes:
        folder: where it lies; the site model is loaded from it too.
        camera: of all its photographs, as stored.
        photos: in the order of `truth.csv`.
    """

    folder: Path
    camera: Camera
    photos: tuple[SurveyPhoto, ...]

    @property
    def queries(self) -> tuple[SurveyPhoto, ...]:
        """The photographs to score on."""
        return tuple(p for p in self.photos if p.is_query)


def photo_config(max_width: int = 1280) -> RegistrationConfig:
    """Parameters for photographs, where accuracy counts and time does not: the full sharpness of the site is used.

    Raises:
        EvaluationError: the width is out of range.
    """
    try:
        return RegistrationConfig(max_width=max_width, min_width=min(640, max_width), next_pass_shift=0.05)
    except ValidationError as error:
        raise EvaluationError(f"photographs cannot be reduced to a width of {max_width} pixels") from error


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """A picture file as stored (an EXIF orientation is not applied: calibrations are of the stored rows).

    Raises:
        EvaluationError: it is missing, damaged or not a picture.
    """
    if not path.is_file():
        raise EvaluationError(f"there is no picture at {path}")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise EvaluationError(f"{path} is not a picture that OpenCV can read")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_camera(path: Path) -> Camera:
    """The camera of a `camera.json`.

    Two layouts are understood: a survey's (width, height, fx, fy, cx, cy with pixel centres at +0.5, as COLMAP
    writes them, and ``distortion_k1_k2_p1_p2``), and the fields of :class:`~geo_nav.rendering.Camera` (pixel
    centres at whole numbers, ``distortion_model`` and ``distortion``).

    Raises:
        EvaluationError: the file is missing, not JSON or not a camera.
    """
    content = read_json(path, dict)
    try:
        surveyed = "distortion_k1_k2_p1_p2" in content
        centre = 0.5 if surveyed else 0.0
        coefficients = content["distortion_k1_k2_p1_p2"] if surveyed else content.get("distortion", ())
        return Camera(
            width=int(content["width"]),
            height=int(content["height"]),
            fx=float(content["fx"]),
            fy=float(content["fy"]),
            cx=float(content["cx"]) - centre,
            cy=float(content["cy"]) - centre,
            distortion_model="plumb_bob" if surveyed else str(content.get("distortion_model", "none")),
            distortion=tuple(float(k) for k in coefficients),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"{path} is not a camera: {error!r} (width, height, fx, fy, cx, cy …)") from error
    except RenderingError as error:
        raise EvaluationError(f"{path} is not a camera: {error}") from error


def read_survey(folder: str | Path, scored: bool = True) -> Survey:
    """Reads `camera.json` and `truth.csv` of a folder laid out as the tutorial says.

    Args:
        folder: of the survey.
        scored: whether it must have photographs to score on.

    Raises:
        EvaluationError: a file is missing or damaged, or no photograph has the role ``query`` though some should.
    """
    folder = Path(folder)
    camera = read_camera(folder / "camera.json")
    truth = folder / "truth.csv"
    if not truth.is_file():
        raise EvaluationError(f"the survey {folder} has no truth.csv")
    with truth.open(newline="", encoding="utf-8") as file:
        photos = tuple(_photo(row, folder, line) for line, row in enumerate(csv.DictReader(file), start=2))
    if scored and not any(p.is_query for p in photos):
        raise EvaluationError(
            f"{truth} has no photograph with the role 'query': none was kept out of the map to score on"
        )
    return Survey(folder, camera, photos)


def _photo(row: Mapping[str, str], folder: Path, line: int) -> SurveyPhoto:
    try:
        name, role = row["name"], row["role"]
        centre = [float(row[k]) for k in ("east_m", "north_m", "up_m")]
        w, x, y, z = (float(row[k]) for k in ("qw", "qx", "qy", "qz"))
        # x_cam = R(q) (X - C): q turns the map into the camera.
        T_map_camera = Pose(Pose.from_quaternion([x, y, z, w], np.zeros(3)).rotation.T, np.array(centre))
    except (KeyError, TypeError, ValueError, GeodesyError) as error:
        raise EvaluationError(f"line {line} of {folder / 'truth.csv'} cannot be read: {error!r}") from error
    return SurveyPhoto(name, folder / "images" / name, role == "query", T_map_camera)
