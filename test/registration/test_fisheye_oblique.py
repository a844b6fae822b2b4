"""Cameras other than a pinhole that looks down: a fisheye, a 45° oblique one, and both at once."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.matching import create_matcher
from geo_nav.registration import FrameMasks, MaskConfig, Registrar, RegistrationConfig
from geo_nav.registration.gimbal import rotation_from_gimbal
from geo_nav.registration.linearization import moved, project
from geo_nav.registration.sharpness import texel_size
from geo_nav.rendering import Camera, Renderer, Undistorter, create_renderer
from geo_nav.site import ModelError, SiteModel, SiteTile
from registration_site import camera, photographed, texture

HALF = 320.0
"""Metres: an oblique camera at 90 m sees far."""
HEIGHT = 90.0
FISHEYE = Camera(640, 480, 300.0, 300.0, 319.5, 239.5, "equidistant", (-0.02, 0.005, 0.0, 0.0))
"""122° wide, 152° over the diagonal; its pinhole twin keeps 94°."""
LENSES = {"pinhole": camera(), "fisheye": FISHEYE}
PITCHES = {"nadir": -85.0, "oblique": -45.0}

TIGHT = np.array([3.0, -4.0, 1.6, 0.012, -0.012, 0.05])
TIGHT_COVARIANCE = np.diag([2.5, 2.5, 1.0, 0.009, 0.009, 0.03]) ** 2
WIDE = np.array([30.0, -40.0, 0.2 * HEIGHT, *np.radians([4.0, -3.0, 25.0])])
"""At the rim of a wide prior: 50 m, 20 % of the height, 5° of tilt, 25° of heading."""
WIDE_COVARIANCE = np.diag([25.0, 25.0, 0.2 * HEIGHT / np.sqrt(3), *np.radians([2.5, 2.5, 25.0 / np.sqrt(3)])]) ** 2
PRIORS = {"tight": (TIGHT, TIGHT_COVARIANCE), "wide": (WIDE, WIDE_COVARIANCE)}


def large_site() -> SiteModel:
    """Rolling ground of 640 m in four tiles."""
    n = 81
    index = np.arange(n * n).reshape(n, n)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel()
    faces = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).astype(np.int32)
    u, v = np.meshgrid(np.linspace(0, 1, n), np.linspace(1, 0, n))
    uv = np.stack([u, v], -1).reshape(-1, 2).astype(np.float32)
    tiles = []
    for k, (west, south) in enumerate(((-HALF, -HALF), (0.0, -HALF), (-HALF, 0.0), (0.0, 0.0))):
        east, north = west + HALF * u, south + HALF * v
        up = 5.0 * np.sin(east / 31.0 + 1.0) * np.cos(north / 27.0) + 2.0 * np.sin(north / 11.0)
        vertices = np.stack([east, north, up], -1).reshape(-1, 3).astype(np.float32)
        tiles.append(SiteTile(vertices, faces, uv, texture(20 + k)))
    return SiteModel("640 m", LocalFrame(47.0, 8.0, 400.0), tuple(tiles), ModelError(np.array([0.05, 0.05, 0.1])))


SITE = large_site()


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = create_renderer(SITE)
    yield made
    made.close()


def true_pose(look: str) -> Pose:
    """Such that the middle of the picture is near the middle of the site."""
    heading, pitch = np.radians(40.0), np.radians(PITCHES[look])
    back = HEIGHT / np.tan(-pitch)
    position = np.array([12.0 - back * np.sin(heading), -8.0 - back * np.cos(heading), HEIGHT])
    return Pose(rotation_from_gimbal(heading, pitch, np.radians(2.0)), position)


def frame(renderer: Renderer, lens: Camera, pose: Pose) -> np.ndarray:
    """What the lens sees, by the definition of its distortion, with clouds where there is no site."""
    wide = Camera(2000, 1500, 300.0, 300.0, 999.5, 749.5) if lens.is_distorted else lens
    view = renderer.render(wide, pose)
    u, v = np.meshgrid(np.arange(640.0), np.arange(480.0))
    source = (lens.rays(np.column_stack([u.ravel(), v.ravel()])) @ wide.matrix.T)[:, :2].astype(np.float32)
    source = source.reshape(480, 640, 2)
    image = cv2.remap(view.image, source[..., 0], source[..., 1], cv2.INTER_LINEAR)
    shown = cv2.remap(view.mask.astype(np.uint8), source[..., 0], source[..., 1], cv2.INTER_NEAREST) > 0
    image[~shown] = texture(77)[:480, :640][~shown]
    return photographed(np.asarray(image, np.uint8))


@pytest.mark.parametrize(
    ("lens", "look", "prior", "matcher"),
    [
        ("pinhole", "oblique", "tight", "xfeat_orientation"),
        ("pinhole", "oblique", "wide", "sift"),
        ("fisheye", "nadir", "tight", "sift"),
        ("fisheye", "nadir", "wide", "xfeat_orientation"),
        ("fisheye", "oblique", "tight", "xfeat_orientation"),
        ("fisheye", "oblique", "wide", "sift"),
    ],
)
def test_found_again(renderer: Renderer, lens: str, look: str, prior: str, matcher: str) -> None:
    delta, covariance = PRIORS[prior]
    truth = true_pose(look)
    registrar = Registrar(
        renderer,
        create_matcher(matcher),
        RegistrationConfig(),
        SITE.error,
        texel_size(SITE),
        masks=FrameMasks(MaskConfig()),
    )
    found = registrar.register(frame(renderer, LENSES[lens], truth), LENSES[lens], moved(truth, delta), covariance)
    assert found.accepted, found.reason
    assert found.T_map_camera is not None
    assert found.T_map_camera.distance_to(truth) < 0.4
    assert found.T_map_camera.angle_to(truth) < np.radians(0.2)
    ties = found.tie_points
    assert ties is not None
    # Tie points are those of an undistorted camera, and the lens sees them where it says it does.
    assert not ties.camera.is_distorted
    off = np.linalg.norm(project(ties.camera, truth, ties.points) - ties.pixels, axis=1)
    assert np.median(off) < 1.5


def test_the_fisheyes_far_corners_are_left_out() -> None:
    """The pinhole twin of the same focal length keeps 94° of 122°, and each of its pixels has a source."""
    undistorter = Undistorter(FISHEYE)
    pinhole = undistorter.pinhole
    assert undistorter.valid.all()
    kept = 2 * np.degrees(np.arctan2(pinhole.width / 2, pinhole.fx))
    assert kept == pytest.approx(93.7, abs=0.5)
    seen = 2 * np.degrees(np.arctan(np.linalg.norm(FISHEYE.rays(np.array([[0.0, 239.5]]))[0, :2])))
    assert seen == pytest.approx(2 * np.degrees(320 / 300), abs=6.0)
    assert seen > kept + 25.0
