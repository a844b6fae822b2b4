"""What a renderer returns, and the one protocol of the backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.rendering.camera import Camera

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RenderedView:
    """A picture of the site model.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32, metres along the optical axis; 0 where there is no model.
        camera: the pinhole camera it was rendered with.
        T_map_camera: where it was rendered from.
    """

    image: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    camera: Camera
    T_map_camera: Pose

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W), True where the model covers the pixel."""
        return self.depth > 0.0

    def lift(self, pixels: npt.ArrayLike, max_relative_step: float = 0.02) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Pixels of the picture → points of the model.

        Args:
            pixels: (N, 2).
            max_relative_step: a pixel whose four neighbours' depths spread by more than this share of the depth
                lies at a depth edge, and is not lifted.

        Returns:
            points (N, 3) in `map`, metres, and (N,) whether each could be lifted.
        """
        p = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        height, width = self.depth.shape
        inside = (p >= 0).all(axis=1) & (p[:, 0] <= width - 1) & (p[:, 1] <= height - 1)
        corner = np.where(inside[:, None], p, 0.0)
        u0 = np.minimum(corner[:, 0].astype(int), width - 2)
        v0 = np.minimum(corner[:, 1].astype(int), height - 2)
        fu, fv = corner[:, 0] - u0, corner[:, 1] - v0
        d = np.stack(
            [self.depth[v0, u0], self.depth[v0, u0 + 1], self.depth[v0 + 1, u0], self.depth[v0 + 1, u0 + 1]], axis=1
        ).astype(np.float64)
        near, far = d.min(axis=1), d.max(axis=1)
        valid = inside & (near > 0.0) & (far - near <= max_relative_step * np.maximum(near, 1e-9))
        # A plane is linear in inverse depth over the picture, so that is what is interpolated.
        w = np.stack([(1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv], axis=1)
        depth = np.zeros(len(p))
        depth[valid] = 1.0 / (w[valid] / d[valid]).sum(axis=1)
        return self.T_map_camera.transform(self.camera.rays(corner) * depth[:, None]), valid


class Renderer(Protocol):
    """A rendering backend bound to one site model; used from the thread that made it (OpenGL contexts are)."""

    name: str

    def render(self, camera: Camera, T_map_camera: Pose) -> RenderedView:
        """The site from a pose.

        Args:
            camera: pinhole (a distorted frame is undistorted first, see :class:`~geo_nav.rendering.Undistorter`).
            T_map_camera: camera optical frame in `map`.

        Raises:
            RenderingError: the camera is distorted, or the backend failed.
        """
        ...

    def close(self) -> None:
        """Frees what the backend holds."""
        ...
