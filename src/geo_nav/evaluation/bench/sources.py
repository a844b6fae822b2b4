"""Where frame sets come from, by name; nothing is opened before it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from geo_nav.evaluation.bench.frame_sets import BenchFrame, FrameSet, SurveySet, find_surveys, impostor_frames
from geo_nav.evaluation.bench.options import BenchOptions
from geo_nav.evaluation.bench.simulated_sets import BARE_FIELDS, FLIGHT, FlightSet, open_condition_set
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.survey import Survey, photo_config
from geo_nav.registration import RegistrationConfig


@dataclass(frozen=True, eq=False)
class SetSource:
    """A frame set that can be opened.

    Attributes:
        name: of the set.
        identity: all that tells it from others of its name; JSON.
        config: with which its frames are registered.
        impostors: photographs of other sites.
        wrong_places_only: whether it is there for wrong places alone.
        open: opens it.
    """

    name: str
    identity: dict[str, Any]
    config: RegistrationConfig
    impostors: tuple[BenchFrame, ...]
    wrong_places_only: bool
    open: Callable[[], FrameSet]


def find_sources(options: BenchOptions, skipped: list[str]) -> tuple[list[SetSource], int]:
    """The sets of a run, and how many there are to choose from.

    The demo's flight is taken only where it is named; its bare stretch comes with any simulated set.

    Args:
        options: of the run.
        skipped: gets a line for each set that is not there.

    Raises:
        EvaluationError: a name is unknown, two surveys share one, or nothing is left.
    """
    from geo_nav.simulation.conditions import condition_names

    surveys = find_surveys(options.surveys, skipped)
    by_name = {survey.folder.resolve().name: survey for survey in surveys}
    if len(by_name) < len(surveys):
        raise EvaluationError("two surveys have folders of the same name: results are told by it")
    conditions = list(condition_names())
    usual = [*by_name, *conditions]
    wanted = select_sets([*usual, FLIGHT], options.sets) if options.sets else usual
    if not wanted:
        raise EvaluationError("there is no frame set: " + "; ".join(skipped))
    sources = []
    for name in wanted:
        impostors = tuple(impostor_frames(surveys, name))
        if name in by_name:
            sources.append(_survey_source(by_name[name], impostors))
        else:
            sources.append(_simulated_source(name, impostors, options))
    if any(source.name not in by_name for source in sources):
        sources.append(_simulated_source(BARE_FIELDS, (), options))
    return sources, len(usual)


def select_sets(available: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The sets to run, in the order in which they are offered.

    Raises:
        EvaluationError: a name is unknown.
    """
    unknown = [name for name in wanted if name not in available]
    if unknown:
        raise EvaluationError(f"there is no frame set {', '.join(unknown)}: use {', '.join(available)}")
    return [name for name in available if name in wanted]


def _survey_source(survey: Survey, impostors: tuple[BenchFrame, ...]) -> SetSource:
    name = survey.folder.resolve().name
    identity = {"survey": str(survey.folder.resolve()), "queries": len(survey.queries)}
    return SetSource(name, identity, photo_config(), impostors, False, lambda: SurveySet(survey))


def _simulated_source(name: str, impostors: tuple[BenchFrame, ...], options: BenchOptions) -> SetSource:
    # The seed of the run is that of the priors; worlds have their own, so that priors can be varied over one world.
    seed, worlds = options.world_seed, options.worlds

    def open_set() -> FrameSet:
        if name in (FLIGHT, BARE_FIELDS):
            return FlightSet(name == BARE_FIELDS, seed, worlds)
        return open_condition_set(name, seed, worlds)

    return SetSource(name, {"world_seed": seed}, RegistrationConfig(), impostors, name == BARE_FIELDS, open_set)
