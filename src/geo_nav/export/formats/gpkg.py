"""GeoPackage (OGC 12-128): layers for QGIS and every other GIS, in EPSG:4979 (WGS84 with ellipsoidal heights)."""

from __future__ import annotations

import math
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.export.errors import ExportError, missing_library
from geo_nav.export.registry import register_format
from geo_nav.export.rows import Row, fix_positions, fix_row, pose_columns, rows, time_columns, track_rows
from geo_nav.export.run import ExportRun

Array = npt.NDArray[np.float64]

_RATE = 5.0
_POINT_Z, _LINE_Z = 1001, 1002
"""ISO WKB types (OGC 06-103r4, §8.2)."""


@register_format("gpkg")
def write(run: ExportRun) -> list[Path]:
    """Writes `run.gpkg`: points `track`, `truth`, `fixes` and `gps`, and the lines `paths`.

    5 Hz where no rate is named. Frames without a pose are rows of `fixes` without a place. Times are UTC, to the
    millisecond.

    Raises:
        ExportError: pyogrio is missing, nothing is wanted, or the file cannot be written.
    """
    try:
        from pyogrio import errors, raw
    except ImportError as error:
        raise missing_library("pyogrio", "export") from error
    path = run.options.out / "run.gpkg"
    layers = _layers(run)
    if not layers:
        raise ExportError("no part of this stretch is wanted or there: nothing to write")
    path.unlink(missing_ok=True)
    for layer, (table, geometry) in layers.items():
        columns = {name: _column([row[name] for row in table]) for name in table[0]}
        try:
            raw.write(
                path,
                np.array(geometry, dtype=object),
                list(columns.values()),
                list(columns),
                layer=layer,
                driver="GPKG",
                geometry_type="LineString Z" if layer == "paths" else "Point Z",
                crs="EPSG:4979",
                # Readers of 2023 (GDAL 3.6 of Debian 12) warn of version 1.4, and of times without milliseconds.
                dataset_options={"VERSION": "1.3"},
                layer_options={"DATETIME_PRECISION": "MILLISECOND"},
                # 100 is GDAL's flag for UTC.
                gdal_tz_offsets={"time": np.full(len(table), 100)} if "time" in columns else None,
            )
        except (errors.DataSourceError, errors.DataLayerError, errors.FieldError, errors.GeometryError) as error:
            raise ExportError(f"{path} cannot be written: {error}") from error
    return [path]


def _layers(run: ExportRun) -> dict[str, tuple[list[Row], list[bytes | None]]]:
    """Rows and WKB of every layer that is wanted."""
    layers: dict[str, tuple[list[Row], list[bytes | None]]] = {}
    lines: dict[str, Array] = {}
    estimate, truth, gps, fixes = run.estimate(_RATE), run.truth(_RATE), run.gps(), run.fixes()
    if estimate is not None:
        lines["estimate"] = run.geodetic(estimate.poses.positions)
        layers["track"] = track_rows(run, estimate), _points(lines["estimate"])
    if truth is not None:
        lines["truth"] = run.geodetic(truth.positions)
        layers["truth"] = rows(pose_columns(truth.stamps, truth.positions)), _points(lines["truth"])
    if fixes:
        layers["fixes"] = [fix_row(scored) for scored in fixes], _points(run.geodetic(fix_positions(fixes)))
    if len(gps):
        lines["gps"] = gps[:, 1:]
        layers["gps"] = rows(time_columns(gps[:, 0])), _points(lines["gps"])
    lines = {part: line for part, line in lines.items() if len(line) > 1}
    if lines:
        layers["paths"] = [{"part": part} for part in lines], [_line(line) for line in lines.values()]
    return layers


def _column(values: list[Any]) -> npt.NDArray[Any]:
    """An array of the type that the layer's field is to have; None in a column of numbers is NaN, so null."""
    first = next((value for value in values if value is not None), math.nan)
    if isinstance(first, str):
        return np.array(values, dtype=object)
    if isinstance(first, datetime):
        return np.array([value.replace(tzinfo=None) for value in values], dtype="datetime64[ms]")
    return np.array(values, dtype=np.int64 if isinstance(first, int) else np.float64)


def _points(geodetic: Array) -> list[bytes | None]:
    """(N, 3) latitude, longitude, height → WKB of points longitude, latitude, height; None where not finite."""
    return [
        struct.pack("<BI3d", 1, _POINT_Z, lon, lat, h) if np.isfinite([lat, lon, h]).all() else None
        for lat, lon, h in geodetic.tolist()
    ]


def _line(geodetic: Array) -> bytes:
    """(N, 3) latitude, longitude, height → WKB of the line."""
    return struct.pack("<BII", 1, _LINE_Z, len(geodetic)) + geodetic[:, [1, 0, 2]].astype("<f8").tobytes()
