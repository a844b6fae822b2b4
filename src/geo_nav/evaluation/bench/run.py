"""`geo-nav bench registration`: makes what is missing, and joins all of it into results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geo_nav import GeoNavError
from geo_nav.evaluation.bench.cells import CellStore
from geo_nav.evaluation.bench.comparisons.side_by_side import other_methods
from geo_nav.evaluation.bench.options import BenchOptions
from geo_nav.evaluation.bench.pictures import choose, draw_query, set_row
from geo_nav.evaluation.bench.plan import Cell, plan_cells
from geo_nav.evaluation.bench.results import QueryResult
from geo_nav.evaluation.bench.sources import SetSource, find_sources
from geo_nav.evaluation.bench.station import Station
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.match_picture import write_picture
from geo_nav.matching import matcher_names

Told = Callable[[str, int, int], None]
"""Told what is being made, the number of queries done and of all."""


@dataclass(eq=False)
class BenchResults:
    """What a run has made.

    Attributes:
        options: of the run.
        sources: its sets.
        matchers: names.
        cells: content by part and labels.
        pictures: caption and file, relative to the output folder.
        skipped: what could not be made, a line each.
    """

    options: BenchOptions
    sources: list[SetSource]
    matchers: tuple[str, ...]
    cells: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def queries(self, part: str) -> dict[tuple[str, ...], list[QueryResult]]:
        """The raw queries of a part (``accuracy`` or ``wrong-places``), gate open, by the cells' labels."""
        return {
            labels: [QueryResult.from_dict(r) for r in content["results"]]
            for (name, *rest), content in self.cells.items()
            if name == part
            for labels in [tuple(rest)]
        }

    def limit(self) -> float:
        """Where the gate on false alarms stands, log10."""
        return self.sources[0].config.max_log10_false_alarms


def run_bench(options: BenchOptions, told: Told) -> BenchResults:
    """Makes all cells of a run that are not there yet, and its pictures.

    A cell that cannot be made (a matcher whose weights are missing) is told in ``skipped``; the others go on.

    Args:
        options: of the run.
        told: of the progress.

    Raises:
        EvaluationError: a name is unknown, or the output cannot be written.
    """
    matchers = _matchers(options)
    skipped: list[str] = []
    sources, available = find_sources(options, skipped)
    if "comparisons" in options.parts:
        other_methods(skipped)
    results = BenchResults(options, sources, matchers, skipped=skipped)
    store = CellStore(options.output / "cells")
    planned = {source.name: plan_cells(options, source, matchers, available) for source in sources}
    progress = _Progress(told, sum(cell.steps for cells in planned.values() for cell in cells))
    for source in sources:
        _run_set(source, planned[source.name], store, results, progress)
    return results


class _Progress:
    def __init__(self, told: Told, total: int) -> None:
        self._told, self._total, self._done = told, total, 0
        self.what = ""

    def step(self, count: int = 1) -> None:
        self._done += count
        self._told(self.what, self._done, self._total)


class _Workplace:
    """The station of a set, made when it is first needed."""

    def __init__(self, source: SetSource) -> None:
        self._source = source
        self._station: Station | None = None

    def station(self) -> Station:
        if self._station is None:
            frame_set = self._source.open()
            try:
                self._station = Station(frame_set)
            except GeoNavError:
                frame_set.close()
                raise
        return self._station

    def close(self) -> None:
        if self._station is not None:
            self._station.close()


def _run_set(
    source: SetSource, cells: list[Cell], store: CellStore, results: BenchResults, progress: _Progress
) -> None:
    workplace = _Workplace(source)
    try:
        for cell in cells:
            progress.what = cell.name
            try:
                content = _make(cell, store, workplace, progress)
                results.cells[(cell.part, *cell.labels)] = content
                if content.get("results") == []:
                    results.skipped.append(f"{cell.name}: the set has nothing of the kind to offer")
            except GeoNavError as error:
                results.skipped.append(f"{cell.name}: {error}")
        if "accuracy" in results.options.parts and not source.wrong_places_only:
            progress.what = f"pictures of {source.name}"
            progress.step(0)
            results.pictures += _pictures(source, store, workplace, results)
    finally:
        workplace.close()


def _make(cell: Cell, store: CellStore, workplace: _Workplace, progress: _Progress) -> dict[str, Any]:
    if store.has(cell.name, cell.options):
        progress.step(cell.steps)
    return store.get(cell.name, cell.options, lambda: cell.run(workplace.station(), progress.step))


def _pictures(
    source: SetSource, store: CellStore, workplace: _Workplace, results: BenchResults
) -> list[tuple[str, str]]:
    """Draws the default matcher's success and failure, and the set's row of the contact sheet."""
    options, matcher = results.options, results.options.default_matcher
    if matcher not in results.matchers:
        return []
    limit = source.config.max_log10_false_alarms
    queries = {
        labels[2]: [q.at_limit(limit) for q in found]
        for labels, found in results.queries("accuracy").items()
        if labels[:2] == (source.name, matcher)
    }
    chosen = choose(queries)
    frames = options.frames_of(matcher)
    key = {
        "chosen": {kind: [prior, query.as_dict()] for kind, (prior, query) in chosen.items()},
        "set": source.identity,
        "frames": frames,
    }

    def make() -> dict[str, Any]:
        station, made = workplace.station(), []
        for kind, (prior, query) in chosen.items():
            file = Path("pictures") / f"{source.name}_{kind}.jpg"
            words = draw_query(
                station, matcher, prior, query.name, frames, options.seed, options.threads, options.output / file
            )
            if words:
                made.append([f"{source.name}, {kind}: {query.name}, {prior} prior, {matcher}: {words}", str(file)])
            else:
                made.append([f"{source.name}, {kind}: {query.name}, {prior} prior: no picture ({query.reason})", ""])
        row = Path("pictures") / f"{source.name}_frames.jpg"
        write_picture(options.output / row, set_row(station, frames))
        made.append([f"{source.name}: frames, and the site from their true poses", str(row)])
        return {"pictures": made}

    try:
        content = store.get(f"pictures-{source.name}-{matcher}", key, make)
    except GeoNavError as error:
        results.skipped.append(f"pictures of {source.name}: {error}")
        return []
    return [(str(caption), str(file)) for caption, file in content["pictures"]]


def _matchers(options: BenchOptions) -> tuple[str, ...]:
    names = matcher_names()
    wanted = options.matchers or names
    unknown = [name for name in (*wanted, options.default_matcher) if name not in names]
    if unknown:
        raise EvaluationError(f"there is no matcher {', '.join(unknown)}: use {', '.join(names)}")
    return tuple(wanted)
