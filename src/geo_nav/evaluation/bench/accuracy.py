"""Frames at their own places, from random priors: success, error, honesty, time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from geo_nav.evaluation.bench.laws import named_law
from geo_nav.evaluation.bench.results import QueryResult, Tally
from geo_nav.evaluation.bench.station import Station, frame_queries
from geo_nav.registration import RegistrationConfig

Step = Callable[[], None]
"""Called after each query."""


def opened(config: RegistrationConfig) -> RegistrationConfig:
    """The same with the gate on false alarms open: its limit is applied to the results, and can so be swept."""
    return config.model_copy(update={"max_log10_false_alarms": 0.0})


def measure_accuracy(
    station: Station,
    matcher: str,
    prior: str,
    frames: int,
    seed: int,
    options: dict[str, Any],
    step: Step,
) -> list[QueryResult]:
    """Registers the frames of a set, each from one random prior, with the gate on false alarms open.

    Args:
        station: of the set.
        matcher: name.
        prior: name of a law.
        frames: number of frames.
        seed: of the priors.
        options: of the matcher.
        step: called after each.
    """
    registrar = station.registrar(matcher, opened(station.frame_set.config), options)
    results = []
    for query in frame_queries(list(station.frame_set.frames(frames)), named_law(prior), seed):
        results.append(station.register(registrar, query)[1])
        step()
    return results


def at_limit(results: Sequence[QueryResult], limit: float) -> Tally:
    """The results with the gate on false alarms at a limit."""
    return Tally(tuple(result.at_limit(limit) for result in results))
