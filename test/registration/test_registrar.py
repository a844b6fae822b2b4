import dataclasses
import re
from collections.abc import Iterator

import numpy as np
import pytest

from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.matching import create_matcher
from geo_nav.registration import Registrar, RegistrationConfig, Status
from geo_nav.registration.linearization import moved, project
from geo_nav.registration.sharpness import texel_size
from geo_nav.rendering import Renderer, create_renderer
from registration_site import SIDE, camera, photographed, synthetic_site, texture, truth_pose

TIGHT = np.diag([1.5, 1.5, 1.0, 0.01, 0.01, 0.02]) ** 2
WIDE = np.diag([15.0, 15.0, 5.0, 0.03, 0.03, 0.1]) ** 2
SITE = synthetic_site(1)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = create_renderer(SITE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def frame(renderer: Renderer) -> np.ndarray:
    return photographed(renderer.render(camera(), truth_pose()).image)


def registrar(renderer: Renderer, matcher: str = "sift", **options: float) -> Registrar:
    return Registrar(renderer, create_matcher(matcher), RegistrationConfig(**options), SITE.error, texel_size(SITE))


def off(*delta: float) -> Pose:
    return moved(truth_pose(), np.array(delta))


@pytest.mark.parametrize("matcher", ["sift", "xfeat", "xfeat_lighterglue"])
def test_tight_prior(renderer: Renderer, frame: np.ndarray, matcher: str) -> None:
    found = registrar(renderer, matcher).register(frame, camera(), off(1.5, -2.0, 1.0, 0.01, 0.0, 0.03), TIGHT, 12.5)
    assert found.status is Status.ACCEPTED, found.reason
    assert found.stamp == 12.5
    assert found.matcher == matcher
    assert found.T_map_camera is not None
    assert found.T_map_camera.distance_to(truth_pose()) < 0.25
    assert found.T_map_camera.angle_to(truth_pose()) < np.radians(0.2)
    assert found.reprojection_rms < 2.5
    assert {"undistort", "render", "extract", "match", "resect", "total"} <= set(found.milliseconds)
    assert found.tie_points is not None
    assert len(found.tie_points.pixels) == found.inliers > 50
    shown = project(found.tie_points.camera, found.T_map_camera, found.tie_points.points)
    assert np.linalg.norm(shown - found.tie_points.pixels, axis=1).max() < 4.0


@pytest.mark.parametrize("matcher", ["sift", "xfeat_lighterglue"])
def test_prior_off_by_30_m_10_degrees_and_tilt(renderer: Renderer, frame: np.ndarray, matcher: str) -> None:
    prior = off(24.0, -18.0, 6.0, 0.04, -0.03, -0.17)
    found = registrar(renderer, matcher).register(frame, camera(), prior, WIDE)
    assert found.accepted, found.reason
    assert found.T_map_camera is not None
    assert found.T_map_camera.distance_to(truth_pose()) < 0.25


def test_unknown_heading_tries_several(renderer: Renderer, frame: np.ndarray) -> None:
    covariance = TIGHT.copy()
    covariance[5, 5] = 3.0**2
    found = registrar(renderer, "xfeat").register(frame, camera(), off(0.5, 0, 0, 0, 0, 2.2), covariance)
    assert found.accepted, found.reason
    assert found.T_map_camera is not None
    assert found.T_map_camera.angle_to(truth_pose()) < np.radians(0.2)


def test_distorted_and_larger_frame(renderer: Renderer) -> None:
    large = camera().resized(1280)
    lens = dataclasses.replace(large, distortion_model="plumb_bob", distortion=(-0.08, 0.02, 0.001, -0.001))
    # A distorted frame by the definition: each pixel takes the colour of the pinhole picture at its ray.
    pinhole = renderer.render(dataclasses.replace(large, width=1480, height=1160, cx=739.5, cy=579.5), truth_pose())
    u, v = np.meshgrid(np.arange(1280.0), np.arange(960.0))
    shift = np.array([739.5 - large.cx, 579.5 - large.cy])
    source = lens.undistort_pixels(np.column_stack([u.ravel(), v.ravel()])) + shift
    column, row = np.clip(np.rint(source).astype(int), 0, [1479, 1159]).T
    image = photographed(np.ascontiguousarray(pinhole.image[row, column].reshape(960, 1280, 3)))
    found = registrar(renderer).register(image, lens, off(1.0, 1.0, 0, 0, 0, 0), TIGHT)
    assert found.accepted, found.reason
    assert found.T_map_camera is not None
    assert found.T_map_camera.distance_to(truth_pose()) < 0.25
    assert found.tie_points is not None
    assert found.tie_points.camera.width == 640
    assert not found.tie_points.camera.is_distorted


def test_covariance_is_honest(renderer: Renderer) -> None:
    # Frame and view have the same light here: nothing moves all keypoints alike.
    made = registrar(renderer, "xfeat", keypoint_shared_variance=0.0)
    rng = np.random.default_rng(4)
    nees = []
    for i in range(12):
        place = moved(truth_pose(), rng.normal(0, 1, 6) * [15, 15, 5, 0.05, 0.05, 1.0])
        image = photographed(renderer.render(camera(), place).image, seed=i)
        prior = moved(place, rng.normal(0, 1, 6) * np.sqrt(np.diag(TIGHT)))
        found = made.register(image, camera(), prior, TIGHT)
        assert found.accepted, found.reason
        assert found.T_map_camera is not None
        assert found.covariance is not None
        assert found.model_covariance is not None
        assert np.linalg.eigvalsh(found.covariance).min() > 0
        error = error_vector(found.T_map_camera, place)
        # The model has no error here, so what it is told of one is taken out again.
        resection = found.covariance - found.model_covariance
        nees.append(error @ np.linalg.solve(resection, error))
    assert 1.5 < np.mean(nees) < 12.0


def test_the_last_view_serves_again(renderer: Renderer, frame: np.ndarray) -> None:
    made = registrar(renderer)
    first = made.register(frame, camera(), off(0.5, 0, 0, 0, 0, 0), TIGHT)
    view = made.last_view
    second = made.register(frame, camera(), off(1.5, 0.5, 0, 0, 0, 0.005), TIGHT)
    assert made.last_view is view
    assert first.accepted
    assert second.accepted
    assert second.T_map_camera is not None
    assert second.T_map_camera.distance_to(truth_pose()) < 0.25
    made.register(frame, camera(), off(25.0, 0, 0, 0, 0, 0), TIGHT)
    assert made.last_view is not view


def refused_frames(renderer: Renderer) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    other = create_renderer(synthetic_site(9))
    try:
        elsewhere = photographed(other.render(camera(), truth_pose()).image)
    finally:
        other.close()
    here = photographed(renderer.render(camera(), truth_pose()).image)
    lattice = np.zeros((480, 640, 3), np.uint8)
    lattice[::32], lattice[:, ::32] = 200, 200
    return {
        "noise": rng.integers(0, 255, (480, 640, 3), dtype=np.uint8),
        "elsewhere": elsewhere,
        "mirrored": np.ascontiguousarray(here[:, ::-1]),
        "lattice": lattice,
        "ramp": np.repeat(np.linspace(0, 255, 640).astype(np.uint8)[None, :, None], 480, axis=0).repeat(3, axis=2),
        "clouds": np.ascontiguousarray(texture(77)[:480, :640]),
    }


@pytest.mark.parametrize("matcher", ["sift", "xfeat_lighterglue"])
@pytest.mark.parametrize("covariance", [TIGHT, WIDE], ids=["tight", "wide"])
def test_what_does_not_show_the_site_is_refused(renderer: Renderer, matcher: str, covariance: np.ndarray) -> None:
    made = registrar(renderer, matcher)
    for name, image in refused_frames(renderer).items():
        found = made.register(image, camera(), truth_pose(), covariance)
        assert not found.accepted, f"{name}: {found.reason}"
        # The mirrored frame is what a camera under the ground would see: only the prior speaks against that.
        assert found.status is not Status.BAD_INPUT, name
        assert any(c.isdigit() for c in found.reason), found.reason


def test_a_pose_that_contradicts_the_prior_is_refused(renderer: Renderer, frame: np.ndarray) -> None:
    sure = np.diag([0.3, 0.3, 0.3, 0.005, 0.005, 0.005]) ** 2
    found = registrar(renderer, search_sigmas=60.0).register(frame, camera(), off(6.0, 4.0, 0, 0, 0, 0), sure)
    assert found.status is Status.FAR_FROM_PRIOR
    assert "7." in found.reason
    assert found.T_map_camera is not None


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"min_inlier_ratio": 1.0, "pixel_sigma": 0.3}, Status.LOW_INLIER_RATIO),
        ({"max_position_sigma": 0.01}, Status.ILL_CONDITIONED),
        ({"max_rotation_sigma": 1e-6}, Status.ILL_CONDITIONED),
        ({"min_matches": 5000}, Status.FEW_MATCHES),
        ({"min_inliers": 5000}, Status.FEW_INLIERS),
    ],
)
def test_each_gate_names_itself(
    renderer: Renderer, frame: np.ndarray, options: dict[str, float], status: Status
) -> None:
    found = registrar(renderer, **options).register(frame, camera(), off(0.5, 0.5, 0, 0, 0, 0), TIGHT)
    assert found.status is status, found.reason


def test_inliers_in_one_corner_are_refused(renderer: Renderer, frame: np.ndarray) -> None:
    covered = frame.copy()
    covered[:, 200:] = 90
    covered[160:] = 90
    found = registrar(renderer, min_spread=0.25).register(covered, camera(), off(0.5, 0.5, 0, 0, 0, 0), TIGHT)
    assert found.status is Status.POOR_SPREAD, found.reason


def test_no_model_in_view(renderer: Renderer, frame: np.ndarray) -> None:
    found = registrar(renderer).register(frame, camera(), off(10 * SIDE, 0, 0, 0, 0, 0), TIGHT)
    assert found.status is Status.NO_MODEL
    found = registrar(renderer).register(frame, camera(), off(SIDE / 2 + 42, 0, 0, 0, 0, 0), TIGHT)
    assert found.status is Status.NO_MODEL
    assert "%" in found.reason


@pytest.mark.parametrize(
    ("image", "covariance", "words"),
    [
        (np.zeros((480, 640, 3), np.uint8), TIGHT, "blank"),
        (np.full((480, 640, 3), 255, np.uint8), TIGHT, "blank"),
        (np.zeros((100, 100, 3), np.uint8), TIGHT, "100x100"),
        (np.zeros((480, 640, 4), np.uint8), TIGHT, "uint8"),
        (np.zeros((480, 640, 3), np.float32), TIGHT, "uint8"),
        (texture(3)[:480, :640], TIGHT * np.nan, "finite"),
        (texture(3)[:480, :640], -TIGHT, "positive"),
        (texture(3)[:480, :640], TIGHT[:3, :3], r"\(6, 6\)"),
        (texture(3)[:480, :640], TIGHT + np.triu(np.ones((6, 6)), 1), "symmetric"),
    ],
)
def test_bad_input_is_a_verdict(renderer: Renderer, image: np.ndarray, covariance: np.ndarray, words: str) -> None:
    found = registrar(renderer).register(image, camera(), truth_pose(), covariance)
    assert found.status is Status.BAD_INPUT
    assert re.search(words, found.reason), found.reason
    assert found.T_map_camera is None


def test_texel_of_the_site() -> None:
    assert texel_size(SITE) == pytest.approx(SIDE / 1024, rel=0.02)
