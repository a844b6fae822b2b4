"""A smooth flight through photographs whose poses are known."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.photo_times import exposure_times, parse_time
from geo_nav.evaluation.survey import Survey, SurveyPhoto
from geo_nav.geodesy import Pose
from geo_nav.simulation.trajectory import PoseSpline

Array = npt.NDArray[np.float64]

T_BASE_CAMERA = Pose(np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), np.zeros(3))
"""A camera that looks straight down, the top of its picture forward, at the place of `base_link`."""

_LEAD_SPACING = 2.0


def timed_photos(survey: Survey) -> tuple[list[SurveyPhoto], Array]:
    """The photographs of a survey in the order of time, and their exposure times (s), by its `meta.csv`.

    Raises:
        EvaluationError: `meta.csv` is missing, or lacks the time of a photograph.
    """
    times = _read_times(survey.folder / "meta.csv")
    missing = [photo.name for photo in survey.photos if photo.name not in times]
    if missing:
        raise EvaluationError(f"{survey.folder / 'meta.csv'} has no time for {', '.join(missing[:5])}")
    photos = sorted(survey.photos, key=lambda photo: times[photo.name])
    return photos, exposure_times([times[photo.name] for photo in photos])


def _read_times(path: Path) -> dict[str, float]:
    if not path.is_file():
        raise EvaluationError(f"there is no {path}: the times of the photographs are read from it")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"name", "time"} <= rows[0].keys():
        raise EvaluationError(f"{path} needs the columns 'name' and 'time'")
    return {row["name"]: parse_time(row["time"]) for row in rows}


def flight_of_cameras(stamps: Array, cameras: Sequence[Pose], lead_in: float, tail: float) -> PoseSpline:
    """The flight of a vehicle that carries the camera as :data:`T_BASE_CAMERA` says.

    The path meets every camera pose exactly at its time. Before the first and after the last it goes straight on at
    the speed that it had, without turning: nothing is known of the vehicle there, and nothing is photographed.

    Args:
        stamps: (N,) of the exposures, s, strictly increasing.
        cameras: N true poses ``T_map_camera``.
        lead_in: length of the straight stretch before the first exposure, s.
        tail: length of the straight stretch after the last, s.

    Returns:
        the trajectory of `base_link`, from ``stamps[0] - lead_in`` at 0 to ``tail`` after the last exposure.

    Raises:
        EvaluationError: there are fewer than two photographs.
    """
    if len(stamps) < 2:
        raise EvaluationError(f"a flight needs two photographs or more, not {len(stamps)}")
    poses = [T_map_camera @ T_BASE_CAMERA.inverse() for T_map_camera in cameras]
    t = np.asarray(stamps, dtype=np.float64) - stamps[0] + lead_in
    before, after = _stretch(lead_in)[::-1], _stretch(tail)
    first = [_straight(poses[0], poses[1], t[1] - t[0], -s) for s in before]
    last = [_straight(poses[-1], poses[-2], t[-1] - t[-2], -s) for s in after]
    times = np.concatenate([t[0] - before, t, t[-1] + after])
    return PoseSpline(times, [*first, *poses, *last])


def _straight(pose: Pose, neighbour: Pose, spacing: float, share: float) -> Pose:
    """``pose`` moved on along the line to its neighbour, which is ``spacing`` seconds away, by ``share`` seconds."""
    step = (neighbour.translation - pose.translation) / spacing
    return Pose(pose.rotation, pose.translation + share * step)


def _stretch(length: float) -> Array:
    """Distances in time of a straight stretch's knots from the photograph that it joins; empty for no length."""
    if length <= 0:
        return np.zeros(0)
    return np.linspace(0.0, length, max(3, int(np.ceil(length / _LEAD_SPACING))) + 1)[1:]
