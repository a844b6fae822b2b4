"""The debug picture: what it draws of accepted and of refused frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.match_picture import match_picture, refusal_picture
from geo_nav.matching import create_matcher
from geo_nav.registration import AbsolutePose, Registrar, RegistrationConfig, Status
from geo_nav.rendering import create_renderer
from registration_site import camera, photographed, synthetic_site, truth_pose

COVARIANCE = np.diag([4.0, 4.0, 4.0, 1e-3, 1e-3, 1e-3])
GREEN, RED = (90, 220, 90), (235, 80, 70)


@pytest.fixture(scope="module")
def site():
    return synthetic_site()


@pytest.fixture(scope="module")
def renderer(site):
    with_gl = create_renderer(site)
    yield with_gl
    with_gl.close()


def make_registrar(site, renderer, **config):
    return Registrar(renderer, create_matcher("sift"), RegistrationConfig(**config), site.error)


def frame(renderer):
    return photographed(renderer.render(camera(), truth_pose()).image)


def share_ringed(picture, pixels, color):
    """Share of the pixels, of the frame at the picture's lower left, around which there is a ring of a colour."""
    frame = picture[-480:].astype(int)
    u, v = np.round(pixels).astype(int).T
    inside = (u >= 4) & (u < 636) & (v >= 40) & (v < 476)
    return float((np.abs(frame[v[inside], u[inside] + 4] - color).max(axis=1) < 120).mean())


def test_accepted_frame_has_its_inliers_in_green_under_a_green_mark(site, renderer):
    registrar = make_registrar(site, renderer)
    found = registrar.register(frame(renderer), camera(), truth_pose(), COVARIANCE)
    assert found.accepted
    picture = match_picture(registrar, renderer, found)
    assert picture.shape[1] == 3 * 640
    assert picture.shape[0] > 480
    assert (picture[5, 5] == GREEN).all()
    alignment = registrar.last_alignment
    agree = alignment.resection.inliers
    assert 0 < agree.sum() < len(agree)
    assert share_ringed(picture, alignment.pixels[agree], GREEN) > 0.9
    assert share_ringed(picture, alignment.pixels[~agree], RED) > 0.8
    board = picture[-440:, 1280:1920]
    assert (np.abs(board.astype(int) - GREEN).max(axis=-1) > 8).all()  # nothing is drawn over the chequerboard


def test_refused_frame_shows_the_matches_that_were_not_enough(site, renderer):
    registrar = make_registrar(site, renderer, min_matches=100_000)
    found = registrar.register(frame(renderer), camera(), truth_pose(), COVARIANCE)
    assert found.status is Status.FEW_MATCHES
    assert found.tie_points is None
    picture = match_picture(registrar, renderer, found)
    assert (picture[5, 5] == RED).all()
    pixels = registrar.last_alignment.pixels
    assert len(pixels) == found.matches
    assert share_ringed(picture, pixels, GREEN) + share_ringed(picture, pixels, RED) > 0.9


def test_frame_that_was_never_matched_is_not_drawn_with_the_view_of_the_one_before(site, renderer):
    registrar = make_registrar(site, renderer)
    image = frame(renderer)
    assert registrar.register(image, camera(), truth_pose(), COVARIANCE).accepted
    outside = replace(truth_pose(), translation=np.array([5000.0, 0.0, 90.0]))
    for found in (
        registrar.register(image, camera(), outside, COVARIANCE),
        registrar.register(image[:100], camera(), truth_pose(), COVARIANCE),
    ):
        assert found.status in (Status.NO_MODEL, Status.BAD_INPUT)
        with pytest.raises(EvaluationError, match="no match to draw"):
            match_picture(registrar, renderer, found)
        picture = refusal_picture(image[:, :, 0], found)
        assert (picture[5, 5] == RED).all()
        assert picture.shape[1:] == (640, 3)


def test_long_reason_is_wrapped_and_not_cut():
    image = np.zeros((300, 640, 3), np.uint8)
    results = [AbsolutePose(0.0, Status.BAD_INPUT, reason) for reason in ("short", "word " * 60)]
    heights = [refusal_picture(image, result).shape[0] for result in results]
    assert heights[1] > heights[0] > 300
