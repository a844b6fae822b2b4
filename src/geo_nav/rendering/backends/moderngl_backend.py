"""OpenGL through EGL: Mesa's llvmpipe on a CPU, a GPU's driver where there is one."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.rendering.backends import register
from geo_nav.rendering.camera import Camera, finer
from geo_nav.rendering.config import RenderingConfig
from geo_nav.rendering.egl import create_context
from geo_nav.rendering.errors import RenderingError
from geo_nav.rendering.frustum import tile_corners, visible_tiles
from geo_nav.rendering.view import RenderedView
from geo_nav.site import SiteModel, SiteTile

_VERTEX = """
#version 330
uniform mat4 clip_from_map;
uniform vec4 depth_from_map;
in vec3 position;
in vec2 uv;
in vec3 color;
out vec2 v_uv;
out vec3 v_color;
out float v_depth;
void main() {
    gl_Position = clip_from_map * vec4(position, 1.0);
    v_depth = dot(depth_from_map, vec4(position, 1.0));
    v_uv = vec2(uv.x, 1.0 - uv.y);  // the picture's first row is the first that was uploaded
    v_color = color;
}
"""

_FRAGMENT = """
#version 330
uniform sampler2D picture;
in vec2 v_uv;
in vec3 v_color;
in float v_depth;
layout(location = 0) out vec4 out_color;
layout(location = 1) out float out_depth;
void main() {
    out_color = vec4(texture(picture, v_uv).rgb * v_color, 1.0);
    out_depth = v_depth;
}
"""

_LAYOUT = np.dtype([("position", "<f4", 3), ("uv", "<f4", 2), ("color", "u1", 4)])


@register("moderngl")
class ModernglRenderer:
    """Rasterises the tiles in view; image from a mipmapped texture look-up, depth linear from an R32F attachment.

    To be used and closed in the thread that made it.

    Args:
        model: what to render.
        config: device, near and far, texture filtering.

    Raises:
        RenderingError: there is no OpenGL on this machine, or it refused the model.
    """

    name = "moderngl"

    def __init__(self, model: SiteModel, config: RenderingConfig) -> None:
        self._config, self._thread = config, threading.get_ident()
        self._corners = tile_corners(model.tiles)
        self._context = create_context(config.device)
        self._targets: dict[tuple[int, int], Any] = {}
        self._textures: dict[int, Any] = {}
        try:
            with self._context:
                self._context.enable_only(moderngl.DEPTH_TEST)
                self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
                self._drawables = [self._upload(tile) for tile in model.tiles]
        except (moderngl.Error, MemoryError) as error:
            self._context.release()
            raise RenderingError(f"OpenGL refused the site model '{model.name}': {error}") from error

    @property
    def device(self) -> str:
        """The OpenGL driver's name of the device that renders."""
        return str(self._context.info["GL_RENDERER"])

    def render(self, camera: Camera, T_map_camera: Pose) -> RenderedView:
        """See :meth:`geo_nav.rendering.Renderer.render`.

        Raises:
            RenderingError: the camera is distorted or larger than a texture may be, the call comes from another
                thread, or OpenGL failed.
        """
        self._check(camera)
        visible, near, far = visible_tiles(self._corners, camera, T_map_camera, self._config.near, self._config.far)
        k = self._config.supersampling
        try:
            with self._context:
                target = self._draw(camera, T_map_camera, visible, near, far)
                depth = np.frombuffer(target.read(components=1, attachment=1, dtype="f4"), np.float32)
                if k > 1:
                    target = self._draw(finer(camera, k), T_map_camera, visible, near, far)
                image = np.frombuffer(target.read(components=4, alignment=4), np.uint8)
        except moderngl.Error as error:
            raise RenderingError(f"OpenGL failed: {error}") from error
        image = cv2.cvtColor(image.reshape(camera.height * k, camera.width * k, 4), cv2.COLOR_RGBA2RGB)
        if k > 1:
            image = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        return RenderedView(image, depth.reshape(camera.height, camera.width), camera, T_map_camera)

    def close(self) -> None:
        """Frees the context and all that it holds; further calls do nothing."""
        if self._context is not None:
            with self._context:
                for target in self._targets.values():
                    _release_target(target)
                for array, *buffers in self._drawables:
                    for item in (array, *buffers):
                        item.release()
                for texture in self._textures.values():
                    texture.release()
            self._context.release()
            self._context = None

    def _check(self, camera: Camera) -> None:
        if self._context is None:
            raise RenderingError("the renderer is closed")
        if threading.get_ident() != self._thread:
            raise RenderingError("an OpenGL renderer is used in the thread that made it: create one in each thread")
        if camera.is_distorted:
            raise RenderingError("a renderer needs a pinhole camera: undistort the frame and pass camera.pinhole()")
        largest = int(self._context.info["GL_MAX_TEXTURE_SIZE"])
        if max(camera.width, camera.height) * self._config.supersampling > largest:
            raise RenderingError(f"the image {camera.width}x{camera.height} is too large: OpenGL allows {largest}")

    def _upload(self, tile: SiteTile) -> tuple[Any, Any, Any, int]:
        vertices = np.zeros(len(tile.vertices), _LAYOUT)
        vertices["position"], vertices["uv"] = tile.vertices, tile.uv
        vertices["color"][:, :3] = 255 if tile.colors is None else tile.colors
        points = self._context.buffer(vertices.tobytes())
        faces = self._context.buffer(np.ascontiguousarray(tile.faces, dtype=np.uint32).tobytes())
        array = self._context.vertex_array(
            self._program, [(points, "3f 2f 3f1 1x1", "position", "uv", "color")], faces, index_element_size=4
        )
        return array, points, faces, self._texture(tile.texture)

    def _texture(self, picture: npt.NDArray[np.uint8]) -> Any:
        if id(picture) not in self._textures:
            height, width = picture.shape[:2]
            texture = self._context.texture((width, height), 3, np.ascontiguousarray(picture).tobytes(), alignment=1)
            texture.build_mipmaps()
            texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            texture.anisotropy = min(self._config.anisotropy, self._context.max_anisotropy)
            self._textures[id(picture)] = texture
        return self._textures[id(picture)]

    def _draw(self, camera: Camera, pose: Pose, visible: npt.NDArray[np.intp], near: float, far: float) -> Any:
        target = self._target(camera.width, camera.height)
        target.use()
        target.clear(0.0, 0.0, 0.0, 0.0)
        clip, depth = _projection(camera, pose, near, far)
        self._program["clip_from_map"].write(np.ascontiguousarray(clip.T, dtype=np.float32).tobytes())
        self._program["depth_from_map"].write(depth.astype(np.float32).tobytes())
        for index in visible:
            array, _, _, texture = self._drawables[index]
            texture.use(0)
            array.render(moderngl.TRIANGLES)
        return target

    def _target(self, width: int, height: int) -> Any:
        size = (width, height)
        if size not in self._targets:
            # A camera has one size (two with supersampling): more means that the caller changes it on the way.
            while len(self._targets) >= 4:
                _release_target(self._targets.pop(next(iter(self._targets))))
            self._targets[size] = self._context.framebuffer(
                [self._context.texture(size, 4), self._context.texture(size, 1, dtype="f4")],
                self._context.depth_renderbuffer(size),
            )
        return self._targets[size]


def _release_target(target: Any) -> None:
    attachments = (*target.color_attachments, target.depth_attachment)
    target.release()
    for attachment in attachments:
        attachment.release()


def _projection(
    camera: Camera, T_map_camera: Pose, near: float, far: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(4, 4) clip coordinates from `map`, and (4,) depth from `map`.

    The centre of pixel u lies at window coordinate u + 0.5. OpenGL's first row is the lowest, and the first that is
    read back: clip y is drawn downwards so that it is the picture's upper row.
    """
    projection = np.array(
        [
            [2.0 * camera.fx / camera.width, 0.0, 2.0 * (camera.cx + 0.5) / camera.width - 1.0, 0.0],
            [0.0, 2.0 * camera.fy / camera.height, 2.0 * (camera.cy + 0.5) / camera.height - 1.0, 0.0],
            [0.0, 0.0, (far + near) / (far - near), -2.0 * far * near / (far - near)],
            [0.0, 0.0, 1.0, 0.0],
        ]
    )
    T_camera_map = T_map_camera.inverse().matrix
    return projection @ T_camera_map, T_camera_map[2]
