"""GeoJSON, GeoPackage and KML, read back with other libraries, and their places by another computation."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
from pyogrio import raw

from evaluation_helpers import EPOCH, T_BASE_CAMERA, true_state
from export_helpers import TITLE, geodetic, write_exported_run
from geo_nav.evaluation.bag import read_run
from geo_nav.export import ExportOptions, export_run
from geo_nav.geodesy import geoid_undulation

KML = {"k": "http://www.opengis.net/kml/2.2", "gx": "http://www.google.com/kml/ext/2.2"}
DEGREE = 1e-9


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_exported_run(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="module")
def recording(run_dir):
    return read_run(run_dir)


@pytest.fixture(scope="module")
def out(run_dir):
    exported = export_run(run_dir, ["kml", "geojson", "gpkg"], ExportOptions(run_dir / "maps"))
    assert exported.failures == {}
    return run_dir / "maps"


@pytest.fixture(scope="module")
def estimate(recording):
    """Longitude, latitude, height of the odometry at 5 Hz: every tenth of 50 Hz."""
    return geodetic(recording.odometry.poses.positions[::10])


def moment(text: str) -> datetime:
    """Python 3.10 does not read the Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def assert_places(found, expected):
    np.testing.assert_allclose(found[:, :2], expected[:, :2], rtol=0, atol=DEGREE)
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=0, atol=0.002)


def test_geojson_lines_and_fixes(out, recording, estimate):
    content = json.loads((out / "run.geojson").read_text())
    assert content["name"] == TITLE
    assert "crs" not in content
    parts = {}
    for feature in content["features"]:
        parts.setdefault(feature["properties"]["part"], []).append(feature)
    assert_places(np.array(parts["estimate"][0]["geometry"]["coordinates"]), estimate)
    times = parts["estimate"][0]["properties"]["coordTimes"]
    assert len(times) == len(estimate) == 200
    assert moment(times[1]).timestamp() == pytest.approx(EPOCH + 0.2, abs=1e-5)
    fixes = parts["fix"]
    assert [f["properties"]["verdict"] for f in fixes].count("accepted") == 120
    assert all((f["geometry"] is None) == (f["properties"]["verdict"] == "failed") for f in fixes)
    shown = next(k for k, f in enumerate(fixes) if f["properties"]["verdict"] == "rejected")
    place = geodetic(recording.fixes[shown].T_map_camera_levelled.translation[None])
    assert_places(np.array([fixes[shown]["geometry"]["coordinates"]]), place)
    assert fixes[shown]["properties"]["gate"] == "far_from_prior"
    truth = true_state(recording.fixes[shown].stamp - EPOCH)[0] @ T_BASE_CAMERA
    error = np.linalg.norm(recording.fixes[shown].T_map_camera.translation - truth.translation)
    assert fixes[shown]["properties"]["error_m"] == pytest.approx(error, abs=1e-3)
    assert len(parts["gps"][0]["geometry"]["coordinates"]) == 50
    info = pyogrio.read_info(out / "run.geojson")
    assert (info["features"], info["crs"]) == (len(content["features"]), "EPSG:4326")


def test_geopackage_layers(out, recording, estimate):
    path = out / "run.gpkg"
    assert set(pyogrio.list_layers(path)[:, 0]) == {"track", "truth", "fixes", "gps", "paths"}
    meta, _, geometry, fields = raw.read(path, layer="track")
    assert (meta["crs"], meta["geometry_type"]) == ("EPSG:4979", "Point Z")
    assert_places(np.array([np.frombuffer(wkb[-24:]) for wkb in geometry]), estimate)
    columns = dict(zip(meta["fields"], fields, strict=True))
    seconds = columns["stamp"] - EPOCH
    assert set(columns["state"][(seconds >= 20.5) & (seconds < 24.0)]) == {"COASTING"}
    assert set(columns["state"][(seconds >= 24.0) & (seconds < 25.0)]) == {"LOST"}
    np.testing.assert_allclose(columns["speed_mps"], 15.0, atol=1e-6)
    np.testing.assert_allclose(columns["sigma_up_m"], 0.8, atol=1e-9)
    # A circle flown to the left: the heading falls by 360° in a period.
    np.testing.assert_allclose(np.diff(np.unwrap(np.radians(columns["heading_deg"]))), -15.0 / 300.0 * 0.2, atol=1e-6)
    assert columns["time"][5].astype("datetime64[ms]").astype(int) == pytest.approx((EPOCH + 1.0) * 1e3, abs=1)
    with closing(sqlite3.connect(path)) as database:
        # What GDAL 3.6 and QGIS 3.22 read without a warning: version 1.3, and milliseconds even where they are zero.
        assert database.execute("PRAGMA user_version").fetchone() == (10300,)
        times = [time for (time,) in database.execute("SELECT time FROM track")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)
    assert any(time.endswith(".000Z") for time in times)
    meta, _, geometry, fields = raw.read(path, layer="fixes")
    columns = dict(zip(meta["fields"], fields, strict=True))
    missing = np.array([wkb is None for wkb in geometry])
    assert missing.sum() == (columns["verdict"] == "failed").sum() == 20
    assert np.isnan(columns["error_m"][missing]).all()
    assert len(geometry) == len(recording.fixes)


def test_kml_heights_are_above_the_geoid(out, estimate):
    root = ElementTree.parse(out / "run.kml").getroot()
    assert root.find("k:Document/k:name", KML).text == TITLE
    lines = {mark.find("k:name", KML).text: mark for mark in root.iterfind(".//k:Placemark[k:LineString]", KML)}
    assert set(lines) == {"estimate", "truth", "gps"}
    line = lines["estimate"].find("k:LineString", KML)
    assert line.find("k:altitudeMode", KML).text == "absolute"
    found = np.array([[float(v) for v in place.split(",")] for place in line.find("k:coordinates", KML).text.split()])
    above = estimate.copy()
    above[:, 2] -= geoid_undulation(estimate[:, 1], estimate[:, 0], "egm96")
    assert np.abs(above[:, 2] - estimate[:, 2]).min() > 40.0
    assert_places(found, above)
    track = root.find(".//gx:Track", KML)
    coordinates = np.array([[float(v) for v in c.text.split()] for c in track.iterfind("gx:coord", KML)])
    assert_places(coordinates, above)
    moments = [moment(when.text).timestamp() for when in track.iterfind("k:when", KML)]
    np.testing.assert_allclose(np.array(moments) - EPOCH, np.arange(200) * 0.2, atol=0.001)
    heading = float(track.find("gx:angles", KML).text.split()[0])
    assert heading == pytest.approx(0.0, abs=0.01)


def test_kml_fixes_by_verdict(out):
    root = ElementTree.parse(out / "run.kml").getroot()
    counts = {f.find("k:name", KML).text: len(f.findall("k:Placemark", KML)) for f in root.iterfind(".//k:Folder", KML)}
    assert counts == {"fixes accepted": 120, "fixes rejected": 20}
    # GDAL's own reader takes it too.
    assert pyogrio.read_info(out / "run.kml", layer="fixes accepted")["features"] == 120
