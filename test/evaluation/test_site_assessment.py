import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from geo_nav.commands import site
from geo_nav.evaluation import EvaluationError, site_assessment
from geo_nav.evaluation.bench import frame_sets
from geo_nav.evaluation.site_assessment import assess_site
from geo_nav.evaluation.survey import read_survey
from registration_site import synthetic_site

DATA = Path(os.environ.get("GEO_NAV_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
needs_data = pytest.mark.skipif(not (DATA / "brighton_beach").is_dir(), reason=f"no surveys in {DATA} (GEO_NAV_DATA)")


def test_a_survey_of_queries_alone_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "camera.json").write_text('{"width": 64, "height": 48, "fx": 50, "fy": 50, "cx": 31.5, "cy": 23.5}')
    rows = "name,role,east_m,north_m,up_m,qw,qx,qy,qz\na.jpg,query,1.0,2.0,3.0,0.0,1.0,0.0,0.0\n"
    (tmp_path / "truth.csv").write_text(rows)
    with pytest.raises(EvaluationError, match="no photograph of role 'model'"):
        assess_site(tmp_path)


def test_too_few_photographs_leave_the_error_as_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "camera.json").write_text('{"width": 64, "height": 48, "fx": 50, "fy": 50, "cx": 31.5, "cy": 23.5}')
    header = "name,role,east_m,north_m,up_m,qw,qx,qy,qz\n"
    rows = [f"{name}.jpg,{role},1.0,2.0,90.0,0.0,1.0,0.0,0.0\n" for name, role in (("a", "model"), ("b", "query"))]
    (tmp_path / "truth.csv").write_text(header + "".join(rows))
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), np.full((48, 64, 3), 90, np.uint8))
    described = synthetic_site(1)
    for module in (frame_sets, site_assessment):
        monkeypatch.setattr(module, "load_site", lambda folder: described)
    loaded = frame_sets.SurveySet(read_survey(tmp_path)).load_site()
    assert loaded.error is described.error
    assert "taken as described" in caplog.text
    assert "0 registered photographs" in caplog.text


@needs_data
@pytest.mark.data
def test_the_bend_of_a_real_model_is_found() -> None:
    done = []
    found = assess_site(DATA / "brighton_beach", "xfeat", 10, progress=lambda n, count: done.append((n, count)))
    assert done == [(n, 10) for n in range(1, 11)]
    assert found.used >= 8
    # Ground points of this model lie 0.3 m or so from the bundle adjustment, alike over whole frames.
    assert 0.15 < found.measured.sigma[0] < 0.6
    assert found.measured.correlation > 20.0


@needs_data
@pytest.mark.data
def test_the_command_prints_lines_for_site_yaml() -> None:
    arguments = ["assess", str(DATA / "caliterra"), "--matcher", "xfeat", "--photographs", "6", "--quiet"]
    done = CliRunner().invoke(site.app, arguments)
    assert done.exit_code == 0, done.output
    lines = yaml.safe_load(done.stdout)
    assert len(lines["sigma"]) == 3
    assert 0.0 < lines["sigma"][0] < 0.24  # less than what the folder's ground sample distance makes one assume
    assert lines["sigma_correlation"] > 0.0
