import json

import pytest

from geo_nav.geodesy import LocalFrame
from geo_nav.site import SiteConfig, SiteError, load_site
from site_helpers import CELL, dem_heights, orthophoto, write_descriptor, write_raster, write_site

LAYER = {"kind": "dem_orthophoto", "dem": "dem.tif", "orthophoto": "ortho.tif"}


def survey(folder):
    (folder / "site").mkdir()
    write_raster(folder / "site" / "dsm.tif", dem_heights(), CELL)
    write_raster(folder / "site" / "ortho.tif", orthophoto(), 0.5)
    (folder / "datum.json").write_text(json.dumps({"lat0": 48.13, "lon0": 11.57, "h0_ellipsoid": 490.0}))
    return folder


def test_a_file_and_its_folder_are_the_same_site(tmp_path):
    folder = write_site(tmp_path)
    assert load_site(folder).bounds == pytest.approx(load_site(folder / "site.yaml").bounds)
    assert load_site(str(folder)).name == "testland"
    assert load_site(folder).error.sigma == pytest.approx([0.5, 0.5, 1.0])


def test_a_surveyed_folder_needs_no_descriptor(tmp_path):
    model = load_site(survey(tmp_path))
    assert model.frame == LocalFrame(48.13, 11.57, 490.0)
    assert model.name == tmp_path.name
    assert model.error.sigma == pytest.approx([1.0, 1.0, 1.5])


@pytest.mark.parametrize(("file", "message"), [("site/dsm.tif", "no site/dsm.tif"), ("datum.json", "neither")])
def test_a_surveyed_folder_that_is_not_whole(tmp_path, file, message):
    (survey(tmp_path) / file).unlink()
    with pytest.raises(SiteError, match=message):
        load_site(tmp_path)


def test_a_datum_file_without_its_keys(tmp_path):
    (survey(tmp_path) / "datum.json").write_text('{"lat": 1}')
    with pytest.raises(SiteError, match="lat0, lon0 and h0_ellipsoid"):
        load_site(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(SiteError, match="no site at"):
        load_site(tmp_path / "nowhere.yaml")
    with pytest.raises(SiteError, match=r"neither a site.yaml nor a datum.json"):
        load_site(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"layers": []}, "layers"),
        ({"sigma": [0.1, 0.1]}, "sigma"),
        ({"sigma": [0.1, 0.1, -1.0]}, "sigma"),
        ({"datum": {"latitude": 95.0, "longitude": 0.0, "height": 0.0}}, "datum.latitude"),
        ({"colour": "red"}, "colour"),
        ({"layers": [{**LAYER, "vertical_datum": "navd88"}]}, "vertical_datum"),
        ({"layers": [{"kind": "pointcloud"}]}, "kind"),
        ({"layers": [{"kind": "mesh", "file": "a.glb"}]}, "crs"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, content, message):
    write_descriptor(tmp_path, [LAYER])
    path = write_site(tmp_path, **content) if "layers" not in content else write_descriptor(tmp_path, content["layers"])
    with pytest.raises(SiteError, match=message):
        load_site(path)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "\x00"])
def test_what_is_not_yaml(tmp_path, text):
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(SiteError, match=r"site\.yaml"):
        load_site(tmp_path)


def test_layers_join_in_one_frame(tmp_path):
    write_site(tmp_path)
    write_descriptor(tmp_path, [LAYER, LAYER])
    both = load_site(tmp_path, SiteConfig())
    write_descriptor(tmp_path, [LAYER])
    assert both.triangles == 2 * load_site(tmp_path).triangles
