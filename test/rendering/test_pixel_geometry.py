"""Where things land in a picture, against Camera.project and plane geometry; for every backend."""

import numpy as np
import pytest

from geo_nav.geodesy import LocalFrame, camera_pose
from geo_nav.rendering import Camera, create_renderer
from geo_nav.site import ModelError, SiteModel, SiteTile

# Deliberately off-centre, anisotropic and neither power of two nor multiple of four.
CAMERA = Camera(331, 253, 300.0, 310.0, 150.3, 140.7)
SIDE, TEXELS = 100.0, 1000
MARKERS = np.array([[-30.0, 20.0], [3.0, -1.0], [12.0, 24.0], [-8.0, -22.0], [25.0, -18.0]])
SIGMA = 0.7


def plane(slope=(0.0, 0.0)):
    """Square of 100 m around the origin with the height slope · (east, north); bright Gaussian blobs on black."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * SIDE
    vertices = np.column_stack([corners, corners @ slope]).astype(np.float32)
    centre = (np.arange(TEXELS) + 0.5) / TEXELS * SIDE - SIDE / 2
    picture = np.zeros((TEXELS, TEXELS))
    for east, north in MARKERS:
        picture += np.exp(-((centre[None] - east) ** 2 + (centre[::-1][:, None] - north) ** 2) / (2 * SIGMA**2))
    texture = np.repeat(np.round(picture * 255).astype(np.uint8)[..., None], 3, axis=2)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    tile = SiteTile(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32), uv, texture)
    return SiteModel("plane", LocalFrame(0.0, 0.0, 0.0), (tile,), ModelError(np.ones(3)))


@pytest.fixture(scope="module", params=["moderngl", "raycast"])
def backend(request):
    return request.param


def render(model, backend, pose, camera=CAMERA, **options):
    renderer = create_renderer(model, backend, **options)
    try:
        return renderer.render(camera, pose)
    finally:
        renderer.close()


def centroid(image, pixel, radius=14):
    u, v = np.round(pixel).astype(int)
    window = image[v - radius : v + radius + 1, u - radius : u + radius + 1, 0].astype(float)
    dv, du = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.array([u + (du * window).sum() / window.sum(), v + (dv * window).sum() / window.sum()])


@pytest.mark.parametrize("supersampling", [1, 2])
def test_markers_land_where_the_camera_projects_them(backend, supersampling):
    pose = camera_pose([2.3, -1.7, 90.0], np.radians(33.0), -np.pi / 2)
    view = render(plane(), backend, pose, supersampling=supersampling)
    points = np.column_stack([MARKERS, np.zeros(len(MARKERS))])
    expected = CAMERA.project(pose.inverse().transform(points))
    measured = np.array([centroid(view.image, pixel) for pixel in expected])
    assert np.abs(measured - expected).max() < 0.02


@pytest.mark.parametrize(("heading", "pitch", "roll"), [(0.0, -90.0, 0.0), (75.0, -50.0, 0.0), (200.0, -35.0, 20.0)])
def test_depth_of_a_sloped_plane(backend, heading, pitch, roll):
    slope = np.array([0.2, -0.1])
    position = np.array([5.0, 3.0, 60.0])
    pose = camera_pose(position, *np.radians([heading, pitch, roll]))
    view = render(plane(slope), backend, pose)
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    rays = CAMERA.rays(np.column_stack([u.ravel(), v.ravel()])) @ pose.rotation.T
    normal = np.array([-slope[0], -slope[1], 1.0])
    depth = -(position @ normal) / (rays @ normal)
    hit = position + depth[:, None] * rays
    inside = ((np.abs(hit[:, :2]) < SIDE / 2 - 0.5).all(axis=1) & (depth > 0)).reshape(view.depth.shape)
    outside = ((np.abs(hit[:, :2]) > SIDE / 2 + 0.5).any(axis=1) | (depth < 0)).reshape(view.depth.shape)
    assert inside.mean() > 0.15
    assert np.abs(view.depth[inside] - depth.reshape(view.depth.shape)[inside]).max() < 1e-3
    assert not view.depth[outside].any()
    assert not view.image[outside].any()
    assert (view.mask == (view.depth > 0)).all()


def test_what_is_lifted_projects_back(backend):
    pose = camera_pose([0.0, -60.0, 50.0], 0.0, np.radians(-40.0))
    view = render(plane((0.1, 0.3)), backend, pose)
    pixels = np.random.default_rng(2).uniform([60, 60], [270, 200], (300, 2))
    points, valid = view.lift(pixels)
    assert valid.mean() > 0.9
    points = points[valid]
    assert np.abs(points[:, 2] - points[:, :2] @ [0.1, 0.3]).max() < 2e-3
    assert CAMERA.project(pose.inverse().transform(points)) == pytest.approx(pixels[valid], abs=1e-6)


def test_the_nearer_surface_hides_the_other(backend):
    ground = plane()
    roof = ground.tiles[0]
    raised = SiteTile(roof.vertices * 0.1 + np.float32([0, 0, 15]), roof.faces, roof.uv, roof.texture)
    for tiles in [(roof, raised), (raised, roof)]:
        model = SiteModel("two", ground.frame, tiles, ModelError(np.ones(3)))
        view = render(model, backend, camera_pose([0.0, 0.0, 60.0], 0.0, -np.pi / 2))
        assert view.depth[140, 150] == pytest.approx(45.0, abs=1e-3)
        assert view.depth[30, 30] == pytest.approx(60.0, abs=1e-3)


def test_near_and_far_cut(backend):
    pose = camera_pose([0.0, -45.0, 20.0], 0.0, np.radians(-25.0))
    whole = render(plane(), backend, pose).depth
    assert 0 < whole[whole > 0].min() < 40.0
    assert whole.max() > 80.0
    cut = render(plane(), backend, pose, near=40.0, far=80.0).depth
    kept = (whole >= 40.0 + 1e-3) & (whole <= 80.0 - 1e-3)
    assert cut[kept] == pytest.approx(whole[kept], abs=1e-3)
    assert not cut[(whole < 40.0 - 1e-3) | (whole > 80.0 + 1e-3)].any()


def test_the_ground_under_the_camera_and_behind_it_is_no_trouble(backend):
    """Triangles that reach behind the camera are clipped, not folded over."""
    pose = camera_pose([0.0, 0.0, 2.0], 0.0, 0.0)
    view = render(plane(), backend, pose)
    horizon = round(CAMERA.cy)
    assert not view.mask[: horizon - 1].any()
    assert view.mask[horizon + 15 :].all()
    assert view.depth[-1, 150] == pytest.approx(2.0 * 310.0 / (252 - 140.7), abs=1e-3)


def test_vertex_colours_multiply_the_texture(backend):
    tile = plane().tiles[0]
    colors = np.array([[200, 100, 50]] * 4, np.uint8)
    white = np.full((1, 1, 3), 255, np.uint8)
    model = SiteModel(
        "c", LocalFrame(0, 0, 0), (SiteTile(tile.vertices, tile.faces, tile.uv, white, colors),), ModelError(np.ones(3))
    )
    view = render(model, backend, camera_pose([0.0, 0.0, 50.0], 0.0, -np.pi / 2))
    assert view.image[126, 165] == pytest.approx([200, 100, 50], abs=1)


def test_a_texture_repeats_outside_its_first_period(backend):
    tile = plane().tiles[0]
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, 32:] = 255
    model = SiteModel(
        "r",
        LocalFrame(0, 0, 0),
        (SiteTile(tile.vertices, tile.faces, tile.uv * 4.0 - 2.0, halves),),
        ModelError(np.ones(3)),
    )
    view = render(model, backend, camera_pose([0.0, 0.0, 100.0], 0.0, -np.pi / 2))
    # 300 px = 100 m: a period is 25 m = 75 px; the centre of each half, east of the principal point.
    row = view.image[100, np.round(150.3 + np.array([-56, -19, 19, 56])).astype(int), 0]
    assert row.tolist() == [0, 255, 0, 255]


def test_a_pattern_far_finer_than_the_pixels_becomes_grey(backend):
    tile = plane().tiles[0]
    board = (np.indices((1000, 1000)).sum(axis=0) % 2 * 255).astype(np.uint8)
    model = SiteModel(
        "m",
        LocalFrame(0, 0, 0),
        (SiteTile(tile.vertices, tile.faces, tile.uv, np.repeat(board[..., None], 3, 2)),),
        ModelError(np.ones(3)),
    )
    view = render(model, backend, camera_pose([0.0, 0.0, 200.0], 0.3, -np.pi / 2))
    inner = view.image[120:160, 130:170, 0].astype(float)
    assert inner.mean() == pytest.approx(127.5, abs=3.0)
    assert inner.std() < 8.0
