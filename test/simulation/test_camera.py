"""The camera: its geometry against the truth, its blur, its noise."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from geo_nav.simulation import CameraSimulator, SimulationConfig, make_camera, make_flight
from geo_nav.simulation.plan import plan_world
from geo_nav.site import ModelError, SiteModel, SiteTile

CLEAN = {"read_noise": 0.0, "full_well": 1e9, "vignetting": 0.0, "exposure_time": 0.0}
SIDE, PIXELS, GAP = 1200.0, 4096, 64


def marker_field(plan):
    """A plane at the ground under the flight with round white markers, and where those are in `map`."""
    texture = np.full((PIXELS, PIXELS, 3), 60, np.uint8)
    centres = np.arange(GAP, PIXELS - GAP, GAP)
    for row in centres:
        for column in centres:
            cv2.circle(texture, (int(column), int(row)), 6, (230, 230, 230), -1, cv2.LINE_AA)
    height = float(plan.frame.height) - float(plan.frame.height)
    half = SIDE / 2
    vertices = np.array([[-half, -half, height], [half, -half, height], [half, half, height], [-half, half, height]])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    tile = SiteTile(
        vertices.astype(np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32), uv.astype(np.float32), texture
    )
    column, row = np.meshgrid(centres + 0.5, centres + 0.5)
    points = np.column_stack(
        [column.ravel() / PIXELS * SIDE - half, half - row.ravel() / PIXELS * SIDE, np.full(column.size, height)]
    )
    return SiteModel("markers", plan.frame, (tile,), ModelError(np.full(3, 0.1))), points


def make_simulator(**settings):
    config = SimulationConfig(world_size=800.0, duration=20.0, **settings)
    plan = plan_world(config)
    model, points = marker_field(plan)
    return CameraSimulator(SimpleNamespace(config=config, flight=make_flight(plan, config)), model=model), points


def found_markers(image):
    _, mask = cv2.threshold(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 0, 255, cv2.THRESH_OTSU)
    count, _, stats, centres = cv2.connectedComponentsWithStats(mask)
    height, width = mask.shape
    x, y, w, h = (stats[:, k] for k in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
    whole = (x > 1) & (y > 1) & (x + w < width - 1) & (y + h < height - 1) & (np.arange(count) > 0)
    return centres[whole]


def test_markers_appear_where_the_calibration_says_distortion_included():
    camera, points = make_simulator(**CLEAN)
    assert camera.camera.is_distorted
    for time in (2.0, 9.0, 17.0):
        expected = camera.camera.project(camera.pose(time).inverse().transform(points))
        found = found_markers(camera.frame(time))
        assert len(found) > 30
        distance = np.linalg.norm(found[:, None] - expected[None], axis=2)
        distance = np.nanmin(distance, axis=1)
        assert np.median(distance) < 0.15
        assert distance.max() < 0.5
        # The same markers of an undistorted camera would lie pixels away: the distortion is really there.
        ideal = camera.camera.pinhole().project(camera.pose(time).inverse().transform(points))
        assert np.nanmin(np.linalg.norm(found[:, None] - ideal[None], axis=2), axis=1).max() > 2.0
    camera.close()


def test_motion_blur_is_as_long_as_the_motion():
    sharp, points = make_simulator(**CLEAN)
    blurred, _ = make_simulator(**{**CLEAN, "exposure_time": 0.1})

    def edge(image):
        return float(np.square(np.diff(image.astype(float), axis=0)).mean())

    assert edge(blurred.frame(5.0)) < 0.75 * edge(sharp.frame(5.0))
    h = 0.01
    before, after = (sharp.camera.project(sharp.pose(5.0 + d).inverse().transform(points)) for d in (-h, h))
    inside = ((before > 60) & (before < [580, 420])).all(axis=1)
    true = (after - before)[inside] / (2 * h)
    view = blurred._renderer.render(blurred._pinhole, blurred.pose(5.0))
    flow = blurred._flow(view.depth, blurred._trajectory.motion(5.0))
    at = before[inside].round().astype(int)
    np.testing.assert_allclose(flow[at[:, 1], at[:, 0]], true, rtol=0.1, atol=8.0)
    assert np.linalg.norm(true, axis=1).max() > 30.0
    sharp.close()
    blurred.close()


def test_noise_is_as_strong_as_set_and_repeats_with_the_seed():
    quiet, _ = make_simulator(**CLEAN)
    noisy, _ = make_simulator(**{**CLEAN, "read_noise": 4.0})
    a, b = quiet.frame(3.0).astype(float), noisy.frame(3.0).astype(float)
    dark = (a > 20) & (a < 235)
    assert (b - a)[dark].std() == pytest.approx(4.0, rel=0.1)
    np.testing.assert_array_equal(noisy.frame(3.0), b.astype(np.uint8))
    assert not np.array_equal(noisy.frame(3.2), b)
    quiet.close()
    noisy.close()


def test_the_camera_looks_forward_and_down():
    camera = make_camera(SimulationConfig())
    assert (camera.width, camera.height) == (640, 480)
    simulator, _ = make_simulator(**CLEAN, turbulence=0.0)
    motion = simulator._trajectory.motion(5.0)
    axis = simulator.pose(5.0).rotation[:, 2]
    assert axis[2] < -0.7
    assert axis @ motion.velocity > 0.0
    simulator.close()
