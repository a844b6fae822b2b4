"""NMEA sentences, parsed back with checksums verified."""

from collections import defaultdict

import numpy as np
import pytest
from pynmeagps import ERR_RAISE, VALCKSUM, NMEAReader

from evaluation_helpers import EPOCH, write_run
from export_helpers import geodetic
from geo_nav.evaluation.bag import read_run
from geo_nav.export import ExportOptions, export_run
from geo_nav.export.formats.nmea import _ellipse
from geo_nav.export.run import utc
from geo_nav.geodesy import geoid_undulation


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("nmea") / "run", duration=30.0)


@pytest.fixture(scope="module")
def sentences(run_dir):
    (path,) = export_run(run_dir, ["nmea"], ExportOptions(run_dir / "export")).paths["nmea"]
    found = defaultdict(list)
    with path.open("rb") as file:
        for raw, message in NMEAReader(file, validate=VALCKSUM, quitonerror=ERR_RAISE):
            assert raw.endswith(b"\r\n")
            assert message.talker == "IN"
            found[message.msgID].append(message)
    return found


def test_every_epoch_has_every_sentence(sentences):
    assert {name: len(messages) for name, messages in sentences.items()} == dict.fromkeys(
        ("GGA", "RMC", "VTG", "GST", "HDT"), 150
    )


def test_places_and_heights(run_dir, sentences):
    expected = geodetic(read_run(run_dir).odometry.poses.positions[::10])
    valid = [k for k, message in enumerate(sentences["GGA"]) if message.quality]
    assert len(valid) > 100
    for name in ("GGA", "RMC"):
        found = np.array([(sentences[name][k].lon, sentences[name][k].lat) for k in valid])
        np.testing.assert_allclose(found, expected[valid, :2], rtol=0, atol=1e-9)
    separation = np.array([sentences["GGA"][k].sep for k in valid])
    undulation = geoid_undulation(expected[valid, 1], expected[valid, 0], "egm96")
    np.testing.assert_allclose(separation, undulation, atol=0.001)
    heights = np.array([sentences["GGA"][k].alt for k in valid])
    np.testing.assert_allclose(heights + separation, expected[valid, 2], atol=0.002)


def test_quality_follows_the_status(sentences):
    """TRACKING from 1 s, COASTING from 20.5 s, LOST from 24 s, TRACKING from 25 s."""
    seconds = np.arange(150) / 5.0
    expected = np.where(seconds < 1.0, 0, 1)
    expected[(seconds >= 20.5) & (seconds < 24.0)] = 6
    expected[(seconds >= 24.0) & (seconds < 25.0)] = 0
    assert [message.quality for message in sentences["GGA"]] == expected.tolist()
    modes = {0: ("V", "N"), 1: ("A", "A"), 6: ("V", "E")}
    assert [(m.status, m.posMode) for m in sentences["RMC"]] == [modes[q] for q in expected.tolist()]
    assert all(sentences["GGA"][k].lat == "" for k in np.flatnonzero(expected == 0))


def test_time_motion_and_heading(sentences):
    k = 50
    moment = utc(EPOCH + 10.0)
    message = sentences["RMC"][k]
    assert (message.date, message.time) == (moment.date(), moment.time())
    assert message.spd == pytest.approx(15.0 * 3600.0 / 1852.0, abs=0.001)
    assert sentences["VTG"][k].sogk == pytest.approx(54.0, abs=0.001)
    # The course of a circle to the left: 0° at its east end, 10 s at 0.05 rad/s later 28.65° less.
    assert message.cog == pytest.approx(360.0 - np.degrees(0.5), abs=0.01)
    assert sentences["HDT"][k].headingT == pytest.approx(360.0 - np.degrees(0.5), abs=0.01)


def test_errors(sentences):
    message = sentences["GST"][50]
    assert (message.stdLat, message.stdLong, message.stdAlt) == (0.5, 0.5, 0.8)


def test_the_ellipse_of_a_tilted_covariance():
    """3 m towards north-east, 1 m across."""
    axis = np.array([1.0, 1.0]) / np.sqrt(2.0)
    across = np.array([1.0, -1.0]) / np.sqrt(2.0)
    covariance = 9.0 * np.outer(axis, axis) + np.outer(across, across)
    assert _ellipse(covariance) == ["3.000", "1.000", "45.00"]
