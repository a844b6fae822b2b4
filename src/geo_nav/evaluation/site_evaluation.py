"""Photographs with known poses, registered from random priors: how often, how well, how honestly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo_nav.evaluation.bench.frame_sets import BenchFrame, SurveySet, impostor_frames
from geo_nav.evaluation.bench.laws import PriorErrorLaw
from geo_nav.evaluation.bench.results import QueryResult, Tally, finite
from geo_nav.evaluation.bench.station import Query, Station, frame_queries
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.match_picture import match_picture, write_picture
from geo_nav.evaluation.survey import photo_config, read_survey
from geo_nav.registration import RegistrationConfig

__all__ = ["SiteEvaluation", "evaluate_site", "parse_prior_error", "photo_config"]


@dataclass(frozen=True)
class SiteEvaluation(Tally):
    """All queries of a survey.

    Attributes:
        queries: one for each photograph and draw.
        site: its name.
        matcher: name.
        law: of the priors' errors.
        seed: of the priors.
    """

    site: str
    matcher: str
    law: PriorErrorLaw
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; numbers that are not there are null."""
        head = {"site": self.site, "matcher": self.matcher, "prior_error": list(self.law.limits), "seed": self.seed}
        everything: dict[str, Any] = finite({**head, **self.summary()})
        return {**everything, "results": [q.as_dict() for q in self.queries]}


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
    measured: bool = True,
    progress: Callable[[QueryResult, int], None] | None = None,
) -> SiteEvaluation:
    """Registers the queries of a survey from random priors and compares with the truth.

    Args:
        folder: laid out as `shared/data/README.md` says.
        matcher: name.
        prior_error: horizontal metres, degrees of heading, degrees of tilt: the limits of
            :class:`~geo_nav.evaluation.bench.laws.PriorErrorLaw`.
        seed: of the priors.
        repeat: random priors for each query.
        config: of registration; :func:`~geo_nav.evaluation.survey.photo_config` when None.
        matching: options of the matcher.
        pictures: folder to which the match picture of each query is written.
        impostors: another survey whose photographs are offered in place of this one's, with this one's priors:
            every accept is false. What is measured then is the gates.
        measured: see :class:`~geo_nav.evaluation.bench.frame_sets.SurveySet`.
        progress: called after each query with its result and the number of all.

    Raises:
        EvaluationError: the folder cannot be read, or ``repeat`` is not positive.
        GeoNavError: of the rooms that are used.
    """
    if repeat < 1:
        raise EvaluationError(f"repeat must be 1 or more, got {repeat}")
    survey = read_survey(folder)
    law = PriorErrorLaw(prior_error[0], math.radians(prior_error[1]), math.radians(prior_error[2]))
    frame_set = SurveySet(survey, config or photo_config(), measured)
    frames = list(frame_set.frames(len(survey.queries)))
    if impostors is None:
        queries = frame_queries(frames, law, seed, repeat)
    else:
        queries = _impostor_queries(frames, impostor_frames([read_survey(impostors)]), law, seed, repeat)
    results: list[QueryResult] = []
    with Station(frame_set) as station:
        registrar = station.registrar(matcher, frame_set.config, matching or {})
        for query in queries:
            found, result = station.register(registrar, query)
            results.append(result)
            if pictures is not None and registrar.last_frame is not None and registrar.last_view is not None:
                picture = match_picture(registrar, station.renderer, found)
                write_picture(pictures / f"{Path(query.name).stem}_{query.draw}.jpg", picture)
            if progress is not None:
                progress(result, len(queries))
    return SiteEvaluation(tuple(results), station.site.name, matcher, law, seed)


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


def _impostor_queries(
    frames: list[BenchFrame], shown: list[BenchFrame], law: PriorErrorLaw, seed: int, repeat: int
) -> list[Query]:
    """Each of the other survey's photographs, and each of this one's places, at least once a draw."""
    pairs = [(frames[i % len(frames)], shown[i % len(shown)]) for i in range(max(len(frames), len(shown)))]
    return [
        Query(other.name, draw, other.read, own.T_map_camera, None, law, (seed, own.number, draw))
        for draw in range(repeat)
        for own, other in pairs
    ]
