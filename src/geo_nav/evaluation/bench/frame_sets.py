"""What is registered: sets of frames with their true poses, each with the site that they show."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.site_assessment import assess_site
from geo_nav.evaluation.survey import Survey, SurveyPhoto, photo_config, read_image, read_survey
from geo_nav.geodesy import Pose
from geo_nav.registration import RegistrationConfig
from geo_nav.rendering import Camera
from geo_nav.site import ModelError, SiteModel, load_site

_LOG = logging.getLogger(__name__)

Image = npt.NDArray[np.uint8]

SURVEYS = ("caliterra", "brighton_beach")
"""Surveyed folders of GEO_NAV_DATA that are looked for."""


@dataclass(frozen=True, eq=False)
class BenchFrame:
    """A frame with its true pose.

    Attributes:
        name: of the frame in its set.
        number: of the frame in its set; with the seed and the draw it gives the prior.
        T_map_camera: its true pose.
        source: the picture, (H, W, 3) uint8 RGB, or its file: twenty photographs in memory would be a gigabyte.
    """

    name: str
    number: int
    T_map_camera: Pose
    source: Path | Image

    def read(self) -> Image:
        """(H, W, 3) uint8 RGB.

        Raises:
            EvaluationError: the file is missing or damaged.
        """
        return read_image(self.source) if isinstance(self.source, Path) else self.source


class FrameSet(Protocol):
    """Frames of one camera over one site.

    Attributes:
        name: of the set.
        description: a line for the tables.
        camera: of all its frames.
        config: with which its frames are registered.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def description(self) -> str: ...  # noqa: D102

    @property
    def camera(self) -> Camera: ...  # noqa: D102

    @property
    def config(self) -> RegistrationConfig: ...  # noqa: D102

    def load_site(self) -> SiteModel:
        """The site that the frames show."""
        ...

    def frames(self, count: int) -> Sequence[BenchFrame]:
        """About ``count`` frames to score on, spread over the set; as many as there are where there are fewer."""
        ...

    def places(self) -> Sequence[Pose]:
        """Poses at which this camera was on this site."""
        ...

    def close(self) -> None:
        """Frees what the set holds."""
        ...


@dataclass(eq=False)
class SurveySet:
    """The photographs of a surveyed folder; only its queries are scored.

    Attributes:
        survey: the folder.
        config: see :class:`FrameSet`.
        measured: whether the site model's error is measured with the photographs that it was made from, where there
            are enough; else it is what the folder says of it.
    """

    survey: Survey
    config: RegistrationConfig = field(default_factory=photo_config)
    measured: bool = True

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.survey.folder.resolve().name

    @property
    def description(self) -> str:
        """How many photographs."""
        return f"{len(self.survey.queries)} real photographs that the site model was not made from"

    @property
    def camera(self) -> Camera:
        """Of the photographs as stored."""
        return self.survey.camera

    def load_site(self) -> SiteModel:
        """See :class:`FrameSet`."""
        site = load_site(self.survey.folder)
        if not self.measured or all(photo.is_query for photo in self.survey.photos):
            return site
        return replace(site, error=_measured_error(self.survey.folder) or site.error)

    def frames(self, count: int) -> Sequence[BenchFrame]:
        """See :class:`FrameSet`."""
        queries = self.survey.queries
        return [_photo_frame(queries[i], i) for i in spread(len(queries), count)]

    def places(self) -> Sequence[Pose]:
        """See :class:`FrameSet`."""
        return [photo.T_map_camera for photo in self.survey.photos]

    def close(self) -> None:
        """Nothing is held."""


def spread(length: int, count: int) -> list[int]:
    """``count`` indices spread evenly over ``length``; all where there are no more."""
    return sorted(set(np.linspace(0, length - 1, min(length, count)).round().astype(int).tolist()))


def data_folder() -> Path:
    """Where surveyed folders lie: GEO_NAV_DATA, or `../shared/data` beside the checkout."""
    return Path(os.environ.get("GEO_NAV_DATA") or "../shared/data")


def find_surveys(folders: Sequence[Path], skipped: list[str]) -> list[Survey]:
    """The surveys given, or those of :func:`data_folder`.

    Args:
        folders: given; empty for the known ones, of which those that are absent are told in ``skipped``.
        skipped: gets a line for each.

    Raises:
        EvaluationError: a folder that was given, or one that exists, cannot be read.
    """
    if folders:
        return [read_survey(folder) for folder in folders]
    found = []
    for name in SURVEYS:
        folder = data_folder() / name
        if folder.is_dir():
            found.append(read_survey(folder))
        else:
            skipped.append(f"survey {name}: there is no {folder} (GEO_NAV_DATA)")
    return found


def resized_to(image: Image, camera: Camera) -> Image:
    """A picture of another camera in the size of this one's."""
    size = (camera.width, camera.height)
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def impostor_frames(surveys: Sequence[Survey], host: str = "") -> list[BenchFrame]:
    """All photographs of the surveys that are not ``host``: none shows a place of it."""
    photos = [p for s in surveys if s.folder.resolve().name != host for p in s.photos]
    return [_photo_frame(photo, i) for i, photo in enumerate(photos)]


@functools.lru_cache(maxsize=8)
def _measured_error(folder: Path) -> ModelError | None:
    try:
        return assess_site(folder).measured
    except EvaluationError as error:
        _LOG.warning("the site model's error is taken as described: %s", error)
        return None


def _photo_frame(photo: SurveyPhoto, number: int) -> BenchFrame:
    return BenchFrame(photo.name, number, photo.T_map_camera, photo.path)
