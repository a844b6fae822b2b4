"""Photographs with known poses, registered from random priors: how often, how well, how honestly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.match_picture import match_picture, write_picture
from geo_nav.evaluation.survey import Survey, SurveyPhoto, read_survey
from geo_nav.geodesy import Pose
from geo_nav.matching import create_matcher
from geo_nav.registration import AbsolutePose, Registrar, RegistrationConfig
from geo_nav.registration.gates import squared_mahalanobis
from geo_nav.registration.linearization import moved
from geo_nav.registration.sharpness import texel_size
from geo_nav.rendering import create_renderer
from geo_nav.site import load_site

Array = npt.NDArray[np.float64]

FALSE_ACCEPT = 5.0
"""An accepted pose that is further than this from the truth is false, metres."""
RADII = (0.5, 1.0, 5.0)
"""Shares of the queries are told within these errors, metres."""


@dataclass(frozen=True)
class PriorErrorLaw:
    """How a prior errs.

    Horizontally evenly over a disc of radius ``position``; vertically evenly within ± a third of it (a barometer
    is better than dead reckoning); heading evenly within ± ``heading``; the vertical axis tilted by an angle evenly
    over a disc of radius ``tilt``. The three are independent.

    Attributes:
        position: metres.
        heading: rad.
        tilt: rad.
    """

    position: float
    heading: float
    tilt: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v >= 0.0 for v in (self.position, self.heading, self.tilt)):
            raise EvaluationError(f"a prior's error must be three numbers ≥ 0, got {self}")

    @property
    def limits(self) -> tuple[float, float, float]:
        """Metres, degrees of heading, degrees of tilt."""
        return self.position, math.degrees(self.heading), math.degrees(self.tilt)

    def draw(self, truth: Pose, rng: np.random.Generator) -> Pose:
        """A prior for a true pose."""
        east, north = _in_disc(self.position, rng)
        up = rng.uniform(-self.position / 3.0, self.position / 3.0)
        tilt_east, tilt_north = _in_disc(self.tilt, rng)
        heading = rng.uniform(-self.heading, self.heading)
        return moved(truth, np.array([east, north, up, tilt_east, tilt_north, heading]))

    def covariance(self) -> Array:
        """(6, 6) of the law, ROS order: what the registrar is told."""
        disc, third = self.position**2 / 4.0, (self.position / 3.0) ** 2 / 3.0
        tilt, heading = self.tilt**2 / 4.0, self.heading**2 / 3.0
        return np.diag(np.maximum([disc, disc, third, tilt, tilt, heading], 1e-8))


@dataclass(frozen=True)
class QueryResult:
    """What became of one query.

    Attributes:
        name: of the photograph.
        draw: number of the random prior, from 0.
        prior_error_m: distance of the prior from the truth.
        prior_error_deg: its angle.
        status: the verdict.
        reason: the verdict in words.
        matches: that could be lifted.
        inliers: of those.
        reprojection_rms: pixels.
        error_m: of the pose's position; NaN without a pose.
        error_deg: of its rotation.
        nees: normalised estimation error squared, 6 degrees of freedom: 6 on average where the covariance is honest.
        sigma_m: 1 sigma of the position, root of the mean over the axes.
        milliseconds: of each stage.
    """

    name: str
    draw: int
    prior_error_m: float
    prior_error_deg: float
    status: str
    reason: str
    matches: int
    inliers: int
    reprojection_rms: float
    error_m: float
    error_deg: float
    nees: float
    sigma_m: float
    milliseconds: dict[str, float] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether it passed the gates."""
        return self.status == "accepted"

    @property
    def is_false_accept(self) -> bool:
        """Whether it passed the gates with a wrong pose."""
        return self.accepted and not self.error_m <= FALSE_ACCEPT


@dataclass(frozen=True)
class SiteEvaluation:
    """All queries of a survey.

    Attributes:
        site: its name.
        matcher: name.
        law: of the priors' errors.
        seed: of the priors.
        queries: one for each photograph and draw.
    """

    site: str
    matcher: str
    law: PriorErrorLaw
    seed: int
    queries: tuple[QueryResult, ...]

    @property
    def accepted(self) -> tuple[QueryResult, ...]:
        """Those that passed the gates."""
        return tuple(q for q in self.queries if q.accepted)

    @property
    def false_accepts(self) -> int:
        """Number accepted with an error above :data:`FALSE_ACCEPT`."""
        return sum(q.is_false_accept for q in self.queries)

    def within(self, radius: float) -> float:
        """Share of all queries accepted within ``radius`` metres of the truth."""
        return sum(q.error_m <= radius for q in self.accepted) / len(self.queries)

    def median(self, attribute: str) -> float:
        """Median of a number of the accepted queries; NaN where none is."""
        values = [float(getattr(q, attribute)) for q in self.accepted]
        return float(np.median(values)) if values else float("nan")

    @property
    def mean_nees(self) -> float:
        """Mean NEES of the accepted queries, false ones left out; divided by 6, 1 is honest."""
        values = [q.nees for q in self.accepted if not q.is_false_accept]
        return float(np.mean(values)) if values else float("nan")

    def stage_medians(self) -> dict[str, float]:
        """Median milliseconds of each stage over the queries that ran it."""
        stages: dict[str, list[float]] = {}
        for query in self.queries:
            for stage, spent in query.milliseconds.items():
                stages.setdefault(stage, []).append(spent)
        return {stage: float(np.median(spent)) for stage, spent in stages.items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; numbers that are not there are null."""
        summary = {
            "site": self.site,
            "matcher": self.matcher,
            "prior_error": list(self.law.limits),
            "seed": self.seed,
            "queries": len(self.queries),
            "accepted": len(self.accepted),
            "false_accepts": self.false_accepts,
            "false_accept_m": FALSE_ACCEPT,
            **{f"within_{radius:g}_m": self.within(radius) for radius in RADII},
            "median_error_m": self.median("error_m"),
            "median_error_deg": self.median("error_deg"),
            "median_inliers": self.median("inliers"),
            "mean_nees_per_dof": self.mean_nees / 6.0,
            "median_milliseconds": self.stage_medians(),
            "results": [asdict(q) for q in self.queries],
        }
        return {key: _finite(value) for key, value in summary.items()}


def evaluate_site(
    folder: str | Path,
    matcher: str = "sift",
    prior_error: tuple[float, float, float] = (30.0, 10.0, 3.0),
    seed: int = 0,
    repeat: int = 1,
    config: RegistrationConfig | None = None,
    matching: dict[str, Any] | None = None,
    pictures: Path | None = None,
    impostors: str | Path | None = None,
    progress: Callable[[QueryResult, int], None] | None = None,
) -> SiteEvaluation:
    """Registers the queries of a survey from random priors and compares with the truth.

    Args:
        folder: laid out as `shared/data/README.md` says.
        matcher: name.
        prior_error: horizontal metres, degrees of heading, degrees of tilt: the limits of :class:`PriorErrorLaw`.
        seed: of the priors.
        repeat: random priors for each query.
        config: of registration; :func:`photo_config` when None.
        matching: options of the matcher.
        pictures: folder to which the match picture of each query is written.
        impostors: another survey whose photographs are offered in place of this one's, with this one's priors:
            every accept is false. What is measured then is the gates.
        progress: called after each query with its result and the number of all.

    Raises:
        EvaluationError: the folder cannot be read, or ``repeat`` is not positive.
        GeoNavError: of the rooms that are used.
    """
    if repeat < 1:
        raise EvaluationError(f"repeat must be 1 or more, got {repeat}")
    survey = read_survey(folder)
    law = PriorErrorLaw(prior_error[0], math.radians(prior_error[1]), math.radians(prior_error[2]))
    site = load_site(survey.folder)
    renderer = create_renderer(site)
    results: list[QueryResult] = []
    try:
        registrar = Registrar(
            renderer,
            create_matcher(matcher, **(matching or {})),
            config or photo_config(),
            site.sigma,
            texel_size(site),
        )
        tasks = _tasks(survey, impostors, repeat)
        for number, (photo, shown, draw) in enumerate(tasks):
            # Each query's prior depends on the seed, its number and the draw alone, not on what ran before.
            rng = np.random.default_rng([seed, number % len(survey.queries), draw])
            prior = law.draw(photo.T_map_camera, rng)
            image = _as_taken(shown.read(), survey)
            found = registrar.register(image, survey.camera, prior, law.covariance())
            results.append(_score(photo, shown, draw, prior, found, impostor=impostors is not None))
            if pictures is not None and registrar.last_frame is not None and registrar.last_view is not None:
                picture = match_picture(registrar, renderer, found)
                write_picture(pictures / f"{Path(shown.name).stem}_{draw}.jpg", picture)
            if progress is not None:
                progress(results[-1], len(tasks))
    finally:
        renderer.close()
    return SiteEvaluation(site.name, matcher, law, seed, tuple(results))


def photo_config(max_width: int = 1280) -> RegistrationConfig:
    """Parameters for photographs, where accuracy counts and time does not: the full sharpness of the site is used.

    Raises:
        EvaluationError: the width is out of range.
    """
    try:
        return RegistrationConfig(max_width=max_width, min_width=min(640, max_width), next_pass_shift=0.05)
    except ValidationError as error:
        raise EvaluationError(f"photographs cannot be reduced to a width of {max_width} pixels") from error


def parse_prior_error(text: str) -> PriorErrorLaw:
    """The law of ``metres,degrees of heading,degrees of tilt``.

    Raises:
        EvaluationError: the text is not three numbers ≥ 0.
    """
    try:
        position, heading, tilt = (float(part) for part in text.split(","))
    except ValueError as error:
        raise EvaluationError(f"a prior error is 'metres,degrees of heading,degrees of tilt', got '{text}'") from error
    return PriorErrorLaw(position, math.radians(heading), math.radians(tilt))


def _tasks(survey: Survey, impostors: str | Path | None, repeat: int) -> list[tuple[SurveyPhoto, SurveyPhoto, int]]:
    queries = survey.queries
    shown = queries if impostors is None else read_survey(impostors).photos
    count = max(len(queries), len(shown)) if impostors is not None else len(queries)
    return [(queries[i % len(queries)], shown[i % len(shown)], draw) for draw in range(repeat) for i in range(count)]


def _as_taken(image: npt.NDArray[np.uint8], survey: Survey) -> npt.NDArray[np.uint8]:
    """An impostor's photograph in the size of this survey's camera."""
    size = (survey.camera.width, survey.camera.height)
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _score(
    photo: SurveyPhoto, shown: SurveyPhoto, draw: int, prior: Pose, found: AbsolutePose, impostor: bool
) -> QueryResult:
    truth = photo.T_map_camera
    error_m = error_deg = nees = sigma = float("nan")
    if found.T_map_camera is not None and found.covariance is not None and not impostor:
        error_m = found.T_map_camera.distance_to(truth)
        error_deg = math.degrees(found.T_map_camera.angle_to(truth))
        nees = squared_mahalanobis(found.T_map_camera, truth, found.covariance)
        sigma = float(np.sqrt(np.trace(found.covariance[:3, :3]) / 3.0))
    return QueryResult(
        name=shown.name,
        draw=draw,
        prior_error_m=prior.distance_to(truth),
        prior_error_deg=math.degrees(prior.angle_to(truth)),
        status=str(found.status),
        reason=found.reason,
        matches=found.matches,
        inliers=found.inliers,
        reprojection_rms=found.reprojection_rms,
        error_m=error_m,
        error_deg=error_deg,
        nees=nees,
        sigma_m=sigma,
        milliseconds=dict(found.milliseconds),
    )


def _in_disc(radius: float, rng: np.random.Generator) -> tuple[float, float]:
    r, angle = radius * math.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * math.pi)
    return r * math.cos(angle), r * math.sin(angle)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value
