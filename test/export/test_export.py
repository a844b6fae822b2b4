"""The command, and what it says when something is missing or wrong."""

import json
import sys

import numpy as np
import pytest
import typer
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from evaluation_helpers import EPOCH, write_run
from geo_nav.commands.export import export
from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.bag import read_run
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.messages import BagWriter
from geo_nav.export import ExportError, ExportOptions, export_run, format_names
from geo_nav.export.rows import heading_pitch_roll

app = typer.Typer()
app.command()(export)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("export") / "run", duration=12.0, imu_rate=50.0)


def without(run_dir, folder, *topics):
    """The same run without some topics."""
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text((run_dir / "run.json").read_text())
    with open_bag(run_dir / "bag") as source, BagWriter(folder / "bag") as bag:
        for topic, received, message in source.decoded():
            if topic not in topics:
                bag.write(topic, message, received)
    return folder


def test_lists_what_it_has_written(run_dir):
    found = CliRunner().invoke(app, [str(run_dir), "--format", "tum,geojson,bag", "--quiet"])
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert len(lines) == 6
    for line in lines:
        size, unit, path = line.split()
        assert float(size) > 0
        assert unit in ("B", "kB", "MB")
        assert path.startswith(str(run_dir / "export"))


def test_every_format_is_known():
    assert format_names() == ("bag", "geojson", "gpkg", "kitti", "kml", "nmea", "rerun", "tum")


def test_without_an_origin_only_geodetic_formats_fail(run_dir, tmp_path):
    lost = without(run_dir, tmp_path / "lost", "/geo_nav/site")
    found = CliRunner().invoke(app, [str(lost), "--quiet", "--format", "tum,kitti,kml,geojson,gpkg,nmea,bag"])
    assert found.exit_code == 1
    for name in ("kml", "geojson", "gpkg", "nmea"):
        assert f"{name} not written: {lost} does not say where its map frame lies" in found.stderr
    for name in ("tum", "kitti", "bag"):
        assert f"{name} not written" not in found.stderr
    assert (lost / "export" / "trajectory.tum").is_file()
    assert (lost / "export" / "result_bag" / "metadata.yaml").is_file()
    assert not list((lost / "export").glob("run.*"))


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [
        ("simplekml", "kml", "export"),
        ("pyogrio", "gpkg", "export"),
        ("pynmeagps", "nmea", "export"),
        ("rerun", "rerun", "rerun"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(run_dir, tmp_path, monkeypatch, library, name, extra):
    monkeypatch.setitem(sys.modules, library, None)
    exported = export_run(run_dir, [name, "geojson"], ExportOptions(tmp_path))
    assert library in exported.failures[name]
    assert f"extra '{extra}'" in exported.failures[name]
    assert set(exported.paths) == {"geojson"}


def test_a_part_that_was_asked_for_must_be_there(run_dir, tmp_path):
    blind = without(run_dir, tmp_path / "blind", "/simulation/truth", "/gps/fix")
    exported = export_run(blind, ["tum", "geojson"], ExportOptions(tmp_path / "a", parts=("truth",)))
    assert set(exported.failures) == {"tum", "geojson"}
    assert "has no truth" in exported.failures["tum"]
    whatever = export_run(blind, ["tum", "geojson"], ExportOptions(tmp_path / "b"))
    assert [path.name for path in whatever.paths["tum"]] == ["trajectory.tum"]
    parts = {f["properties"]["part"] for f in json.loads((tmp_path / "b" / "run.geojson").read_text())["features"]}
    assert parts == {"estimate", "fix"}
    exported = export_run(blind, ["tum"], ExportOptions(tmp_path / "c", parts=("scored",)))
    assert "truth" in exported.failures["tum"]


def test_a_stretch_beyond_the_end_is_an_error(run_dir, tmp_path):
    names = ["tum", "kitti", "kml", "gpkg", "nmea", "bag", "rerun"]
    exported = export_run(run_dir, names, ExportOptions(tmp_path, begin=1000.0))
    assert set(exported.failures) == set(names)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rate": 0.0}, "0 Hz"),
        ({"rate": -5.0}, "-5 Hz"),
        ({"begin": 9.0, "end": 3.0}, "9 s to 3 s"),
        ({"parts": ("x",)}, "'x'"),
    ],
)
def test_options_out_of_range(tmp_path, wrong, said):
    with pytest.raises(ExportError, match=said):
        ExportOptions(tmp_path, **wrong)


def test_unknown_formats_and_runs(run_dir, tmp_path):
    with pytest.raises(ExportError, match="unknown format 'gpx': use one of bag, geojson"):
        export_run(run_dir, ["gpx"], ExportOptions(tmp_path))
    with pytest.raises(ExportError, match="no format is named"):
        export_run(run_dir, [], ExportOptions(tmp_path))
    with pytest.raises(EvaluationError, match="no bag"):
        export_run(tmp_path / "nowhere", ["tum"], ExportOptions(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot write into"):
        export_run(run_dir, ["tum"], ExportOptions(tmp_path / "file"))


def test_what_a_damaged_bag_lost_is_told(run_dir, tmp_path):
    cut = tmp_path / "cut"
    (cut / "bag").mkdir(parents=True)
    data = (run_dir / "bag" / "bag.mcap").read_bytes()
    (cut / "bag" / "bag.mcap").write_bytes(data[: len(data) // 2])
    found = CliRunner().invoke(app, [str(cut), "--format", "tum,bag", "--quiet"])
    assert found.exit_code == 0, found.output
    assert "note: " in found.stderr
    assert "bag.mcap" in found.stderr
    stamps = np.loadtxt(cut / "export" / "trajectory.tum")[:, 0]
    assert 1.0 < stamps[-1] - EPOCH < 11.0
    assert len(read_run(cut).odometry) == len(stamps)


def test_heading_pitch_and_roll_are_those_of_an_aircraft():
    """Flying north with the nose 10° up; then flying east with the right wing 20° down."""
    north = Rotation.from_euler("z", 90, degrees=True) * Rotation.from_euler("y", -10, degrees=True)
    east = Rotation.from_euler("x", 20, degrees=True)
    assert north.apply([1.0, 0.0, 0.0])[2] > 0.0
    assert east.apply([0.0, -1.0, 0.0])[2] < 0.0
    found = heading_pitch_roll(Rotation.concatenate([north, east]))
    np.testing.assert_allclose(found, [[0.0, 10.0, 0.0], [90.0, 0.0, 20.0]], atol=1e-9)
