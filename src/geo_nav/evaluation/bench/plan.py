"""The cells of a run: every entry of its tables, with all that it depends on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geo_nav.evaluation.bench.accuracy import Step, measure_accuracy
from geo_nav.evaluation.bench.comparisons.side_by_side import (
    as_dicts,
    lightglue_name,
    measure_side_by_side,
    other_methods,
)
from geo_nav.evaluation.bench.latency import measure_latency
from geo_nav.evaluation.bench.laws import LAWS, named_law
from geo_nav.evaluation.bench.options import BenchOptions
from geo_nav.evaluation.bench.sources import SetSource
from geo_nav.evaluation.bench.station import Station
from geo_nav.evaluation.bench.wrong_places import KINDS, measure_wrong_places


@dataclass(frozen=True, eq=False)
class Cell:
    """One entry of a table.

    Attributes:
        part: that it belongs to.
        labels: of its row: set, matcher, prior or kind.
        options: all that it depends on besides the source; JSON.
        steps: registrations that it takes.
        run: makes it; JSON.
    """

    part: str
    labels: tuple[str, ...]
    options: dict[str, Any]
    steps: int
    run: Callable[[Station, Step], dict[str, Any]]

    @property
    def name(self) -> str:
        """Of its file."""
        return "-".join((self.part, *self.labels))


def plan_cells(options: BenchOptions, source: SetSource, matchers: tuple[str, ...], sets: int) -> list[Cell]:
    """The cells of a set.

    Args:
        options: of the run.
        source: the set.
        matchers: names.
        sets: number of sets over which the tries at wrong places are spread.
    """
    cells: list[Cell] = []
    if not source.wrong_places_only:
        if "accuracy" in options.parts:
            cells += [_accuracy(options, source, m, p) for m in matchers for p in options.priors]
        if "comparisons" in options.parts:
            cells += [_comparison(options, source, prior) for prior in options.priors]
        if "latency" in options.parts:
            cells.append(_latency(options, source))
    if "wrong-places" in options.parts:
        # A set may have nothing to offer of one kind (no other survey, no place far enough): one kind is spare.
        for matcher in dict.fromkeys((options.default_matcher, *matchers)):
            tries = math.ceil(options.tries_of(matcher) / (sets * (len(KINDS) - 1)))
            kinds = ("other_place",) if source.wrong_places_only else KINDS
            cells += [_wrong(options, source, matcher, kind, tries) for kind in kinds if tries]
    return cells


def _key(options: BenchOptions, source: SetSource, matcher: str, frames: int) -> dict[str, Any]:
    return {
        "set": source.identity,
        # The limit of the swept gate is applied to the results and does not change them.
        "config": source.config.model_dump(exclude={"max_log10_false_alarms"}),
        "matcher": matcher,
        "threads": options.threads,
        "frames": frames,
        "seed": options.seed,
    }


def _accuracy(options: BenchOptions, source: SetSource, matcher: str, prior: str) -> Cell:
    frames, law = options.frames_of(matcher), named_law(prior)

    def run(station: Station, step: Step) -> dict[str, Any]:
        results = measure_accuracy(station, matcher, prior, frames, options.seed, _matching(options), step)
        return {"results": [result.as_dict() for result in results]}

    key = {**_key(options, source, matcher, frames), "law": law.describe()}
    return Cell("accuracy", (source.name, matcher, prior), key, frames, run)


def _wrong(options: BenchOptions, source: SetSource, matcher: str, kind: str, tries: int) -> Cell:
    frames = options.frames_of("")

    def run(station: Station, step: Step) -> dict[str, Any]:
        results = measure_wrong_places(
            station, kind, matcher, tries, frames, options.seed, _matching(options), source.impostors, step
        )
        return {"results": [result.as_dict() for result in results]}

    key = {
        **_key(options, source, matcher, frames),
        "tries": tries,
        "laws": [law.describe() for law in LAWS.values()],
        "impostors": [str(frame.source) for frame in source.impostors] if kind == "impostor" else [],
    }
    return Cell("wrong-places", (source.name, matcher, kind), key, tries, run)


def _comparison(options: BenchOptions, source: SetSource, prior: str) -> Cell:
    frames, matcher = options.frames_of("comparisons"), options.default_matcher

    def run(station: Station, step: Step) -> dict[str, Any]:
        results = measure_side_by_side(station, matcher, prior, frames, options.seed, _matching(options), step)
        return {"results": as_dicts(results)}

    key = {
        **_key(options, source, matcher, frames),
        "law": named_law(prior).describe(),
        "lightglue": lightglue_name(),
        "methods": [method.name for method in other_methods([])],
    }
    return Cell("comparisons", (source.name, matcher, prior), key, frames, run)


def _latency(options: BenchOptions, source: SetSource) -> Cell:
    frames, matcher = options.frames_of(""), options.default_matcher

    def run(station: Station, step: Step) -> dict[str, Any]:
        return measure_latency(station, matcher, frames, options.seed, _matching(options), step)

    return Cell("latency", (source.name, matcher), _key(options, source, matcher, frames), frames, run)


def _matching(options: BenchOptions) -> dict[str, Any]:
    return {"threads": options.threads}
