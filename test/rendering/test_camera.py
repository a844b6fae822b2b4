import cv2
import numpy as np
import pytest

from geo_nav.geodesy import Pose
from geo_nav.rendering import Camera, RenderedView, RenderingError, Undistorter

BROWN = Camera(640, 480, 500.0, 505.0, 318.2, 241.9, "plumb_bob", (-0.21, 0.06, 0.001, -0.002))
RATIONAL = Camera(
    640, 480, 500.0, 505.0, 318.2, 241.9, "rational_polynomial", (0.3, 0.1, 0.001, -0.001, 0.02, 0.6, 0.2, 0.03)
)
FISHEYE = Camera(640, 480, 290.0, 290.0, 321.0, 238.0, "equidistant", (0.02, -0.01, 0.003, -0.001))
PIXELS = np.array([[20.0, 30.0], [318.2, 241.9], [600.0, 60.0], [100.5, 450.25]])


@pytest.mark.parametrize("camera", [BROWN, RATIONAL, FISHEYE, BROWN.pinhole()])
def test_rays_project_back_to_their_pixels(camera):
    assert camera.project(camera.rays(PIXELS) * 7.0) == pytest.approx(PIXELS, abs=2e-3)


def test_the_principal_point_looks_forward_and_what_is_behind_is_nan():
    assert BROWN.project([[0.0, 0.0, 5.0]]) == pytest.approx(np.array([[318.2, 241.9]]))
    assert np.isnan(BROWN.project([[0.0, 0.0, -5.0]])).all()
    assert BROWN.project(np.zeros((0, 3))).shape == (0, 2)


def test_a_resized_camera_keeps_the_corners_of_the_picture():
    small = BROWN.resized(160)
    assert (small.width, small.height) == (160, 120)
    # The outer corner of the first pixel is (-0.5, -0.5) in both.
    ray = BROWN.pinhole().rays([[-0.5, -0.5], [639.5, 479.5]])
    assert small.pinhole().project(ray) == pytest.approx(np.array([[-0.5, -0.5], [159.5, 119.5]]))


@pytest.mark.parametrize("camera", [BROWN, FISHEYE])
@pytest.mark.parametrize("width", [None, 320])
def test_an_undistorted_frame_is_what_the_pinhole_would_have_seen(camera, width):
    """Blobs drawn where the distorted camera sees points of a grid lie where the pinhole projects them."""
    undistort = Undistorter(camera, width)
    grid = np.array([[x, y, 1.0] for x in (-0.35, 0.0, 0.3) for y in (-0.25, 0.05, 0.28)])
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    frame = np.zeros((camera.height, camera.width))
    for p in camera.project(grid):
        frame += np.exp(-((u - p[0]) ** 2 + (v - p[1]) ** 2) / (2 * 4.0**2))
    flat = undistort(np.round(frame * 255).clip(0, 255).astype(np.uint8))
    assert flat.shape == (undistort.pinhole.height, undistort.pinhole.width)
    for p in undistort.pinhole.project(grid):
        i, j = np.round(p).astype(int)
        r = 12
        window = flat[j - r : j + r + 1, i - r : i + r + 1].astype(float)
        dv, du = np.mgrid[-r : r + 1, -r : r + 1]
        centre = [i + (du * window).sum() / window.sum(), j + (dv * window).sum() / window.sum()]
        assert centre == pytest.approx(p, abs=0.25)
    assert flat[~undistort.valid].size == 0 or flat[~undistort.valid].max() < 5


def test_an_undistorted_camera_only_resizes():
    camera = BROWN.pinhole()
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    assert Undistorter(camera)(frame) is frame
    assert (Undistorter(camera, 320)(frame) == cv2.resize(frame, (320, 240), interpolation=cv2.INTER_AREA)).all()


@pytest.mark.parametrize(
    "image", [np.zeros((480, 639), np.uint8), np.zeros((480, 640)), np.zeros((480, 640, 4), np.uint8)]
)
def test_a_frame_of_the_wrong_kind_is_refused(image):
    with pytest.raises(RenderingError):
        Undistorter(BROWN)(image)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"fx": float("nan")},
        {"fy": -1.0},
        {"distortion_model": "magic"},
        {"distortion_model": "plumb_bob", "distortion": (0.1,)},
    ],
)
def test_a_camera_that_cannot_be_is_refused(wrong):
    with pytest.raises(RenderingError):
        Camera(**{"width": 640, "height": 480, "fx": 500.0, "fy": 500.0, "cx": 320.0, "cy": 240.0, **wrong})


def test_pixels_at_depth_edges_and_holes_are_not_lifted():
    camera = Camera(40, 30, 50.0, 50.0, 19.5, 14.5)
    depth = np.full((30, 40), 20.0, np.float32)
    depth[:, 20:] = 25.0
    depth[5:8, 5:8] = 0.0
    view = RenderedView(np.zeros((30, 40, 3), np.uint8), depth, camera, Pose.identity())
    pixels = [[10.3, 20.7], [19.5, 10.0], [6.0, 6.0], [4.5, 6.0], [-1.0, 3.0], [39.0, 29.0]]
    points, valid = view.lift(pixels)
    assert valid.tolist() == [True, False, False, False, False, True]
    assert points[0] == pytest.approx([(10.3 - 19.5) / 50 * 20, (20.7 - 14.5) / 50 * 20, 20.0])
    assert points[5] == pytest.approx([19.5 / 50 * 25, 14.5 / 50 * 25, 25.0])
    assert view.mask.sum() == 40 * 30 - 9
