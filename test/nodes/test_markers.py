"""The markers: where they lie, how large they are, and what is deleted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from visualization_msgs.msg import Marker

from geo_nav.geodesy import Pose
from geo_nav.nodes.markers import Markers
from geo_nav.rendering import Camera
from geo_nav.site import PreviewMesh
from geo_nav_msgs.msg import NavigationStatus

POSE = Pose.from_rotation_vector([0.1, -0.2, 0.7], [10.0, 20.0, 30.0])


@pytest.fixture
def markers() -> Markers:
    return Markers("map", Time(sec=7, nanosec=5), 2.5)


def only(markers: Markers) -> Marker:
    (marker,) = markers.message.markers
    assert (marker.header.frame_id, marker.header.stamp.sec) == ("map", 7)
    assert (marker.lifetime.sec, marker.lifetime.nanosec) == (2, 500_000_000)
    return marker


def positions(marker: Marker) -> np.ndarray:
    return np.array([[p.x, p.y, p.z] for p in marker.points])


def test_ellipsoid_holds_95_percent_of_the_positions(markers: Markers) -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(3, 3)) * [3.0, 1.0, 0.3]
    markers.ellipsoid(POSE, root @ root.T)
    marker = only(markers)
    o, p = marker.pose.orientation, marker.pose.position
    axes = Pose.from_quaternion([o.x, o.y, o.z, o.w], [p.x, p.y, p.z])
    samples = POSE.translation + rng.normal(size=(40_000, 3)) @ root.T
    semi = 0.5 * np.array([marker.scale.x, marker.scale.y, marker.scale.z])
    inside = ((axes.inverse().transform(samples) / semi) ** 2).sum(axis=1) < 1.0
    assert inside.mean() == pytest.approx(0.95, abs=0.004)


def test_protection_levels_are_circles_and_vertical_lines(markers: Markers) -> None:
    status = NavigationStatus(horizontal_level_95=3.0, vertical_level_95=2.0)
    status.horizontal_level_999, status.vertical_level_999 = math.inf, math.nan
    markers.protection_levels(POSE, status)
    drawn, infinite = markers.message.markers
    assert (drawn.ns, infinite.ns) == ("protection_level_95", "protection_level_999")
    points = positions(drawn) - POSE.translation
    circle = points[:-2]
    np.testing.assert_allclose(np.hypot(circle[:, 0], circle[:, 1]), 3.0)
    np.testing.assert_allclose(circle[:, 2], 0.0)
    np.testing.assert_allclose(points[-2:], [[0.0, 0.0, -2.0], [0.0, 0.0, 2.0]])
    assert (drawn.type, drawn.action) == (Marker.LINE_LIST, Marker.ADD)
    assert (infinite.action, len(infinite.points)) == (Marker.DELETE, 0)


def test_frustum_ends_in_the_corners_of_the_picture(markers: Markers) -> None:
    camera = Camera(640, 480, 500.0, 501.0, 321.0, 238.0, "plumb_bob", (-0.08, 0.02, 0.001, -0.001))
    markers.frustum(POSE, camera, 20.0)
    ends = positions(only(markers))
    np.testing.assert_allclose(ends[0:8:2], np.tile(POSE.translation, (4, 1)))
    seen = POSE.inverse().transform(ends[1:8:2])
    np.testing.assert_allclose(seen[:, 2], 20.0)
    corners = [[-0.5, -0.5], [639.5, -0.5], [639.5, 479.5], [-0.5, 479.5]]
    np.testing.assert_allclose(camera.project(seen), corners, atol=1e-3)


def test_site_is_a_triangle_list_with_the_colours_of_its_vertices(markers: Markers) -> None:
    mesh = PreviewMesh(
        np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 2.0]]),
        np.array([[0, 1, 2], [1, 3, 2]]),
        np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.5]]),
    )
    markers.site(mesh)
    marker = only(markers)
    assert marker.type == Marker.TRIANGLE_LIST
    np.testing.assert_allclose(positions(marker), mesh.vertices[[0, 1, 2, 1, 3, 2]])
    colors = [[c.r, c.g, c.b] for c in marker.colors]
    np.testing.assert_allclose(colors, mesh.colors[[0, 1, 2, 1, 3, 2]])


def test_nothing_to_show_deletes_what_was_shown(markers: Markers) -> None:
    markers.places("fixes_refused", [], (1.0, 0.0, 0.0, 1.0), 1.0)
    assert only(markers).action == Marker.DELETE


def test_state_says_name_and_sigma(markers: Markers) -> None:
    markers.state(POSE, NavigationStatus(state=NavigationStatus.COASTING, horizontal_sigma=1.234), 2.0)
    marker = only(markers)
    assert marker.text == "COASTING  1.23 m"
    assert marker.pose.position.z == pytest.approx(34.0)
