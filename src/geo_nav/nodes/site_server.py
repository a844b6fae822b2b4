"""Node `site_server`: says which site model is in use, where its frame lies, and renders views of it on request."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from tf2_msgs.msg import TFMessage

from geo_nav import GeoNavError
from geo_nav.nodes.base import GeoNavNode, latched, run
from geo_nav.nodes.conversion import image_message, pose_from_message, transform_message
from geo_nav.nodes.diagnostics import SiteHealth
from geo_nav.nodes.diagnostics_publisher import DiagnosticsPublisher
from geo_nav.nodes.site_messages import site_info
from geo_nav.rendering import Camera, Renderer, RenderingConfig, create_renderer
from geo_nav.site import HeightMap, load_site
from geo_nav_msgs.msg import SiteInfo
from geo_nav_msgs.srv import GetHeight, RenderView


class SiteServer(GeoNavNode):
    """Publishes `site` (latched) and earth → map; serves `render_view` and `get_height`."""

    def __init__(self) -> None:
        super().__init__("site_server")
        self._renderer: Renderer | None = None
        self._heights: HeightMap | None = None

    def configure(self) -> None:
        """Loads the site model."""
        descriptor = self.string_parameter("site", "", "site.yaml, or a folder that holds one")
        self._map_frame = self.string_parameter("map_frame", "map", "name of the site's local frame")
        self._rendering = self.read_config(RenderingConfig, "rendering")
        if not descriptor:
            raise GeoNavError("no site model: set the parameter 'site' (launch argument site:=PATH)")
        start = time.monotonic()
        self._site = load_site(descriptor)
        self.get_logger().info(
            f"site '{self._site.name}': {self._site.triangles} triangles, loaded in {time.monotonic() - start:.1f} s"
        )
        self._info = site_info(self._site, Path(descriptor), self._map_frame)
        self._info_publisher = self.create_publisher(SiteInfo, "site", latched())
        self._tf_publisher = self.create_publisher(TFMessage, "/tf_static", latched())
        self._health = SiteHealth(self._site, self._info.descriptor)
        DiagnosticsPublisher(self, self._health.status)
        self.create_service(RenderView, "render_view", self._render_view)
        self.create_service(GetHeight, "get_height", self._get_height)

    def activate(self) -> None:
        """Says it."""
        stamp = self.get_clock().now().to_msg()
        self._info.header.stamp = stamp
        self._info_publisher.publish(self._info)
        earth = transform_message("earth", self._map_frame, stamp, self._site.frame.T_earth_map)
        self._tf_publisher.publish(TFMessage(transforms=[earth]))

    def deactivate(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _render_view(self, request: RenderView.Request, response: RenderView.Response) -> RenderView.Response:
        try:
            if self._renderer is None:
                self._renderer = create_renderer(self._site, **self._rendering.model_dump())
            fx, fy, cx, cy = (float(v) for v in request.intrinsics)
            camera = Camera(request.width, request.height, fx, fy, cx, cy)
            view = self._renderer.render(camera, pose_from_message(request.pose))
        except GeoNavError as error:
            response.success, response.message = False, str(error)
            self._health.rendered(str(error))
            return response
        stamp = self.get_clock().now().to_msg()
        response.image = image_message(view.image, "rgb8", self._map_frame, stamp)
        response.depth = image_message(view.depth, "32FC1", self._map_frame, stamp)
        response.success = True
        self._health.rendered()
        return response

    def _get_height(self, request: GetHeight.Request, response: GetHeight.Response) -> GetHeight.Response:
        if self._heights is None:
            self._heights = HeightMap(self._site)
        up = float(self._heights(np.array([request.east]), np.array([request.north]))[0])
        response.success = bool(np.isfinite(up))
        response.up = up if response.success else 0.0
        response.message = "" if response.success else "the site model has no surface there"
        return response


def main() -> None:
    """Console entry."""
    run(SiteServer)
