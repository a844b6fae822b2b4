import threading

import numpy as np
import pytest

from geo_nav.geodesy import camera_pose
from geo_nav.rendering import Camera, RenderingError, backend_names, create_renderer
from geo_nav.rendering import egl as egl_module
from geo_nav.rendering.frustum import tile_corners, visible_tiles
from geo_nav.site import SiteConfig, load_site
from site_helpers import dem_heights, write_site

CAMERA = Camera(320, 240, 260.0, 260.0, 159.5, 119.5)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Sloped terrain with a house and a noisy orthophoto, in many tiles."""
    rng = np.random.default_rng(5)
    dem = dem_heights()
    dem[25:32, 35:45] += 9.0
    noise = rng.integers(0, 256, (3, 30, 40), dtype=np.uint8)
    ortho = np.repeat(np.repeat(noise, 8, axis=1), 8, axis=2)
    return load_site(write_site(tmp_path_factory.mktemp("site"), dem=dem, ortho=ortho), SiteConfig(tile_cells=16))


POSES = [
    camera_pose([3.0, -4.0, 70.0], 0.4, -np.pi / 2),
    camera_pose([-60.0, -50.0, 45.0], 0.8, np.radians(-30.0)),
    camera_pose([0.0, 0.0, 40.0], 3.0, np.radians(-60.0), 0.2),
]


@pytest.mark.parametrize("pose", POSES)
def test_both_backends_show_the_same(site, pose):
    views = []
    for name in ("moderngl", "raycast"):
        renderer = create_renderer(site, name)
        views.append(renderer.render(CAMERA, pose))
        renderer.close()
    gl, ray = views
    assert gl.mask.mean() > 0.3
    both = gl.mask & ray.mask
    assert (gl.mask == ray.mask).mean() > 0.998
    assert np.quantile(np.abs(gl.depth - ray.depth)[both], 0.99) < 1e-2
    difference = np.abs(gl.image.astype(int) - ray.image)[both]
    assert difference.mean() < 8.0
    assert np.corrcoef(gl.image[both].ravel(), ray.image[both].ravel())[0, 1] > 0.97


@pytest.mark.parametrize("pose", POSES)
def test_culling_leaves_out_nothing_that_is_in_view(site, pose):
    renderer = create_renderer(site, "moderngl")
    culled = renderer.render(CAMERA, pose)
    visible, _, _ = visible_tiles(tile_corners(site.tiles), CAMERA, pose, 0.5, 20000.0)
    whole = np.array([len(t.faces) for t in site.tiles])
    for index, tile in enumerate(site.tiles):
        pixels = CAMERA.project(pose.inverse().transform(tile.vertices.astype(float)))
        with np.errstate(invalid="ignore"):
            seen = ((pixels >= -0.5) & (pixels <= [319.5, 239.5])).all(axis=1).any()
        assert not seen or index in visible
    assert culled.mask.any()
    assert whole[visible].sum() <= whole.sum()
    renderer.close()


def test_a_view_off_the_site_is_empty_and_draws_nothing(site):
    pose = camera_pose([5000.0, 0.0, 50.0], np.pi / 2, np.radians(-30.0))
    visible, near, far = visible_tiles(tile_corners(site.tiles), CAMERA, pose, 0.5, 20000.0)
    assert len(visible) == 0
    assert near < far
    for name in ("moderngl", "raycast"):
        renderer = create_renderer(site, name)
        view = renderer.render(CAMERA, pose)
        assert not view.mask.any()
        assert not view.image.any()
        renderer.close()


def test_a_view_does_not_keep_the_one_before(site):
    renderer = create_renderer(site, "moderngl")
    first = renderer.render(CAMERA, POSES[0])
    other = renderer.render(Camera(200, 100, 150.0, 150.0, 99.5, 49.5), POSES[1])
    again = renderer.render(CAMERA, POSES[0])
    assert other.image.shape == (100, 200, 3)
    assert (first.image == again.image).all()
    assert (first.depth == again.depth).all()
    renderer.close()


def test_two_renderers_live_side_by_side_in_one_thread(site):
    a, b = create_renderer(site, "moderngl"), create_renderer(site, "moderngl")
    one, two = a.render(CAMERA, POSES[0]), b.render(CAMERA, POSES[0])
    a.close()
    three = b.render(CAMERA, POSES[0])
    b.close()
    assert (one.image == two.image).all()
    assert (one.image == three.image).all()


def test_many_image_sizes_are_served(site):
    renderer = create_renderer(site, "moderngl")
    for width in range(100, 110):
        camera = CAMERA.resized(width)
        assert renderer.render(camera, POSES[0]).image.shape == (camera.height, width, 3)
    renderer.close()


@pytest.mark.parametrize("name", ["moderngl", "raycast"])
def test_a_distorted_camera_is_refused(site, name):
    renderer = create_renderer(site, name)
    bent = Camera(320, 240, 260.0, 260.0, 159.5, 119.5, "plumb_bob", (0.1, 0.0, 0.0, 0.0))
    with pytest.raises(RenderingError, match="undistort"):
        renderer.render(bent, POSES[0])
    renderer.close()
    renderer.close()
    with pytest.raises(RenderingError, match="closed"):
        renderer.render(CAMERA, POSES[0])


def test_another_thread_is_told_to_make_its_own(site):
    renderer = create_renderer(site, "moderngl")
    problems = []

    def work():
        try:
            renderer.render(CAMERA, POSES[0])
        except RenderingError as error:
            problems.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "thread" in problems[0]
    renderer.close()


def test_a_renderer_works_in_a_thread_of_its_own(site):
    views = []

    def work():
        renderer = create_renderer(site, "moderngl")
        views.append(renderer.render(CAMERA, POSES[0]))
        renderer.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert views[0].mask.mean() > 0.3


def test_backends_are_found_by_name(site):
    assert backend_names() == ["moderngl", "raycast"]
    with pytest.raises(RenderingError, match=r"vulkan.*moderngl, raycast"):
        create_renderer(site, "vulkan")
    with pytest.raises(RenderingError, match="anisotropy"):
        create_renderer(site, anisotropy=99.0)
    with pytest.raises(RenderingError, match="device"):
        create_renderer(site, device="tpu")
    with pytest.raises(RenderingError, match="colour"):
        create_renderer(site, colour=3)


def test_devices_are_chosen(site):
    renderer = create_renderer(site, device="cpu")
    assert "llvmpipe" in renderer.device.lower() or "softpipe" in renderer.device.lower()
    renderer.close()
    with pytest.raises(RenderingError, match="EGL device 99"):
        create_renderer(site, device="99")


def fake_devices(monkeypatch, *names):
    """Contexts as a machine with these EGL devices would give them; returns those released."""
    released = []

    class Context:
        def __init__(self, name):
            self.info = {"GL_RENDERER": name}

        def release(self):
            released.append(self.info["GL_RENDERER"])

    def open_device(index):
        return Context(names[index]) if index < len(names) else "requested device index too large"

    monkeypatch.setattr(egl_module, "_open", open_device)
    return released


@pytest.mark.parametrize(
    ("device", "chosen"), [("auto", "NVIDIA Orin"), ("gpu", "NVIDIA Orin"), ("cpu", "llvmpipe"), ("1", "NVIDIA Orin")]
)
def test_a_gpu_comes_before_the_cpu(monkeypatch, device, chosen):
    released = fake_devices(monkeypatch, "llvmpipe", "NVIDIA Orin")
    assert egl_module.create_context(device).info["GL_RENDERER"] == chosen
    assert chosen not in released


def test_a_machine_without_egl_says_what_to_install(monkeypatch):
    fake_devices(monkeypatch)
    with pytest.raises(RenderingError, match=r"apt install libegl1 libgl1 libgl1-mesa-dri.*raycast"):
        egl_module.create_context("auto")


def test_a_machine_without_gpu_says_so(monkeypatch):
    released = fake_devices(monkeypatch, "llvmpipe")
    with pytest.raises(RenderingError, match="GPU"):
        egl_module.create_context("gpu")
    assert released == ["llvmpipe"]
