"""The small coloured mesh of a site."""

from __future__ import annotations

import numpy as np
import pytest

from geo_nav.geodesy import LocalFrame
from geo_nav.site import ModelError, SiteError, SiteModel, SiteTile, preview
from registration_site import SIDE, synthetic_site


def halves() -> np.ndarray:
    """A texture whose upper half is red and whose lower half is blue."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :, 0] = 255
    picture[32:, :, 2] = 255
    return picture


def plane(cells: int, size: float, texture: np.ndarray, up: float = 0.0) -> SiteTile:
    axis = np.linspace(0.0, 1.0, cells + 1)
    u, v = np.meshgrid(axis, axis)
    index = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    uv = np.stack([u, v], -1).reshape(-1, 2).astype(np.float32)
    vertices = np.column_stack([uv * size, np.full(len(uv), up)]).astype(np.float32)
    return SiteTile(vertices, faces.astype(np.int32), uv, texture)


def model(*tiles: SiteTile) -> SiteModel:
    return SiteModel("test", LocalFrame(47.0, 8.0, 400.0), tiles, ModelError(np.ones(3)))


def test_small_site_keeps_every_triangle_and_gets_its_texture_at_the_right_end() -> None:
    tile = plane(8, 80.0, halves())
    mesh = preview(model(tile), 1000)
    assert len(mesh.faces) == 128
    np.testing.assert_allclose(mesh.vertices, tile.vertices)
    north = mesh.colors[mesh.vertices[:, 1] == 80.0]  # uv's v = 1 is the picture's first row
    south = mesh.colors[mesh.vertices[:, 1] == 0.0]
    np.testing.assert_allclose(north, np.tile([1.0, 0.0, 0.0], (9, 1)), atol=0.02)
    np.testing.assert_allclose(south, np.tile([0.0, 0.0, 1.0], (9, 1)), atol=0.02)


def test_vertex_colours_multiply_the_texture() -> None:
    white = plane(4, 10.0, np.full((1, 1, 3), 255, np.uint8))
    half = np.full(white.vertices.shape, 51, np.uint8)
    tinted = SiteTile(white.vertices, white.faces, white.uv, white.texture, half)
    np.testing.assert_allclose(preview(model(tinted), 100).colors, 0.2, atol=1e-9)


@pytest.mark.parametrize("triangles", [500, 5000])
def test_fine_site_is_reduced_to_the_number_and_stays_where_it_was(triangles: int) -> None:
    site = synthetic_site()
    mesh = preview(site, triangles)
    assert 0.5 * triangles < len(mesh.faces) <= triangles
    cell = SIDE / np.sqrt(triangles / 2.0)
    assert np.abs(mesh.vertices.min(axis=0) - site.bounds[0])[:2].max() < cell
    assert np.abs(mesh.vertices.max(axis=0) - site.bounds[1])[:2].max() < cell
    x, y, z = mesh.vertices.T
    assert np.abs(z - (5.0 * np.sin(x / 31.0 + 1) * np.cos(y / 27.0) + 2.0 * np.sin(y / 11.0))).max() < cell / 2.0


def test_coarse_tile_on_a_fine_one_is_kept_as_it_is() -> None:
    ground, roof = plane(100, 1000.0, halves()), plane(1, 200.0, np.full((1, 1, 3), 255, np.uint8), up=30.0)
    mesh = preview(model(ground, roof), 2000)
    assert len(mesh.faces) <= 2000
    kept = mesh.vertices[mesh.vertices[:, 2] == 30.0]
    np.testing.assert_allclose(sorted(map(tuple, kept)), sorted(map(tuple, roof.vertices.astype(float))))


def test_too_small_a_number_is_refused() -> None:
    with pytest.raises(SiteError, match="100 triangles"):
        preview(synthetic_site(), 99)
