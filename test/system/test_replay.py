"""A bag through the nodes themselves, by the launch file: `geo-nav evaluate --through-ros`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flight_harness import free_domain
from geo_nav.cli import app
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.truth import stamp_of
from replay_helpers import short_flight

pytestmark = pytest.mark.system


def test_the_nodes_navigate_a_bag_and_get_no_gps_once_they_track(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation, bag = short_flight(tmp_path)
    domain, lock = free_domain()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    out = tmp_path / "run"
    options = ["--site", str(simulation.site_yaml), "--out", str(out), "--through-ros", "--json"]
    result = CliRunner().invoke(app, ["evaluate", str(bag), *options])
    lock.close()
    assert result.exit_code == 0, result.output
    info, said = json.loads((out / "run.json").read_text()), json.loads(result.stdout)
    with open_bag(out / "bag") as recorded:
        gps = [stamp_of(message) for _, _, message in recorded.decoded(["/gps/fix"])]
    # TRACKING is told twice a second, and the fixes until then are still played.
    assert gps[-1] < info["gps_cut"] + 1.5
    assert info["gps"]["used"] == len(gps)
    assert info["gps"]["withheld"] >= 10
    # How many frames the nodes manage is the machine's: a busy one must not fail this.
    assert said["fixes_accepted"] >= 1
    assert said["rms_3d_m"] < 3.0
    assert info["resources"]["cpu_seconds"] > 0.0
