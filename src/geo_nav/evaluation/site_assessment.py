"""How far a site model lies from the truth, measured with photographs of known pose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo_nav.evaluation.bench.laws import PriorErrorLaw
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.survey import photo_config, read_survey
from geo_nav.matching import create_matcher
from geo_nav.registration import Registrar, RegistrationError
from geo_nav.registration.sharpness import texel_size
from geo_nav.registration.site_error import Observation, estimate_model_error, observe
from geo_nav.rendering import create_renderer
from geo_nav.site import ModelError, load_site

_LAW = PriorErrorLaw(position=5.0, heading=math.radians(3.0), tilt=math.radians(1.0))
"""The photographs' poses are known; a small error lets the search be the one that is used in flight."""


@dataclass(frozen=True, eq=False)
class SiteAssessment:
    """What photographs of known pose tell of a site model.

    Attributes:
        described: the error that the site's description tells.
        measured: the error that makes the photographs' fixes most likely.
        tried: number of photographs.
        used: number of them that registered.
    """

    described: ModelError
    measured: ModelError
    tried: int
    used: int


def assess_site(
    folder: str | Path,
    matcher: str = "sift",
    photographs: int = 16,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SiteAssessment:
    """Measures the error of a surveyed folder's site model with the photographs that it was made from.

    The queries are left out: what is told of them afterwards is told of photographs that nothing was fitted to.

    Args:
        folder: laid out as `shared/data/README.md` says.
        matcher: name; one that localises well (sift) tells the model's error from its own.
        photographs: of role ``model`` that are registered, evenly over the survey.
        seed: of the priors.
        progress: called after each with its number from 1 and the number of all.

    Raises:
        EvaluationError: the folder cannot be read or has no photographs of role ``model``, or too few of them register.
        GeoNavError: of the rooms that are used.
    """
    survey = read_survey(folder, scored=False)
    candidates = [photo for photo in survey.photos if not photo.is_query]
    if not candidates:
        raise EvaluationError(f"{survey.folder} has no photograph of role 'model' to measure the site model with")
    chosen = [candidates[i] for i in np.unique(np.linspace(0, len(candidates) - 1, photographs).astype(int))]
    site = load_site(survey.folder)
    renderer = create_renderer(site)
    observations: list[Observation] = []
    try:
        registrar = Registrar(renderer, create_matcher(matcher), photo_config(), site.error, texel_size(site))
        for number, photo in enumerate(chosen, 1):
            prior = _LAW.draw(photo.T_map_camera, np.random.default_rng([seed, number]))
            found = registrar.register(photo.read(), survey.camera, prior, _LAW.covariance())
            if found.accepted:
                observations.append(observe(found, photo.T_map_camera))
            if progress is not None:
                progress(number, len(chosen))
    finally:
        renderer.close()
    try:
        measured = estimate_model_error(observations)
    except RegistrationError as error:
        raise EvaluationError(f"{survey.folder}: {error} ({len(chosen)} tried)") from error
    return SiteAssessment(site.error, measured, len(chosen), len(observations))
