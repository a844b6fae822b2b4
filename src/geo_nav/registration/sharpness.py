"""How sharp the site model is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.site import SiteModel, SiteTile

Array = npt.NDArray[np.float64]


def texel_size(site: SiteModel) -> float:
    """Side of a texel on the model's surface, metres: the median over its texels; inf where nothing is textured.

    Measured across the direction in which a texel is stretched most: an orthophoto draped over a wall is smeared
    down it, and is as sharp along it as anywhere.
    """
    parts = [_tile_texels(tile) for tile in site.tiles]
    size, texels = (np.concatenate(p) for p in zip(*parts, strict=True))
    if not len(size):
        return float("inf")
    order = np.argsort(size)
    cumulative = np.cumsum(texels[order])
    return float(size[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])])


def _tile_texels(tile: SiteTile) -> tuple[Array, Array]:
    """Texel size (m) and number of texels of each textured face."""
    height, width = tile.texture.shape[:2]
    corners = tile.vertices[tile.faces].astype(np.float64)
    uv = tile.uv[tile.faces].astype(np.float64) * [width, height]
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    texel_edges = np.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], axis=2)
    texels = 0.5 * np.abs(np.linalg.det(texel_edges))
    textured = texels > 1e-9
    metres_by_texel = edges[textured] @ np.linalg.inv(texel_edges[textured])
    stretch = np.linalg.svd(metres_by_texel, compute_uv=False)
    valid = stretch[:, 1] > 0.0
    return stretch[valid, 1], texels[textured][valid]
