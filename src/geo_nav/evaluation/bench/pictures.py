"""Pictures of a run: a success and a failure of each set, and what all sets look like."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from geo_nav.evaluation.bench.frame_sets import Image
from geo_nav.evaluation.bench.laws import named_law
from geo_nav.evaluation.bench.results import QueryResult
from geo_nav.evaluation.bench.station import Station, frame_queries
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.match_picture import match_picture, write_picture

_THUMBNAIL = 320
_COLUMNS = 4
_FOUND_WITHIN = 1.0
"""A success is right within this, metres."""


def choose(results: Mapping[str, Sequence[QueryResult]]) -> dict[str, tuple[str, QueryResult]]:
    """A typical success and the most telling failure of a set.

    Args:
        results: by the prior's name, at the gate's limit.

    Returns:
        by ``success`` and ``failure``, as far as there are: the prior's name and the query. A success is that of
        median error; a failure is the false accept of greatest error, else a refusal, else an accepted pose that is
        off by more than a success may be.
    """
    everything = [(prior, q) for prior, queries in results.items() for q in queries]
    right = sorted((x for x in everything if x[1].accepted and x[1].error_m <= _FOUND_WITHIN), key=_error)
    false = sorted((x for x in everything if x[1].is_false_accept), key=_error)
    refused = [x for x in everything if not x[1].accepted]
    coarse = sorted((x for x in everything if x[1].accepted and x[1].error_m > _FOUND_WITHIN), key=_error)
    chosen = {}
    if right or coarse:
        chosen["success"] = right[len(right) // 2] if right else coarse[0]
    failures = false[-1:] or refused[:1] or coarse[-1:]
    if failures and failures[0] is not chosen.get("success"):
        chosen["failure"] = failures[0]
    return chosen


def draw_query(
    station: Station, matcher: str, prior: str, name: str, frames: int, seed: int, threads: int, path: Path
) -> str:
    """Registers a frame again, from the prior that the accuracy part gave it, and draws it.

    Args:
        station: of the set.
        matcher: name.
        prior: name of a law.
        name: of the frame.
        frames: number of frames among which it was.
        seed: of the priors.
        threads: of the matcher.
        path: of the picture.

    Returns:
        its verdict in words; empty where it did not come as far as a picture.
    """
    own = [frame for frame in station.frame_set.frames(frames) if frame.name == name]
    registrar = station.registrar(matcher, station.frame_set.config, {"threads": threads})
    found, result = station.register(registrar, frame_queries(own, named_law(prior), seed)[0])
    try:
        write_picture(path, match_picture(registrar, station.renderer, found))
    except EvaluationError:
        return ""
    return result.reason if not result.accepted else f"off by {result.error_m:.2f} m, {result.error_deg:.2f}°"


def set_row(station: Station, frames: int) -> Image:
    """Some frames of a set above the site rendered from their true poses."""
    own = list(station.frame_set.frames(frames))
    chosen = [own[i] for i in np.linspace(0, len(own) - 1, min(_COLUMNS, len(own))).round().astype(int)]
    camera = station.frame_set.camera.pinhole().resized(_THUMBNAIL)
    columns = []
    for frame in chosen:
        seen = cv2.resize(frame.read(), (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        columns.append(np.concatenate([seen, station.renderer.render(camera, frame.T_map_camera).image], axis=0))
    blank = np.full_like(columns[0], 255)
    row = np.concatenate([*columns, *[blank] * (_COLUMNS - len(columns))], axis=1)
    band = np.full((24, row.shape[1], 3), 255, np.uint8)
    name = f"{station.frame_set.name}: frames, and the site from their true poses"
    cv2.putText(band, name, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([band, row], axis=0), np.uint8)


def write_index(path: Path, title: str, tables: str, pictures: Sequence[tuple[str, Path]]) -> None:
    """One page with the tables and all pictures.

    Args:
        path: of the HTML file.
        title: of the page.
        tables: Markdown, shown as it is.
        pictures: caption and file of each, beside or below the page.

    Raises:
        EvaluationError: it cannot be written.
    """
    figures = "\n".join(
        f'<figure><a href="{html.escape(str(file.relative_to(path.parent)))}">'
        f'<img src="{html.escape(str(file.relative_to(path.parent)))}" alt="" loading="lazy"></a>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, file in pictures
    )
    style = "body{font:15px sans-serif;margin:2em;max-width:1300px}img{max-width:100%}pre{overflow:auto}"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style><h1>{html.escape(title)}</h1>{figures}<pre>{html.escape(tables)}</pre></html>\n"
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror}") from error


def _error(item: tuple[str, QueryResult]) -> float:
    return item[1].error_m
