"""KML 2.2 for Google Earth: paths, fixes by verdict, and a track to play back; heights above mean sea level (EGM96)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.export.errors import ExportError, missing_library
from geo_nav.export.registry import register_format
from geo_nav.export.rows import fix_positions, fix_row, heading_pitch_roll
from geo_nav.export.run import ExportRun, utc
from geo_nav.geodesy import geoid_undulation

Array = npt.NDArray[np.float64]

_RATE = 5.0
_COLORS = {
    "estimate": "ff739e00",
    "truth": "ff222222",
    "gps": "ffb27200",
    "accepted": "ff739e00",
    "rejected": "ff005ed5",
}
"""Opacity, blue, green, red."""
_DOT = "http://maps.google.com/mapfiles/kml/shapes/shaded_dot.png"


@register_format("kml")
def write(run: ExportRun) -> list[Path]:
    """Writes `run.kml`; 5 Hz where no rate is named. A frame without a pose has no place and is left out.

    Raises:
        ExportError: simplekml is missing, or nothing is wanted.
        GeodesyError: the geoid is not installed.
    """
    try:
        import simplekml
    except ImportError as error:
        raise missing_library("simplekml", "export") from error
    document = simplekml.Kml(name=run.title)
    estimate, truth, gps = run.estimate(_RATE), run.truth(_RATE), run.gps()
    if estimate is not None:
        coordinates = _coordinates(run.geodetic(estimate.poses.positions))
        _path(document, "estimate", coordinates)
        _playback(document, estimate.poses, coordinates)
    if truth is not None:
        _path(document, "truth", _coordinates(run.geodetic(truth.positions)))
    if len(gps):
        _path(document, "gps", _coordinates(gps[:, 1:]))
    _fixes(document, run)
    if not document.features:
        raise ExportError("no part of this stretch is wanted or there: nothing to write")
    path = run.options.out / "run.kml"
    document.save(str(path))
    return [path]


def _path(document: Any, name: str, coordinates: list[tuple[float, ...]]) -> None:
    line = document.newlinestring(name=name, coords=coordinates, altitudemode="absolute")
    line.style.linestyle.color = _COLORS[name]
    line.style.linestyle.width = 3


def _playback(document: Any, poses: TimedPoses, coordinates: list[tuple[float, ...]]) -> None:
    """A gx:Track: Google Earth moves the vehicle with its time slider."""
    track = document.newgxtrack(name="vehicle", altitudemode="absolute")
    track.newwhen([_time(utc(stamp)) for stamp in poses.stamps])
    track.newgxcoord(coordinates)
    track.newgxangle([(round(heading, 3), 0, 0) for heading in heading_pitch_roll(poses.rotations)[:, 0]])
    track.style.linestyle.width = 0


def _fixes(document: Any, run: ExportRun) -> None:
    fixes = [scored for scored in run.fixes() if scored.fix.T_map_camera is not None]
    coordinates = _coordinates(run.geodetic(fix_positions(fixes))) if fixes else []
    table = [fix_row(scored) for scored in fixes]
    folders = {
        verdict: document.newfolder(name=f"fixes {verdict}") for verdict in sorted({row["verdict"] for row in table})
    }
    for row, place in zip(table, coordinates, strict=True):
        point = folders[row["verdict"]].newpoint(coords=[place], altitudemode="absolute")
        point.timestamp.when = _time(row["time"])
        point.style.iconstyle.color = _COLORS[row["verdict"]]
        point.style.iconstyle.scale = 0.5
        point.style.iconstyle.icon.href = _DOT
        for name, value in row.items():
            if value is not None:
                point.extendeddata.newdata(name, _time(value) if isinstance(value, datetime) else value)


def _coordinates(geodetic: Array) -> list[tuple[float, ...]]:
    """(N, 3) latitude, longitude, ellipsoidal height → longitude, latitude, height above the geoid, which KML wants."""
    above_sea = geodetic[:, 2] - geoid_undulation(geodetic[:, 0], geodetic[:, 1], "egm96")
    return [
        (round(lon, 10), round(lat, 10), round(height, 3))
        for lat, lon, height in zip(geodetic[:, 0].tolist(), geodetic[:, 1].tolist(), above_sea.tolist(), strict=True)
    ]


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
