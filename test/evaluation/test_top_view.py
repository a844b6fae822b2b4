import numpy as np
import pytest

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.top_view import top_view
from geo_nav.geodesy import LocalFrame
from geo_nav.site.model import ModelError, SiteModel, SiteTile

RED, GREEN, BLUE, WHITE, GREY = (200, 0, 0), (0, 200, 0), (0, 0, 200), (250, 250, 250), (235, 235, 235)


def square(west, south, side, height, texture) -> SiteTile:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    vertices = np.column_stack([west + side * corners[:, 0], south + side * corners[:, 1], np.full(4, height)])
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return SiteTile(vertices.astype(np.float32), faces, corners, np.array(texture, np.uint8))


def at(view, east, north):
    west, east_border, south, north_border = view.extent
    rows, columns = view.image.shape[:2]
    column = int((east - west) / (east_border - west) * columns)
    row = int((north_border - north) / (north_border - south) * rows)
    return tuple(int(x) for x in view.image[row, column])


def test_north_is_up_the_roof_hides_the_ground_and_nothing_is_grey():
    quadrants = np.zeros((64, 64, 3), np.uint8)
    quadrants[:32, :32], quadrants[:32, 32:], quadrants[32:] = RED, GREEN, BLUE  # first row is north
    ground = square(-50.0, -50.0, 100.0, 0.0, quadrants)
    roof = square(-10.0, 10.0, 20.0, 8.0, np.full((4, 4, 3), 250))
    cellar = square(20.0, -40.0, 10.0, -5.0, np.full((4, 4, 3), 250))
    site = SiteModel("s", LocalFrame(48.0, 11.0, 0.0), (roof, ground, cellar), ModelError(np.ones(3)))
    view = top_view(site, np.array([-60.0, -60.0]), np.array([60.0, 60.0]), width=240)
    assert view.image.shape == (240, 240, 3)
    assert view.extent == pytest.approx((-60.0, 60.0, -60.0, 60.0))
    assert at(view, -30, 30) == RED
    assert at(view, 30, 30) == GREEN
    assert at(view, 0, -30) == BLUE
    assert at(view, 5, 20) == WHITE
    assert at(view, 25, -35) == BLUE
    assert at(view, 57, 0) == GREY
    inside = view.covered[24:216, 24:216]
    assert inside.mean() > 0.999
    assert not view.covered[:15].any()


def test_a_fine_texture_is_averaged_not_sampled():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 240
    site = SiteModel("s", LocalFrame(48.0, 11.0, 0.0), (square(0.0, 0.0, 50.0, 0.0, stripes),), ModelError(np.ones(3)))
    view = top_view(site, np.array([0.0, 0.0]), np.array([50.0, 50.0]), width=64)
    assert view.image[8:-8, 8:-8].std() < 3.0
    assert view.image[8:-8, 8:-8].mean() == pytest.approx(120.0, abs=2.0)


def test_an_area_of_nothing_is_refused():
    site = SiteModel("s", LocalFrame(48.0, 11.0, 0.0), (square(0, 0, 1, 0, np.zeros((2, 2, 3))),), np.ones(3))
    with pytest.raises(EvaluationError, match="no area"):
        top_view(site, np.array([1.0, 1.0]), np.array([1.0, 2.0]))
