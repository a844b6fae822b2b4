from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from geo_nav.geodesy import Pose
from geo_nav.matching import create_matcher
from geo_nav.registration import Registrar, RegistrationConfig
from geo_nav.registration.area_search import search_area
from geo_nav.registration.frames import Frame
from geo_nav.registration.linearization import moved
from geo_nav.registration.sharpness import texel_size
from geo_nav.registration.views import plan_views
from geo_nav.rendering import Renderer, create_renderer
from registration_site import camera, photographed, synthetic_site, truth_pose

SITE = synthetic_site(1)
WIDE = np.diag([25.0, 25.0, 10.0, 0.04, 0.04, 0.25]) ** 2
OFF = (22.0, -18.0, 9.0, 0.02, -0.02, 0.35)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = create_renderer(SITE)
    yield made
    made.close()


def another_season(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """Bright and dark exchanged in half of the parcels and the fine texture gone: what a descriptor sees is another."""
    rng = np.random.default_rng(seed)
    parcels = cv2.resize(
        rng.integers(0, 2, (5, 6)).astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST
    )
    turned = np.where(parcels[..., None] > 0, 255 - image, image)
    return photographed(np.asarray(cv2.GaussianBlur(turned.astype(np.uint8), (0, 0), 1.5), np.uint8))


def test_the_frame_is_found_in_a_wide_view(renderer: Renderer) -> None:
    truth, prior = truth_pose(), moved(truth_pose(), np.array(OFF))
    image = another_season(renderer.render(camera(), truth).image)
    plan = plan_views(camera(), prior, WIDE, 95.0, RegistrationConfig())
    view = renderer.render(plan.camera, plan.poses[0])
    # The area search needs no features of the frame.
    frame = Frame(image, camera(), create_matcher("sift").extract(image), np.ones(image.shape[:2], bool))
    found = search_area(frame, view, heading_sigma=0.25, scale_sigma=0.1)
    assert found
    best = found[0].T_map_camera
    assert found[0].score > 1.3 * found[1].score
    # The tilt is the prior's, so what is compared is where the middle of the frame lies, and the heading.
    middle = [_ground(pose) for pose in (best, truth)]
    assert np.linalg.norm(middle[0] - middle[1]) < 4.0
    assert abs(_heading(best) - _heading(truth)) < np.radians(4.0)
    assert found[0].log10_tried > 3.0


def _ground(pose: Pose) -> np.ndarray:
    ray = pose.rotation[:, 2]
    point: np.ndarray = (pose.translation - ray * pose.translation[2] / ray[2])[:2]
    return point


def _heading(pose: Pose) -> float:
    return float(np.arctan2(-pose.rotation[0, 1], -pose.rotation[1, 1]))


def test_a_wide_prior_over_changed_ground_is_survived(renderer: Renderer) -> None:
    # Windows alone look no further than their reach: without the search there is no fix.
    image = another_season(renderer.render(camera(), truth_pose()).image)
    prior = moved(truth_pose(), np.array(OFF))
    registrar = Registrar(renderer, create_matcher("orientation"), RegistrationConfig(), SITE.error, texel_size(SITE))
    found = registrar.register(image, camera(), prior, WIDE)
    assert found.accepted, found.reason
    assert found.T_map_camera is not None
    assert found.T_map_camera.distance_to(truth_pose()) < 0.5
    assert "search" in found.milliseconds


def test_a_picture_of_nothing_is_not_found(renderer: Renderer) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    registrar = Registrar(
        renderer, create_matcher("xfeat_orientation"), RegistrationConfig(), SITE.error, texel_size(SITE)
    )
    found = registrar.register(noise, camera(), moved(truth_pose(), np.array(OFF)), WIDE)
    assert not found.accepted
    assert "search" in found.milliseconds


def test_a_camera_that_looks_ahead_is_not_searched_for(renderer: Renderer) -> None:
    level = Pose(np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]), np.array([0.0, -100.0, 30.0]))
    view = renderer.render(camera(), level)
    frame = Frame(view.image, camera(), create_matcher("sift").extract(view.image), np.ones(view.mask.shape, bool))
    assert search_area(frame, view, 0.2, 0.1) == []
