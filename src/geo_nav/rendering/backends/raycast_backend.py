"""Ray casting with Open3D's RaycastingScene (Embree): needs no OpenGL; slower."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.rendering.backends import register
from geo_nav.rendering.camera import Camera, finer
from geo_nav.rendering.config import RenderingConfig
from geo_nav.rendering.errors import RenderingError
from geo_nav.rendering.texture_lookup import MipmappedTexture
from geo_nav.rendering.view import RenderedView
from geo_nav.site import SiteModel, SiteTile

Float = npt.NDArray[np.float32]


@register("raycast")
class RaycastRenderer:
    """One ray a pixel; trilinear texture look-up at the footprint of the pixel.

    Args:
        model: what to render.
        config: near, far and supersampling; the device is the CPU.

    Raises:
        RenderingError: Open3D is not installed or cannot be loaded, or a GPU was asked for.
    """

    name = "raycast"

    def __init__(self, model: SiteModel, config: RenderingConfig) -> None:
        if config.device not in ("auto", "cpu"):
            raise RenderingError(f"the backend 'raycast' runs on the CPU, not on device '{config.device}'")
        self._config, self._tiles = config, model.tiles
        self._scene = _build_scene(model)
        unique = {id(tile.texture): tile.texture for tile in model.tiles}
        self._pictures = {key: MipmappedTexture(picture) for key, picture in unique.items()}
        self._texel_density = [_texel_density(tile) for tile in model.tiles]

    def render(self, camera: Camera, T_map_camera: Pose) -> RenderedView:
        """See :meth:`geo_nav.rendering.Renderer.render`.

        Raises:
            RenderingError: the camera is distorted, or the renderer is closed.
        """
        if self._scene is None:
            raise RenderingError("the renderer is closed")
        if camera.is_distorted:
            raise RenderingError("a renderer needs a pinhole camera: undistort the frame and pass camera.pinhole()")
        image, depth = self._cast(camera, T_map_camera)
        if self._config.supersampling > 1:
            image, _ = self._cast(finer(camera, self._config.supersampling), T_map_camera)
            image = np.asarray(
                cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA), dtype=np.uint8
            )
        return RenderedView(image, depth, camera, T_map_camera)

    def close(self) -> None:
        """Frees the scene; further calls do nothing."""
        self._scene = None

    def _cast(self, camera: Camera, T_map_camera: Pose) -> tuple[npt.NDArray[np.uint8], Float]:
        rays = _rays(camera, T_map_camera, self._config.near)
        hits = {key: value.numpy() for key, value in self._scene.cast_rays(rays).items()}
        # A ray's direction has z = 1 in the optical frame, so its parameter is the depth; it starts at near.
        depth = hits["t_hit"].ravel() + np.float32(self._config.near)
        hit = np.isfinite(depth) & (depth <= self._config.far)
        depth = np.where(hit, depth, np.float32(0.0))
        image = np.zeros((len(depth), 3), np.uint8)
        geometry = hits["geometry_ids"].ravel()
        for index in np.unique(geometry[hit]):
            pixels = np.flatnonzero(hit & (geometry == index))
            faces = hits["primitive_ids"].ravel()[pixels]
            weights = hits["primitive_uvs"].reshape(-1, 2)[pixels].astype(np.float64)
            normals = hits["primitive_normals"].reshape(-1, 3)[pixels]
            ray = rays[pixels, 3:]
            length = np.linalg.norm(ray, axis=1)
            slant = np.abs((normals * ray).sum(axis=1)) / length
            # Metres that a pixel covers along the long side of its oblique footprint, as OpenGL's isotropic filter.
            footprint = depth[pixels] * length / np.sqrt(camera.fx * camera.fy) / np.maximum(slant, 0.01)
            image[pixels] = self._shade(int(index), faces, weights, footprint)
        size = (camera.height, camera.width)
        return image.reshape(*size, 3), depth.reshape(size)

    def _shade(self, index: int, faces: npt.NDArray[Any], weights: npt.NDArray[np.float64], footprint: Any) -> Any:
        tile = self._tiles[index]
        corners = tile.faces[faces]
        barycentric = np.column_stack([1.0 - weights.sum(axis=1), weights])
        uv = np.einsum("nk,nkc->nc", barycentric, tile.uv[corners])
        level = np.log2(np.maximum(footprint * self._texel_density[index][faces], 1e-6))
        color = self._pictures[id(tile.texture)].sample(uv, level)
        if tile.colors is not None:
            color = color * np.einsum("nk,nkc->nc", barycentric, tile.colors[corners] / 255.0)
        return np.clip(np.round(color), 0, 255).astype(np.uint8)


def _build_scene(model: SiteModel) -> Any:
    try:
        import open3d as o3d  # seconds and hundreds of megabytes: only when this backend is chosen
    except (ImportError, OSError) as error:
        raise RenderingError(
            f"the backend 'raycast' needs Open3D: pip install open3d, and on Debian/Ubuntu apt install "
            f"libusb-1.0-0 libgl1 libegl1 libgomp1 libx11-6 ({error})"
        ) from error
    scene = o3d.t.geometry.RaycastingScene()
    for tile in model.tiles:
        scene.add_triangles(
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(tile.vertices, dtype=np.float32)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(tile.faces, dtype=np.uint32)),
        )
    return scene


def _rays(camera: Camera, T_map_camera: Pose, near: float) -> Float:
    """(H * W, 6) origin at depth ``near`` and direction of every pixel's centre, in `map`."""
    u, v = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
    directions = camera.rays(np.column_stack([u.ravel(), v.ravel()])) @ T_map_camera.rotation.T
    return np.concatenate([T_map_camera.translation + near * directions, directions], axis=1).astype(np.float32)


def _texel_density(tile: SiteTile) -> npt.NDArray[np.float64]:
    """(M,) texels a metre of every face."""
    size = np.array([tile.texture.shape[1], tile.texture.shape[0]])
    places = tile.vertices[tile.faces].astype(np.float64)
    texels = tile.uv[tile.faces].astype(np.float64) * size
    area = np.linalg.norm(np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]), axis=1)
    p, q = texels[:, 1] - texels[:, 0], texels[:, 2] - texels[:, 0]
    texel_area = np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
    out: npt.NDArray[np.float64] = np.sqrt(texel_area / np.maximum(area, 1e-12))
    return out
