"""What of a site lies in view: culling by tiles' bounds, and the depth range that remains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.rendering.camera import Camera
from geo_nav.site import SiteTile

Array = npt.NDArray[np.float64]


def tile_corners(tiles: tuple[SiteTile, ...]) -> Array:
    """(T, 8, 3) corners of the tiles' bounding boxes in `map`, metres."""
    low = np.array([tile.vertices.min(axis=0) for tile in tiles], dtype=np.float64)
    high = np.array([tile.vertices.max(axis=0) for tile in tiles], dtype=np.float64)
    pick = np.array([[(i >> axis) & 1 for axis in range(3)] for i in range(8)])
    return np.where(pick[None], high[:, None], low[:, None])


def visible_tiles(
    corners: Array, camera: Camera, T_map_camera: Pose, near: float, far: float
) -> tuple[npt.NDArray[np.intp], float, float]:
    """Tiles whose box is not wholly outside one side of the view.

    Args:
        corners: (T, 8, 3) from :func:`tile_corners`.
        camera: pinhole.
        T_map_camera: camera in `map`.
        near: least depth drawn, metres.
        far: greatest depth drawn, metres.

    Returns:
        indices of the tiles, nearest first, and the least and greatest depth that their boxes reach, m, within
        ``near`` and ``far``.
    """
    p = (corners - T_map_camera.translation) @ T_map_camera.rotation
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    sides = [
        z - near,
        far - z,
        x * camera.fx + (camera.cx + 0.5) * z,
        (camera.width - camera.cx - 0.5) * z - x * camera.fx,
        y * camera.fy + (camera.cy + 0.5) * z,
        (camera.height - camera.cy - 0.5) * z - y * camera.fy,
    ]
    visible = np.flatnonzero(np.all([(side >= 0.0).any(axis=1) for side in sides], axis=0))
    if len(visible) == 0:
        return visible, near, far
    visible = visible[np.argsort(z[visible].min(axis=1), kind="stable")]
    low = max(near, float(z[visible].min()) * 0.99)
    return visible, low, max(low * 1.01, min(far, float(z[visible].max()) * 1.01))
