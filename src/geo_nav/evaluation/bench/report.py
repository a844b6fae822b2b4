"""The files of a run: results.json, results.md, curves, contact sheet, index.html."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import geo_nav
from geo_nav.evaluation.bench import tables
from geo_nav.evaluation.bench.accuracy import at_limit
from geo_nav.evaluation.bench.cells import source_digest
from geo_nav.evaluation.bench.comparisons.side_by_side import (
    OURS,
    OURS_LIGHTGLUE,
    lightglue_name,
    other_methods,
    summarise,
)
from geo_nav.evaluation.bench.curves import Curve, draw_curves, sweep, trade_off
from geo_nav.evaluation.bench.laws import LAWS
from geo_nav.evaluation.bench.pictures import write_index
from geo_nav.evaluation.bench.results import QueryResult, Tally, finite
from geo_nav.evaluation.bench.run import BenchResults
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.match_picture import write_picture
from geo_nav.evaluation.survey import read_image

TITLE = "geo-nav bench registration"


def write_report(results: BenchResults) -> Path:
    """Writes all files of a run into its output folder.

    Returns:
        the page that shows them.

    Raises:
        EvaluationError: a file cannot be written.
    """
    output = results.options.output
    curves = {prior: _curves(results, prior) for prior in results.options.priors}
    pictures: list[tuple[str, Path]] = []
    for prior, by_matcher in curves.items():
        if by_matcher:
            path = output / f"curve_{prior}.png"
            draw_curves(by_matcher, results.limit(), f"{prior} prior, all sets", path)
            pictures.append((f"Trade-off of the gate on false alarms, {prior} prior; rings: where it stands", path))
    rows = [output / file for _, file in results.pictures if file.endswith("_frames.jpg")]
    if rows:
        write_picture(output / "contact.jpg", _contact_sheet(rows))
        pictures.append(
            ("Contact sheet: frames of each set above the site from their true poses", output / "contact.jpg")
        )
    pictures += [(caption, output / file) for caption, file in results.pictures if file and output / file not in rows]
    text = markdown(results)
    page = output / "index.html"
    try:
        (output / "results.md").write_text(text, encoding="utf-8")
        (output / "results.json").write_text(json.dumps(_content(results, curves), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"the results cannot be written to {output}: {error.strerror}") from error
    write_index(page, TITLE, text, pictures)
    return page


def markdown(results: BenchResults) -> str:
    """The tables of a run."""
    options, limit = results.options, results.limit()
    parts = [f"`geo-nav bench registration`, {_machine()}, geo_nav {geo_nav.__version__} {_commit()}."]
    accuracy = {labels: at_limit(q, limit) for labels, q in results.queries("accuracy").items() if q}
    for prior in options.priors:
        chosen = {(name, matcher): t for (name, matcher, p), t in accuracy.items() if p == prior}
        if chosen:
            parts += [f"### Accuracy, {prior} prior", f"{tables.law_line(prior)}.", tables.accuracy_table(chosen)]
    if accuracy:
        joined = _joined(accuracy)
        parts += ["### NEES a dimension, by site (in brackets: fixes)", tables.nees_table(joined)]
        for prior in options.priors:
            chosen = {(name, matcher): t for (name, matcher, p), t in accuracy.items() if p == prior}
            if chosen:
                parts += [f"### Median ms of each stage, {prior} prior", tables.stage_table(chosen)]
    wrong = {(m, name, kind): q for (name, m, kind), q in results.queries("wrong-places").items() if q}
    if wrong:
        parts += ["### Wrong places", tables.wrong_table(wrong, limit), tables.false_accepts(wrong, limit)]
    parts += _comparisons(results) + _latency(results)
    if results.skipped:
        parts += ["### Not made", "\n".join(f"- {line}" for line in dict.fromkeys(results.skipped))]
    return "\n\n".join(parts) + "\n"


def _joined(accuracy: dict[tuple[str, ...], Tally]) -> dict[tuple[str, str], Tally]:
    """All priors of a set and matcher together."""
    joined: dict[tuple[str, str], Tally] = {}
    for (name, matcher, _), tally in accuracy.items():
        before = joined.get((name, matcher))
        joined[name, matcher] = Tally((before.queries if before else ()) + tally.queries)
    return joined


def _comparisons(results: BenchResults) -> list[str]:
    """A table for each prior: all sets together, then each set."""
    options, parts = results.options, []
    for prior in options.priors:
        found = {
            labels[0]: content["results"]
            for (part, *labels), content in results.cells.items()
            if part == "comparisons" and labels[2] == prior
        }
        if not found:
            continue
        parts += [f"### Side by side, {prior} prior", f"{tables.law_line(prior)}."]
        for name, raw in {"all sets": [r for each in found.values() for r in each], **found}.items():
            parts += [f"{name}:", tables.comparison_table(summarise(raw))]
    if parts:
        told = [f"- `{OURS}`: {options.default_matcher}, as in flight; answered = accepted by its gates"]
        told += [f"- `{OURS_LIGHTGLUE}`: the same with {lightglue_name()}"]
        told += [f"- `{method.name}`: {method.description}" for method in other_methods([])]
        parts.append(
            f"All at 640 pixels; the others match with {lightglue_name()}, on a render or orthophoto of the frame's "
            "ground resolution that reaches as far as our first view does, 1024 pixels at most.\n\n" + "\n".join(told)
        )
    return parts


def _latency(results: BenchResults) -> list[str]:
    rows = {labels[0]: content for (part, *labels), content in results.cells.items() if part == "latency"}
    if not rows:
        return []
    head = f"### Latency at 640 pixels, tight prior, {results.options.default_matcher}"
    return [f"{head}, {results.options.threads} thread(s)", tables.latency_table(rows)]


def _curves(results: BenchResults, prior: str) -> dict[str, Curve]:
    curves = {}
    own, wrong = results.queries("accuracy"), results.queries("wrong-places")
    laws = list(LAWS)
    for matcher in dict.fromkeys(labels[1] for labels in own):
        right = [q for labels, found in own.items() if labels[1:] == (matcher, prior) for q in found]
        # Tries at wrong places take the laws in turn.
        false = [
            q for labels, found in wrong.items() if labels[1] == matcher for q in found
            if laws[q.draw % len(laws)] == prior
        ]  # fmt: skip
        if right:
            curves[matcher] = trade_off(right, false, sweep())
    return curves


def _content(results: BenchResults, curves: dict[str, dict[str, Curve]]) -> dict[str, Any]:
    limit = results.limit()
    return {
        "version": geo_nav.__version__,
        "commit": _commit(),
        "source": source_digest(),
        "machine": _machine(),
        "seed": results.options.seed,
        "world_seed": results.options.world_seed,
        "laws": {name: law.describe() for name, law in LAWS.items()},
        "max_log10_false_alarms": limit,
        "skipped": results.skipped,
        "accuracy": [_accuracy(labels, q, limit) for labels, q in results.queries("accuracy").items() if q],
        "wrong_places": [_wrong(labels, q, limit) for labels, q in results.queries("wrong-places").items() if q],
        "comparisons": [
            {"set": labels[0], "prior": labels[2], "methods": summarise(content["results"])}
            for (part, *labels), content in results.cells.items()
            if part == "comparisons"
        ],
        "latency": {
            labels[0]: content for (part, *labels), content in results.cells.items() if part == "latency"
        },
        "curves": {
            prior: {
                matcher: {
                    "limits": c.limits.tolist(), "accepted": c.accepted.tolist(), "false": c.false.tolist(),
                    "tries": c.tries,
                }
                for matcher, c in by_matcher.items()
            }
            for prior, by_matcher in curves.items()
        },
        "pictures": [{"caption": caption, "file": file} for caption, file in results.pictures],
    }  # fmt: skip


def _accuracy(labels: tuple[str, ...], queries: list[QueryResult], limit: float) -> dict[str, Any]:
    name, matcher, prior = labels
    tally = at_limit(queries, limit)
    summary: dict[str, Any] = finite(tally.summary())
    raw = [query.as_dict() for query in tally.queries]
    return {"set": name, "matcher": matcher, "prior": prior, **summary, "results": raw}


def _wrong(labels: tuple[str, ...], queries: list[QueryResult], limit: float) -> dict[str, Any]:
    name, matcher, kind = labels
    tally = at_limit(queries, limit)
    false = [query.as_dict() for query in tally.queries if query.is_false_accept]
    return {"set": name, "matcher": matcher, "offered": kind, "tries": len(queries), "false_accepts": false}


def _contact_sheet(rows: list[Path]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    pictures = [read_image(path) for path in rows]
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        cv2.copyMakeBorder(p, 0, 0, 0, width - p.shape[1], cv2.BORDER_CONSTANT, value=(255, 255, 255)) for p in pictures
    ]
    return np.asarray(np.concatenate(padded, axis=0), np.uint8)


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _commit() -> str:
    """Short name of the checkout's commit; empty outside of one."""
    command = ["git", "-C", str(Path(geo_nav.__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
