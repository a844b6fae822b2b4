import numpy as np
import pyproj
import pytest
from rasterio.enums import ColorInterp
from rasterio.warp import Resampling, calculate_default_transform, reproject

from geo_nav.geodesy import LocalFrame, geoid_undulation
from geo_nav.site import HeightMap, SiteConfig, SiteError, load_site
from site_helpers import (
    CELL,
    COLUMNS,
    CRS,
    NORTH,
    ROWS,
    WEST,
    dem_height,
    dem_heights,
    orthophoto,
    write_raster,
    write_site,
)


def colors_at(model, places):
    """Texture colour of the vertex nearest to each (east, north)."""
    out = []
    for place in places:
        tile = min(model.tiles, key=lambda t: np.linalg.norm(t.vertices[:, :2] - place, axis=1).min())
        vertex = np.linalg.norm(tile.vertices[:, :2] - place, axis=1).argmin()
        height, width = tile.texture.shape[:2]
        u, v = tile.uv[vertex]
        out.append(tile.texture[int((1 - v) * height), int(u * width)])
    return np.array(out)


@pytest.mark.parametrize("datum", ["ellipsoid", "egm96"])
def test_vertices_lie_where_pyproj_puts_them(tmp_path, datum):
    model = load_site(write_site(tmp_path, layer={"vertical_datum": datum}))
    to_wgs = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    heights = HeightMap(model)
    for column, row in [(1, 1), (41, 17), (78, 57)]:
        x, y = WEST + (column + 0.5) * CELL, NORTH - (row + 0.5) * CELL
        lon, lat = to_wgs.transform(x, y)
        h = dem_height(x, y) + geoid_undulation(lat, lon, datum)
        east, north, up = model.frame.from_geodetic(lat, lon, h)
        assert heights(east, north) == pytest.approx(up, abs=2e-3)
        nearest = min(np.linalg.norm(tile.vertices - [east, north, up], axis=1).min() for tile in model.tiles)
        assert nearest < 1e-3


def test_egm96_heights_are_raised_by_the_undulation(tmp_path):
    frame = {"latitude": 48.12, "longitude": 11.57, "height": 500.0}
    ellipsoid = load_site(write_site(tmp_path, datum=frame))
    egm96 = load_site(write_site(tmp_path, datum=frame, layer={"vertical_datum": "egm96"}))
    # The geoid over Munich lies about 45.5 m above the ellipsoid.
    raised = egm96.tiles[0].vertices[:, 2] - ellipsoid.tiles[0].vertices[:, 2]
    assert raised == pytest.approx(np.full(len(raised), 45.7), abs=0.5)


def test_a_large_grid_is_exact_to_a_millimetre(tmp_path):
    """The interpolation between control points, over 12 km of slope."""
    column, row = np.meshgrid(np.arange(400), np.arange(300))
    dem = (300.0 + 3.0 * column + 2.0 * row).astype(np.float32)
    write_site(tmp_path)
    write_raster(tmp_path / "dem.tif", dem, 30.0)
    write_raster(tmp_path / "ortho.tif", np.full((3, 90, 120), 9, np.uint8), 100.0)
    model = load_site(tmp_path)
    found = np.concatenate([tile.vertices for tile in model.tiles]).astype(np.float64)
    xyz = model.frame.to_crs(found, CRS)
    column, row = (xyz[:, 0] - WEST) / 30.0 - 0.5, (NORTH - xyz[:, 1]) / 30.0 - 0.5
    # float32 resolves 0.5 mm at 6 km from the origin.
    assert np.abs(column - np.round(column)).max() * 30.0 < 2e-3
    assert np.abs(row - np.round(row)).max() * 30.0 < 2e-3
    assert np.abs(xyz[:, 2] - (300.0 + 3.0 * column + 2.0 * row)).max() < 2e-3


def test_the_datum_is_the_centre_when_the_descriptor_names_none(tmp_path):
    model = load_site(write_site(tmp_path))
    assert model.bounds.mean(axis=0) == pytest.approx(np.zeros(3), abs=1.5)
    named = load_site(write_site(tmp_path, datum={"latitude": 48.1, "longitude": 11.5, "height": 100.0}))
    assert named.frame == LocalFrame(48.1, 11.5, 100.0)


def test_triangles_face_up_and_cover_every_cell(tmp_path):
    model = load_site(write_site(tmp_path), SiteConfig(tile_cells=16))
    assert len(model.tiles) == 4 * 5
    assert model.triangles == 2 * (ROWS - 1) * (COLUMNS - 1)
    for tile in model.tiles:
        a, b, c = np.moveaxis(tile.vertices[tile.faces], 1, 0)
        assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_the_orthophoto_lies_where_it_belongs(tmp_path):
    model = load_site(write_site(tmp_path), SiteConfig(tile_cells=16))
    places = np.array([[-60.0, 40.0], [0.0, 0.0], [60.0, -40.0]])
    xyz = model.frame.to_crs(np.column_stack([places, np.zeros(3)]), CRS)
    red = (xyz[:, 0] - WEST) / (COLUMNS * CELL) * 255
    green = (NORTH - xyz[:, 1]) / (ROWS * CELL) * 255
    # A vertex is up to 1.4 m from the place: 2.3 grey values east, 3 south.
    assert colors_at(model, places) == pytest.approx(np.column_stack([red, green, [77.0] * 3]), abs=4.0)


def test_holes_of_the_dem_have_no_triangles(tmp_path):
    dem = dem_heights()
    dem[20:30, 30:40] = -9999.0
    dem[5, 5] = np.nan
    dem[50, 60] = -32768.0  # a hole that the file does not declare
    model = load_site(write_site(tmp_path, dem=dem))
    # A hole of n x m heights takes the (n + 1) x (m + 1) cells that touch it, but for the triangles of two corners.
    assert model.triangles == 2 * ((ROWS - 1) * (COLUMNS - 1) - 11 * 11 - 2 * 2 - 2 * 2) + 3 * 2
    assert model.bounds[0, 2] > -20.0
    xyz = model.frame.from_crs(WEST + 35 * CELL, NORTH - 25 * CELL, 500.0, CRS)
    assert np.isnan(HeightMap(model)(xyz[0], xyz[1]))


@pytest.mark.parametrize("how", ["alpha", "nodata", "descriptor"])
def test_holes_of_the_orthophoto_have_no_triangles(tmp_path, how):
    folder = write_site(tmp_path, layer={"orthophoto_nodata": 255} if how == "descriptor" else None)
    bands = orthophoto()
    hole = np.zeros(bands.shape[1:], bool)
    hole[:, :160] = True
    bands[:, hole] = 255
    if how == "alpha":
        bands = np.concatenate([bands, np.where(hole, 0, 255).astype(np.uint8)[None]])
    options = {"nodata": 255} if how == "nodata" else {}
    write_raster(folder / "ortho.tif", bands, 0.5, **options)
    if how == "alpha":
        import rasterio

        with rasterio.open(folder / "ortho.tif", "r+") as raster:
            raster.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    model = load_site(folder)
    # The western half: 40 of 80 columns of vertices remain.
    assert model.triangles == 2 * (ROWS - 1) * 39


def test_a_smaller_orthophoto_limits_the_site(tmp_path):
    folder = write_site(tmp_path)
    write_raster(folder / "ortho.tif", orthophoto()[:, :120, :80], 0.5)
    assert load_site(folder).triangles == 2 * 29 * 19


def test_an_orthophoto_elsewhere_is_an_error(tmp_path):
    folder = write_site(tmp_path)
    write_raster(folder / "ortho.tif", orthophoto(), 0.5, west=WEST + 5000.0)
    with pytest.raises(SiteError, match="no covered place in common"):
        load_site(folder)


def test_an_orthophoto_in_another_crs_is_warped(tmp_path):
    folder = write_site(tmp_path)
    utm = load_site(folder)
    bands = orthophoto()
    height, width = bands.shape[1:]
    bounds = (WEST, NORTH - ROWS * CELL, WEST + COLUMNS * CELL, NORTH)
    transform, w, h = calculate_default_transform(CRS, "EPSG:3857", width, height, *bounds)
    warped = np.zeros((4, h, w), np.uint8)
    from affine import Affine

    source = Affine(0.5, 0.0, WEST, 0.0, -0.5, NORTH)
    reproject(
        np.concatenate([bands, np.full((1, height, width), 255, np.uint8)]),
        warped,
        src_transform=source,
        src_crs=CRS,
        dst_transform=transform,
        dst_crs="EPSG:3857",
        resampling=Resampling.bilinear,
    )
    import rasterio

    profile = {"driver": "GTiff", "count": 4, "height": h, "width": w, "dtype": "uint8", "photometric": "RGB"}
    with rasterio.open(
        folder / "ortho.tif", "w", **profile, crs="EPSG:3857", transform=transform, alpha="YES"
    ) as raster:
        raster.write(warped)
    model = load_site(folder)
    places = np.array([[-50.0, 30.0], [0.0, 0.0], [50.0, -30.0]])
    assert colors_at(model, places).astype(float) == pytest.approx(colors_at(utm, places).astype(float), abs=3.0)


def test_a_fine_dem_is_averaged_and_stays_in_place(tmp_path):
    model = load_site(write_site(tmp_path), SiteConfig(max_triangles=1000))
    assert model.triangles <= 1000
    place = model.frame.from_crs(WEST + 80.0, NORTH - 60.0, dem_height(WEST + 80.0, NORTH - 60.0), CRS)
    # A plane stays the plane under averaging if, and only if, the cells' centres are right.
    assert HeightMap(model)(place[0], place[1]) == pytest.approx(place[2], abs=2e-3)


def test_a_large_orthophoto_is_reduced(tmp_path):
    model = load_site(write_site(tmp_path), SiteConfig(max_texture_megapixels=0.02))
    assert sum(t.texture.shape[0] * t.texture.shape[1] for t in model.tiles) < 0.03e6
    places = np.array([[-50.0, 30.0], [50.0, -30.0]])
    full = load_site(tmp_path)
    assert colors_at(model, places).astype(float) == pytest.approx(colors_at(full, places).astype(float), abs=4.0)


def test_textures_stay_below_the_largest_side(tmp_path):
    config = SiteConfig(max_texture_side=256, tile_cells=1024)
    model = load_site(write_site(tmp_path, ortho=np.repeat(np.repeat(orthophoto(), 1, 1), 1, 2)), config)
    assert max(max(t.texture.shape[:2]) for t in model.tiles) <= 256
    assert model.triangles == 2 * (ROWS - 1) * (COLUMNS - 1)


def test_a_grey_orthophoto_is_grey(tmp_path):
    model = load_site(write_site(tmp_path, ortho=orthophoto()[2:]))
    assert (model.tiles[0].texture == 77).all()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "dem.tif").unlink(), "dem.tif does not exist"),
        (lambda f: (f / "ortho.tif").write_bytes(b"GIF89a"), "ortho.tif cannot be read"),
        (lambda f: write_raster(f / "ortho.tif", orthophoto().astype(np.uint16), 0.5), "uint16.*gdal_translate"),
        (lambda f: write_raster(f / "dem.tif", orthophoto(), 0.5), "3 bands"),
        (lambda f: write_raster(f / "dem.tif", dem_heights(), CELL, crs=None), "`crs`"),
        (lambda f: write_raster(f / "dem.tif", dem_heights(), CELL, west=1e9), "area of use"),
        (lambda f: write_raster(f / "dem.tif", np.full((9, 9), np.nan, np.float32), CELL), "no heights"),
    ],
)
def test_bad_files_are_named_with_what_to_do(tmp_path, break_it, message):
    folder = write_site(tmp_path)
    break_it(folder)
    with pytest.raises(SiteError, match=message):
        load_site(folder)


def test_a_truncated_file_is_an_error(tmp_path):
    folder = write_site(tmp_path)
    content = (folder / "ortho.tif").read_bytes()
    (folder / "ortho.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(SiteError, match=r"ortho\.tif"):
        load_site(folder)


def test_a_crs_in_the_descriptor_serves_a_file_without_and_may_not_contradict(tmp_path):
    folder = write_site(tmp_path, layer={"crs": CRS})
    expected = load_site(folder)
    write_raster(folder / "dem.tif", dem_heights(), CELL, crs=None)
    write_raster(folder / "ortho.tif", orthophoto(), 0.5, crs=None)
    assert load_site(folder).bounds == pytest.approx(expected.bounds)
    write_site(tmp_path, layer={"crs": "EPSG:32633"})
    with pytest.raises(SiteError, match="correct one of them"):
        load_site(folder)
