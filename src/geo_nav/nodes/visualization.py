"""Node `visualization`: what RViz and Foxglove draw. Works only for topics that somebody has subscribed to."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry, Path
from pydantic import BaseModel, ConfigDict, Field
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo
from visualization_msgs.msg import MarkerArray

from geo_nav import GeoNavError
from geo_nav.camera_messages import camera_from_message
from geo_nav.geodesy import Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, latched, reliable, run, sensor
from geo_nav.nodes.markers import GREEN, RED, Markers
from geo_nav.nodes.transforms import StaticTransforms
from geo_nav.rendering import Camera
from geo_nav.site import load_site, preview
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus, TiePoints

Array = npt.NDArray[np.float64]

_LIFETIME = 5.0
"""After so long a display drops what is no longer published, by an earlier node as well, s."""

_RAYS_AGE = 1.0
"""Tie points of an older frame are not drawn, s."""


class VisualizationConfig(BaseModel):
    """What is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site_triangles: int = Field(100_000, description="of the site's mesh at most, count (120 bytes each)", ge=100)
    marker_rate: float = Field(4.0, description="rate of the markers, Hz", gt=0.0, le=50.0)
    path_seconds: float = Field(600.0, description="length of the path, one pose a second, s", gt=0.0, le=36_000.0)
    fix_seconds: float = Field(30.0, description="how long a fix is shown, s", gt=0.0)
    size: float = Field(4.0, description="of the vehicle's arrow, half of it of letters, a quarter of fixes, m", gt=0.0)
    frustum_length: float = Field(20.0, description="depth to which the camera's view is drawn, m", gt=0.0)
    tie_points: int = Field(60, description="tie points drawn at most, count", ge=1)


class Visualization(GeoNavNode):
    """Turns the outputs of the other nodes into markers and a path, at a low rate, in a process of its own."""

    def __init__(self) -> None:
        super().__init__("visualization")
        self._camera: tuple[Camera, str] | None = None
        self._odometry: bytes | None = None
        self._status: NavigationStatus | None = None
        self._ties: bytes | None = None
        self._fixes: deque[tuple[float, bool, Array]] = deque()
        self._poses: deque[PoseStamped] = deque()

    def configure(self) -> None:
        """Reads parameters, makes publishers and subscriptions."""
        self._config = self.read_config(VisualizationConfig)
        descriptor = self.string_parameter("site", "", "site.yaml, or a folder that holds one; empty: none is drawn")
        self._site = load_site(descriptor) if descriptor else None
        self._map_frame = self.string_parameter("map_frame", "map", "name of the site's local frame")
        self._base_frame = self.string_parameter("base_frame", "base_link", "name of the vehicle's frame")
        self._markers_publisher = self.create_publisher(MarkerArray, "markers", reliable(5))
        self._site_publisher = self.create_publisher(MarkerArray, "site_markers", latched())
        self._path_publisher = self.create_publisher(Path, "path", reliable(1))
        self._transforms = StaticTransforms(self)
        self.subscribe(Odometry, "odometry", self._on_odometry, sensor(1), raw=True)
        self.subscribe(NavigationStatus, "status", self._on_status, reliable(2))
        self.subscribe(AbsolutePose, "absolute_pose", self._on_absolute_pose, reliable(10))
        self.subscribe(TiePoints, "tie_points", self._on_tie_points, reliable(2), raw=True)
        self.subscribe(CameraInfo, "camera_info", self._on_camera_info, sensor(2))
        self.create_timer(1.0 / self._config.marker_rate, self.guarded(self._publish_markers, "markers"))
        self.create_timer(1.0, self.guarded(self._publish_path, "path"))
        self.create_timer(1.0, self.guarded(self._publish_site, "site"))

    def _on_odometry(self, data: bytes) -> None:
        self._odometry = bytes(data)  # of 200 a second a few are needed: only those are deserialized

    def _on_tie_points(self, data: bytes) -> None:
        self._ties = bytes(data)

    def _on_status(self, message: NavigationStatus) -> None:
        self._status = message

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera = camera_from_message(message), message.header.frame_id

    def _on_absolute_pose(self, message: AbsolutePose) -> None:
        if message.status != AbsolutePose.FAILED:
            position = conversion.pose_from_message(message.pose.pose).translation
            self._fixes.append(
                (conversion.seconds(message.header.stamp), message.status == AbsolutePose.ACCEPTED, position)
            )

    def _publish_site(self) -> None:
        if self._site is None or not self.active or self._site_publisher.get_subscription_count() == 0:
            return
        site, self._site = self._site, None  # once: the message is latched
        start = time.monotonic()
        mesh = preview(site, self._config.site_triangles)
        markers = Markers(self._map_frame, self.get_clock().now().to_msg())
        markers.clear()
        markers.site(mesh)
        self._site_publisher.publish(markers.message)
        self.get_logger().info(f"site of {len(mesh.faces)} triangles shown after {time.monotonic() - start:.1f} s")

    def _publish_path(self) -> None:
        if self._odometry is None or not self.active:
            return
        odometry = deserialize_message(self._odometry, Odometry)
        stamp = conversion.seconds(odometry.header.stamp)
        if self._poses and stamp <= conversion.seconds(self._poses[-1].header.stamp):
            if stamp > conversion.seconds(self._poses[-1].header.stamp) - 1.0:
                return  # nothing new
            self._poses.clear()  # the clock was set back: a bag was started again
        self._poses.append(PoseStamped(header=odometry.header, pose=odometry.pose.pose))
        while conversion.seconds(self._poses[0].header.stamp) < stamp - self._config.path_seconds:
            self._poses.popleft()
        if self._path_publisher.get_subscription_count() > 0:
            self._path_publisher.publish(Path(header=odometry.header, poses=list(self._poses)))

    def _publish_markers(self) -> None:
        if self._odometry is None or not self.active or self._markers_publisher.get_subscription_count() == 0:
            return
        odometry = deserialize_message(self._odometry, Odometry)
        stamp = conversion.seconds(odometry.header.stamp)
        T_map_base, covariance = conversion.pose_and_covariance(odometry)
        markers = Markers(self._map_frame, odometry.header.stamp, _LIFETIME)
        size = self._config.size
        markers.vehicle(T_map_base, size)
        markers.ellipsoid(T_map_base, covariance[:3, :3])
        if self._status is not None:
            markers.protection_levels(T_map_base, self._status)
            markers.state(T_map_base, self._status, 0.5 * size)
        self._forget_fixes(stamp)
        markers.places("fixes_accepted", self._recent(True), GREEN, 0.25 * size)
        markers.places("fixes_refused", self._recent(False), RED, 0.25 * size)
        self._add_camera(markers, T_map_base, stamp)
        self._markers_publisher.publish(markers.message)

    def _forget_fixes(self, now: float) -> None:
        if self._fixes and self._fixes[-1][0] > now + self._config.fix_seconds:
            self._fixes.clear()  # the clock was set back
        while self._fixes and self._fixes[0][0] < now - self._config.fix_seconds:
            self._fixes.popleft()

    def _recent(self, accepted: bool) -> Iterable[Array]:
        return [position for _, good, position in self._fixes if good == accepted]

    def _add_camera(self, markers: Markers, T_map_base: Pose, now: float) -> None:
        if self._camera is None:
            return
        camera, frame_id = self._camera
        T_base_camera = self._transforms.lookup(self._base_frame, frame_id)
        if T_base_camera is None:
            raise GeoNavError(f"the camera is not drawn: no transform {self._base_frame} → {frame_id} on /tf_static")
        T_map_camera = T_map_base @ T_base_camera
        markers.frustum(T_map_camera, camera, self._config.frustum_length)
        if self._ties is None or abs(now - conversion.serialized_stamp(self._ties)) > _RAYS_AGE:
            return
        ties = deserialize_message(self._ties, TiePoints)
        shown = ties.points[:: max(1, -(-len(ties.points) // self._config.tie_points))]
        origin = conversion.pose_from_message(ties.pose.pose).translation
        markers.rays(origin, np.array([[p.x, p.y, p.z] for p in shown]).reshape(-1, 3))


def main() -> None:
    """Console entry."""
    os.nice(10)  # the navigation comes first, above all while the site's mesh is made
    run(Visualization)


if __name__ == "__main__":
    main()
