"""Generated worlds: readable as sites, alike in geometry and unlike in pixels, fixed by the seed."""

import json

import cv2
import numpy as np
import pytest
import rasterio

from geo_nav.simulation import Simulation, SimulationConfig, SimulationError, ensure_world, generate_world, world_folder
from geo_nav.simulation.canvas import Block
from geo_nav.simulation.epochs import EPOCHS, FLIGHT, SURVEY
from geo_nav.simulation.features import make_features
from geo_nav.simulation.paint import GroundPainter, make_patterns
from geo_nav.simulation.parcels import Cover
from geo_nav.simulation.plan import CORNER, CRS, plan_world
from geo_nav.simulation.surface import CELL_SIZE, add_buildings, cast_shadow, cosine_to_sun, make_surface
from geo_nav.site import load_site


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return SimulationConfig(world_size=300.0, duration=10.0, world_dir=str(tmp_path_factory.mktemp("worlds")))


@pytest.fixture(scope="module")
def world(config):
    return generate_world(config)


def grey(path, resolution):
    with rasterio.open(path) as raster:
        picture = np.moveaxis(raster.read(), 0, -1)
        side = round(raster.width * raster.transform.a / resolution)
    return cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA).astype(
        float
    )


def correlation(a, b):
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_both_epochs_are_sites_in_the_same_frame(config, world):
    plan = plan_world(config)
    for path in (world.site_yaml, world.flown_yaml):
        model = load_site(path)
        assert model.frame == plan.frame
        low, high = model.bounds
        assert np.allclose(high[:2] - low[:2], 300.0, atol=12.0)
        assert len(model.tiles) >= 2, "terrain and town"


def test_rasters_are_georeferenced_as_configured(config, world):
    with rasterio.open(world.site_yaml.parent / "orthophoto.tif") as raster:
        assert raster.crs.to_string() == CRS
        assert raster.transform.a == pytest.approx(0.4)
        assert tuple(raster.bounds) == pytest.approx((*CORNER, CORNER[0] + 300.0, CORNER[1] + 300.0))
    with rasterio.open(world.flown_yaml.parent / "orthophoto.tif") as raster:
        assert raster.transform.a == pytest.approx(0.25)


def test_the_survey_s_heights_are_the_ground_s_with_a_small_error(config, world):
    with rasterio.open(world.site_yaml.parent / "dem.tif") as raster:
        survey = raster.read(1)
    surface = make_surface(plan_world(config))
    ground = cv2.resize(surface.ground, survey.shape[::-1], interpolation=cv2.INTER_AREA)
    clear = cv2.blur(cv2.resize(surface.canopy, survey.shape[::-1], interpolation=cv2.INTER_AREA), (9, 9)) < 0.01
    error = (survey - ground)[clear]
    assert clear.mean() > 0.2
    assert 0.02 < error.std() < 0.15
    assert abs(error.mean()) < 0.15


def test_fine_texture_is_not_shared():
    """The same ground, lit alike: above some metres it agrees, below a metre it has nothing in common."""
    plan = plan_world(SimulationConfig(seed=3, world_size=300.0))
    surface, patterns = make_surface(plan), make_patterns(plan)
    flat = np.full_like(surface.ground, np.sin(SURVEY.sun_elevation))
    none = np.zeros_like(flat)
    pictures = []
    for epoch in EPOCHS:
        painter = GroundPainter(plan, epoch, surface, patterns, make_features(plan, epoch, []), flat, none)
        pictures.append(
            cv2.cvtColor(painter.paint(Block(300.0, 0.25, 0, 0, 1200, 1200)), cv2.COLOR_RGB2GRAY).astype(float)
        )
    fine = [p - cv2.GaussianBlur(p, (0, 0), 1.2) for p in pictures]
    fields = np.zeros((1200, 1200), np.uint8)
    for parcel in plan.parcels:
        if parcel.cover not in (Cover.TOWN, Cover.FOREST):
            whole = np.zeros_like(fields)
            Block(300.0, 0.25, 0, 0, 1200, 1200).fill(whole, parcel.outline, 1)
            fields |= cv2.erode(whole, np.ones((65, 65), np.uint8))
    trees = cv2.dilate((surface.canopy > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
    inside = (fields > 0) & (cv2.resize(trees, (1200, 1200)) == 0)
    assert inside.sum() > 50_000
    assert abs(correlation(fine[0][inside], fine[1][inside])) < 0.08
    coarse = [np.abs(cv2.Laplacian(cv2.GaussianBlur(p, (0, 0), 4.0), cv2.CV_64F)) for p in pictures]
    assert correlation(*coarse) > 0.3, "outlines lie at the same places"


def test_the_written_pictures_differ(world):
    survey, flown = (grey(p.parent / "orthophoto.tif", 0.5) for p in (world.site_yaml, world.flown_yaml))
    assert survey.shape == flown.shape
    assert correlation(survey, flown) < 0.85
    assert np.abs(survey - flown).mean() > 8.0


def test_some_buildings_are_new_and_some_gone():
    buildings = plan_world(SimulationConfig()).buildings
    assert len(buildings) > 250
    new = sum(b.epochs == (False, True) for b in buildings)
    gone = sum(b.epochs == (True, False) for b in buildings)
    assert 0.01 < new / len(buildings) < 0.12
    assert 0.005 < gone / len(buildings) < 0.10
    assert not any(b.epochs == (False, False) for b in buildings)


def test_shadow_falls_away_from_the_sun_and_is_as_long_as_the_sun_is_low():
    heights = np.zeros((400, 400), np.float32)
    heights[198:202, 198:202] = 20.0
    for epoch in (SURVEY, FLIGHT):
        shadow = cast_shadow(heights, epoch)
        shadow[190:210, 190:210] = 0.0
        rows, columns = np.nonzero(shadow > 0.5)
        east, north = (columns - 199.5) * CELL_SIZE, (199.5 - rows) * CELL_SIZE
        reach = np.hypot(east, north).max()
        assert reach == pytest.approx(20.0 / np.tan(epoch.sun_elevation), abs=2.0)
        away = np.array([east.mean(), north.mean()]) / np.hypot(east.mean(), north.mean())
        assert away @ epoch.sun[:2] / np.cos(epoch.sun_elevation) < -0.99


def test_slopes_towards_the_sun_are_brighter():
    x = np.arange(100, dtype=np.float32) * CELL_SIZE
    rising_west = np.tile(-0.3 * x, (100, 1))  # falls to the east: it looks to the east
    east = cosine_to_sun(rising_west, SURVEY)[50, 50]
    assert east > np.sin(SURVEY.sun_elevation) > cosine_to_sun(-rising_west, SURVEY)[50, 50]


def test_roofs_stand_on_the_height_raster():
    plan = plan_world(SimulationConfig(world_size=400.0))
    surface = make_surface(plan)
    flat = [b for b in plan.buildings if b.roof == "flat"]
    assert flat
    heights = add_buildings(surface.ground, flat, [], plan)
    for b in flat:
        row, column = int((400.0 - b.centre[1]) / CELL_SIZE), int(b.centre[0] / CELL_SIZE)
        assert heights[row, column] == pytest.approx(b.ground + b.eaves, abs=1e-3)


def test_the_plan_depends_on_the_seed_alone():
    a, b, c = (plan_world(SimulationConfig(seed=s, world_size=400.0)) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.trees.centre, b.trees.centre)
    np.testing.assert_array_equal([x.centre for x in a.buildings], [x.centre for x in b.buildings])
    assert a.trees.centre.shape != c.trees.centre.shape or not np.array_equal(a.trees.centre, c.trees.centre)


def test_a_world_is_made_once_and_keyed_by_what_it_depends_on(config, world):
    marker = world.folder / "world.json"
    before = marker.stat().st_mtime_ns
    assert ensure_world(config, quiet=True) == world.site_yaml
    assert marker.stat().st_mtime_ns == before
    assert json.loads(marker.read_text())["seed"] == config.seed
    assert world_folder(config) == world_folder(config.model_copy(update={"duration": 99.0}))
    assert world_folder(config) != world_folder(config.model_copy(update={"flown_resolution": 0.3}))


def test_an_unwritable_folder_is_a_clear_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SimulationError, match="cannot be written"):
        generate_world(SimulationConfig(world_size=200.0, world_dir=str(blocked)))


def test_the_footprint_stays_inside_the_site():
    config = SimulationConfig()
    plan = plan_world(config)
    from geo_nav.simulation import camera_mounting, make_camera, make_flight

    camera, mounting, flight = make_camera(config), camera_mounting(config), make_flight(plan, config)
    corners = camera.rays([[0, 0], [639, 0], [639, 479], [0, 479]])
    outside = 0
    times = np.arange(0.0, 600.0, 1.0)
    for t in times:
        pose = flight.motion(float(t)).pose() @ mounting
        rays = corners @ pose.rotation.T
        height = plan.from_map(pose.translation)[2] - plan.terrain.at(*plan.from_map(pose.translation)[:2])
        ground = plan.from_map(pose.translation + rays * (height / -rays[:, 2:]))
        outside += bool((rays[:, 2] > -0.05).any() or (ground[:, :2] < 0).any() or (ground[:, :2] > 2000.0).any())
    assert outside / len(times) < 0.02


def test_gps_ends_and_attitude_is_honest(config, world):
    long = config.model_copy(update={"duration": 300.0, "gps_outage_start": 10.0})
    simulation = Simulation(long)
    assert simulation.imu_count == 60_001
    assert simulation.frame_count == 1500
    position, covariance = simulation.gps(4.0)
    error = position - simulation.truth(4.0).position
    assert error @ np.linalg.solve(covariance, error) < 25.0
    with pytest.raises(SimulationError, match="no GPS"):
        simulation.gps(10.0)
    from scipy.spatial.transform import Rotation

    nees = []
    for t in np.arange(0.0, 299.0, 7.0):
        rotation, covariance = simulation.attitude(float(t))
        e = Rotation.from_matrix(rotation @ simulation.truth(float(t)).rotation.T).as_rotvec()
        nees.append(e @ np.linalg.solve(covariance, e) / 3)
    assert 0.2 < np.mean(nees) < 3.0
    assert all(0.06 <= simulation.frame_delay(k) <= 0.10 for k in range(0, 1500, 100))
