"""Orientation windows: what they find, through which changes, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from geo_nav.matching import MatchingError, create_matcher
from geo_nav.matching.orientation_field import orientation_field


def landscape(seed: int, size: int = 512) -> np.ndarray:
    """A grey picture with edges of every direction: random polygons, smoothed a little."""
    rng = np.random.default_rng(seed)
    picture = np.full((size, size), 90, np.uint8)
    for _ in range(160):
        centre = rng.uniform(0, size, 2)
        outline = centre + rng.normal(0, 22, (6, 2))
        cv2.fillPoly(picture, [cv2.convexHull(outline.astype(np.int32))], (int(rng.integers(40, 210)),))
    return cv2.GaussianBlur(picture, (0, 0), 1.0)


def shifted(picture: np.ndarray, du: float, dv: float) -> np.ndarray:
    matrix = np.array([[1.0, 0.0, du], [0.0, 1.0, dv]])
    return cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def displacement(query: np.ndarray, reference: np.ndarray, radius: float = 24.0) -> np.ndarray:
    matcher = create_matcher("orientation")
    matches = matcher.match(matcher.extract(query), matcher.extract(reference), radius)
    assert len(matches) >= 20
    return np.median(matches.reference - matches.query, axis=0)


def test_a_shift_is_found_to_a_fraction_of_a_pixel() -> None:
    picture = landscape(1)
    assert displacement(picture, shifted(picture, 7.3, -4.6)) == pytest.approx([7.3, -4.6], abs=0.15)


def test_it_is_found_through_reversed_contrast_and_another_gamma() -> None:
    picture = landscape(2)
    other = 255 - shifted(picture, -5.0, 9.0)
    other = (255.0 * (other / 255.0) ** 1.8).astype(np.uint8)
    assert displacement(picture, other) == pytest.approx([-5.0, 9.0], abs=0.3)


def test_an_edge_between_colours_of_one_brightness_counts() -> None:
    outline = landscape(3) > 120
    picture = np.where(outline[..., None], [200, 60, 90], [60, 131, 90]).astype(np.uint8)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    assert np.ptp(grey.astype(int)) <= 3
    assert (
        np.abs(orientation_field(picture)).mean() > 5 * np.abs(orientation_field(np.full_like(grey, 90))).mean() + 0.05
    )
    matcher = create_matcher("orientation")
    moved = np.stack([shifted(picture[..., c], 4.0, 6.0) for c in range(3)], axis=2)
    matches = matcher.match(matcher.extract(picture), matcher.extract(moved), 20.0)
    assert np.median(matches.reference - matches.query, axis=0) == pytest.approx([4.0, 6.0], abs=0.3)


def test_unrelated_pictures_agree_on_no_shift() -> None:
    matcher = create_matcher("orientation")
    matches = matcher.match(matcher.extract(landscape(4)), matcher.extract(landscape(5)), 32.0)
    shift = matches.reference - matches.query
    if len(shift):
        agreeing = max(int((np.linalg.norm(shift - s, axis=1) < 3.0).sum()) for s in shift)
        assert agreeing <= max(3, len(shift) // 3)


def test_a_uniform_picture_gives_no_match_and_a_mask_drops_its_windows() -> None:
    matcher = create_matcher("orientation")
    uniform = matcher.extract(np.full((480, 640), 100, np.uint8))
    assert len(matcher.match(uniform, uniform, 20.0)) == 0
    picture = landscape(6)
    mask = np.ones(picture.shape, bool)
    mask[:, 256:] = False
    masked = matcher.extract(picture, mask)
    assert 0 < len(masked.keypoints) < len(matcher.extract(picture).keypoints)
    assert masked.keypoints[:, 0].max() < 256


def test_the_search_ends_at_the_radius_and_at_the_reach() -> None:
    picture = landscape(7)
    matcher = create_matcher("orientation", window_reach=16.0)
    far = shifted(picture, 40.0, 0.0)
    for radius in (10.0, None):
        matches = matcher.match(matcher.extract(picture), matcher.extract(far), radius)
        assert matches.reach <= 17.0
        assert (np.abs(matches.reference - matches.query) <= 17.5).all()


def test_a_frame_set_into_a_wider_view_is_matched_where_it_lies() -> None:
    view = landscape(8, 640)
    frame = view[64:-64, 64:-64]
    matcher = create_matcher("xfeat_orientation")
    features = matcher.extract(frame)
    embedded = replace(features, keypoints=(features.keypoints + 64).astype(np.float32), size=(640, 640))
    for radius, coarse in ((12.0, False), (400.0, True)):
        matches = matcher.match(embedded, matcher.extract(view), radius)
        assert matches.coarse is coarse
        assert len(matches) > 15
        assert np.median(np.linalg.norm(matches.reference - matches.query, axis=1)) < 0.6


def test_scores_and_shifts_are_those_of_the_correlation_written_out() -> None:
    view = landscape(9, 240)
    left, top, half, reach = 30, 18, 16, 8
    frame = shifted(view, -3.0, 2.0)[top : top + 150, left : left + 170]
    mask = np.ones(frame.shape, bool)
    mask[40:80, 30:90] = mask[120:] = False
    matcher = create_matcher("orientation", window=2 * half, window_reach=float(reach), ratio=1.0)
    query, reference = matcher.extract(frame, mask), matcher.extract(view)
    margin = np.array([left, top])
    embedded = replace(query, keypoints=(query.keypoints + margin).astype(np.float32), size=(240, 240))
    matches = matcher.match(embedded, reference)
    assert 20 < len(matches) < len(matcher.extract(frame).keypoints) - 10
    # Windows at the view's border are looked for beyond it, where nothing is.
    beyond = np.pad(reference.field, reach)
    for there, here, score in zip(matches.reference, matches.query.astype(int), matches.scores, strict=True):
        u, v = here - margin - half
        window = query.field[v : v + 2 * half, u : u + 2 * half].astype(complex)
        surface = np.zeros((2 * reach + 1, 2 * reach + 1))
        for dv, du in np.ndindex(surface.shape):
            y, x = v + top + dv, u + left + du
            other = beyond[y : y + 2 * half, x : x + 2 * half].astype(complex)
            norm = np.linalg.norm(window) * np.linalg.norm(other) + 1e-6 * half**2
            surface[dv, du] = (window.conj() * other).sum().real / norm
        best = np.unravel_index(surface.argmax(), surface.shape)
        assert score == pytest.approx(surface.max(), abs=1e-5)
        assert np.abs(there - here - (np.array(best[::-1]) - reach)).max() <= 0.5


def test_a_picture_of_another_type_is_refused() -> None:
    with pytest.raises(MatchingError):
        create_matcher("orientation").extract(np.zeros((64, 64, 4), np.uint8))
