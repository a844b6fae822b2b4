import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from geo_nav import GeoNavError
from geo_nav.commands.site import app, parse_pose
from site_helpers import write_site

run = CliRunner()


def test_info_prints_the_facts(tmp_path):
    result = run.invoke(app, ["info", str(write_site(tmp_path)), "--json"])
    facts = json.loads(result.stdout)
    assert facts["name"] == "testland"
    assert facts["triangles"] == 2 * 59 * 79
    assert facts["bounds_max_enu_m"][0] == pytest.approx(79.0, abs=3.0)
    assert facts["texture_megapixels"] == pytest.approx(0.08, abs=0.01)
    assert "testland" in run.invoke(app, ["info", str(tmp_path)]).stdout


@pytest.mark.parametrize("backend", ["moderngl", "raycast"])
def test_render_writes_picture_and_depth(tmp_path, backend):
    site, out, depth = write_site(tmp_path), tmp_path / "view.png", tmp_path / "depth.npy"
    options = ["--pose", "0,0,60,0,-90", "--width", "200", "--height", "150", "--backend", backend]
    result = run.invoke(app, ["render", str(site), "--out", str(out), "--depth", str(depth), *options])
    assert result.exit_code == 0, result.output
    image = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB)
    assert image.shape == (150, 200, 3)
    # The orthophoto's red grows eastwards, its green southwards; north is on top.
    assert image[75, 190, 0] > image[75, 10, 0] + 50
    assert image[140, 100, 1] > image[10, 100, 1] + 50
    assert np.load(depth)[75, 100] == pytest.approx(60.0, abs=3.0)


def test_poses_are_read_in_both_forms():
    by_angles = parse_pose("1,2,3,90,-90")
    by_quaternion = parse_pose("1,2,3," + ",".join(str(v) for v in by_angles.quaternion))
    assert by_angles.translation.tolist() == [1.0, 2.0, 3.0]
    assert by_quaternion.angle_to(by_angles) < 1e-6
    # Looking down with east on top: the picture's upper edge is -y.
    assert -by_angles.rotation[:, 1] == pytest.approx([1.0, 0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d,e", "0,0,0,0,0,0,0", "nan,0,0,0,0"])
def test_what_is_not_a_pose_is_refused(text):
    with pytest.raises(GeoNavError):
        parse_pose(text)


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    result = run.invoke(app, ["render", str(write_site(tmp_path)), "--pose", "0,0,60,0,-90", "--out", "/nowhere/a.png"])
    assert isinstance(result.exception, GeoNavError)
