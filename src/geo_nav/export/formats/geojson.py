"""GeoJSON (RFC 7946): WGS84 longitude, latitude, height above the ellipsoid; one file for web maps and scripts."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.export.registry import register_format
from geo_nav.export.rows import fix_positions, fix_row
from geo_nav.export.run import ExportRun, utc

Array = npt.NDArray[np.float64]

_RATE = 5.0
_DEGREE_DIGITS, _METRE_DIGITS = 10, 3


@register_format("geojson")
def write(run: ExportRun) -> list[Path]:
    """Writes `run.geojson`: a LineString a track, a Point a fix; frames without a pose are features without a place.

    `coordTimes` of a track are the times of its points, as togeojson names them; 5 Hz where no rate is named.
    """
    features: list[dict[str, Any]] = []
    estimate, truth, gps, fixes = run.estimate(_RATE), run.truth(_RATE), run.gps(), run.fixes()
    if estimate is not None:
        features.append(_line("estimate", estimate.poses.stamps, run.geodetic(estimate.poses.positions)))
    if truth is not None:
        features.append(_line("truth", truth.stamps, run.geodetic(truth.positions)))
    if len(gps):
        features.append(_line("gps", gps[:, 0], gps[:, 1:]))
    for scored, place in zip(fixes, run.geodetic(fix_positions(fixes)), strict=True):
        point = {"type": "Point", "coordinates": _coordinates(place[None])[0]} if np.isfinite(place).all() else None
        features.append(_feature("fix", point, fix_row(scored)))
    path = run.options.out / "run.geojson"
    content = {"type": "FeatureCollection", "name": run.title, "features": features}
    path.write_text(json.dumps(content, default=_text, allow_nan=False) + "\n", encoding="utf-8")
    return [path]


def _line(name: str, stamps: Array, geodetic: Array) -> dict[str, Any]:
    if len(stamps) == 1:
        # A LineString has two or more positions.
        point = {"type": "Point", "coordinates": _coordinates(geodetic)[0]}
        return _feature(name, point, {"time": utc(stamps[0])})
    line = {"type": "LineString", "coordinates": _coordinates(geodetic)}
    return _feature(name, line, {"coordTimes": [utc(stamp) for stamp in stamps]})


def _feature(part: str, geometry: dict[str, Any] | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"part": part, **properties}}


def _coordinates(geodetic: Array) -> list[list[float]]:
    """(N, 3) latitude, longitude, height → lists of longitude, latitude, height, to 0.01 mm and 1 mm."""
    return [
        [round(lon, _DEGREE_DIGITS), round(lat, _DEGREE_DIGITS), round(h, _METRE_DIGITS)]
        for lat, lon, h in geodetic.tolist()
    ]


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value)} has no place in JSON")
