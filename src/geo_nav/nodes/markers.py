"""What a 3D display shows of the navigation → `visualization_msgs`; every marker is in `map`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point
from scipy.stats import chi2
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from geo_nav.geodesy import Pose
from geo_nav.nodes.conversion import pose_message
from geo_nav.rendering import Camera
from geo_nav.site import PreviewMesh
from geo_nav_msgs.msg import NavigationStatus

Array = npt.NDArray[np.float64]

CHI_SQUARE_95 = float(chi2.ppf(0.95, 3))
"""What the squared Mahalanobis distance of a position exceeds with a probability of 5 %."""

GREEN, RED, CYAN = (0.2, 0.85, 0.3, 1.0), (0.95, 0.25, 0.2, 1.0), (0.2, 0.8, 0.9, 0.5)
YELLOW, ORANGE, WHITE = (0.95, 0.85, 0.2, 1.0), (0.95, 0.55, 0.1, 1.0), (1.0, 1.0, 1.0, 1.0)
_ELLIPSOID = (0.6, 0.3, 0.9, 0.35)
_STATES = {
    NavigationStatus.INITIALIZING: ("INITIALIZING", WHITE),
    NavigationStatus.TRACKING: ("TRACKING", GREEN),
    NavigationStatus.COASTING: ("COASTING", YELLOW),
    NavigationStatus.LOST: ("LOST", RED),
    NavigationStatus.RELOCALIZING: ("RELOCALIZING", ORANGE),
}
_CIRCLE = 72
"""Corners of a circle."""


class Markers:
    """Collects the markers of one moment.

    Args:
        frame_id: of them all (`map`).
        stamp: of them all.
        lifetime: seconds after which a display drops them where no newer ones come; 0 is never.
    """

    def __init__(self, frame_id: str, stamp: Time, lifetime: float = 0.0) -> None:
        self._frame_id, self._stamp = frame_id, stamp
        self._lifetime = Duration(sec=int(lifetime), nanosec=int(lifetime % 1.0 * 1e9))
        self.message = MarkerArray()

    def clear(self) -> None:
        """Deletes whatever an earlier publisher of the topic has left in the displays."""
        self._add("", Marker.DELETEALL, WHITE).action = Marker.DELETEALL

    def site(self, mesh: PreviewMesh) -> None:
        """The site model, as a triangle list with vertex colours (namespace `site`)."""
        marker = self._add("site", Marker.TRIANGLE_LIST, WHITE)
        marker.scale.x = marker.scale.y = marker.scale.z = 1.0
        corners = mesh.faces.ravel()
        points = [Point(x=x, y=y, z=z) for x, y, z in mesh.vertices.tolist()]
        colors = [ColorRGBA(r=r, g=g, b=b, a=1.0) for r, g, b in mesh.colors.tolist()]
        marker.points = [points[i] for i in corners]
        marker.colors = [colors[i] for i in corners]

    def ellipsoid(self, T_map_base: Pose, covariance: Array) -> None:
        """The 95 % covariance ellipsoid of the position (namespace `covariance`).

        Args:
            T_map_base: centre.
            covariance: (3, 3) of the position, m².
        """
        variances, axes = np.linalg.eigh(covariance)
        if np.linalg.det(axes) < 0.0:
            axes[:, 0] *= -1.0
        marker = self._add("covariance", Marker.SPHERE, _ELLIPSOID)
        marker.pose = pose_message(Pose(axes, T_map_base.translation))
        size = 2.0 * np.sqrt(CHI_SQUARE_95 * np.maximum(variances, 0.0))
        marker.scale.x, marker.scale.y, marker.scale.z = size.tolist()

    def protection_levels(self, T_map_base: Pose, status: NavigationStatus) -> None:
        """Horizontal protection levels as circles at the vehicle, vertical ones as a line through it.

        95 % in yellow, 99.9 % in orange (namespaces `protection_level_95`, `protection_level_999`). A level that is not
        finite is not drawn, and what was drawn of it is deleted.
        """
        for name, horizontal, vertical, color in (
            ("95", status.horizontal_level_95, status.vertical_level_95, YELLOW),
            ("999", status.horizontal_level_999, status.vertical_level_999, ORANGE),
        ):
            angles = np.linspace(0.0, 2.0 * np.pi, _CIRCLE + 1)
            ring = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
            up = np.array([0.0, 0.0, 1.0])
            circle = _chain(T_map_base.translation + horizontal * ring)
            points = np.concatenate([circle, T_map_base.translation + np.outer([-vertical, vertical], up)])
            self._lines(f"protection_level_{name}", points, color, 0.15)

    def places(self, namespace: str, positions: Iterable[Array], color: tuple[float, ...], size: float) -> None:
        """Spheres of a diameter, m, at positions (3,) in `map`."""
        marker = self._add(namespace, Marker.SPHERE_LIST, color)
        marker.scale.x = marker.scale.y = marker.scale.z = size
        marker.points = _points(positions)
        if not marker.points:
            marker.action = Marker.DELETE

    def frustum(self, T_map_camera: Pose, camera: Camera, length: float) -> None:
        """What the camera sees, up to a depth, m (namespace `camera`)."""
        right, bottom = camera.width - 0.5, camera.height - 0.5
        corners = [[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]]
        far = T_map_camera.transform(camera.rays(corners) * length)
        rays = np.stack([np.broadcast_to(T_map_camera.translation, far.shape), far], axis=1).reshape(-1, 3)
        self._lines("camera", np.concatenate([rays, _chain(far[[0, 1, 2, 3, 0]])]), WHITE, 0.15)

    def rays(self, origin: Array, points: Array) -> None:
        """From the camera (3,) to the tie points (N, 3) of its last frame (namespace `tie_points`)."""
        ends = np.stack([np.broadcast_to(origin, points.shape), points], axis=1).reshape(-1, 3)
        self._lines("tie_points", ends, CYAN, 0.05)

    def vehicle(self, T_map_base: Pose, size: float) -> None:
        """An arrow along the vehicle's x axis, of a length, m (namespace `vehicle`)."""
        marker = self._add("vehicle", Marker.ARROW, WHITE)
        marker.pose = pose_message(T_map_base)
        marker.scale.x, marker.scale.y, marker.scale.z = size, 0.2 * size, 0.2 * size

    def state(self, T_map_base: Pose, status: NavigationStatus, size: float) -> None:
        """State and sigma in words, above the vehicle, letters of a height, m (namespace `state`)."""
        name, color = _STATES.get(status.state, (str(status.state), WHITE))
        marker = self._add("state", Marker.TEXT_VIEW_FACING, color)
        marker.pose.position.x, marker.pose.position.y, z = T_map_base.translation.tolist()
        marker.pose.position.z = z + 2.0 * size
        marker.scale.z = size
        marker.text = f"{name}  {status.horizontal_sigma:.2f} m"

    def _lines(self, namespace: str, ends: Array, color: tuple[float, ...], width: float) -> None:
        """Lines between points (2N, 3), taken in pairs."""
        marker = self._add(namespace, Marker.LINE_LIST, color)
        marker.scale.x = width
        finite = np.isfinite(ends).all(axis=1).reshape(-1, 2).all(axis=1)
        marker.points = _points(ends.reshape(-1, 2, 3)[finite].reshape(-1, 3))
        if not marker.points:
            marker.action = Marker.DELETE

    def _add(self, namespace: str, kind: int, color: tuple[float, ...]) -> Marker:
        marker = Marker(ns=namespace, type=kind, action=Marker.ADD, lifetime=self._lifetime)
        marker.header.frame_id, marker.header.stamp = self._frame_id, self._stamp
        marker.pose.orientation.w = 1.0
        marker.color = ColorRGBA(**dict(zip("rgba", color, strict=True)))
        self.message.markers.append(marker)
        return marker


def _points(positions: Iterable[Array]) -> list[Point]:
    return [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in positions]


def _chain(points: Array) -> Array:
    """Corners (N, 3) of a line → the ends of its pieces, (2N - 2, 3)."""
    return np.stack([points[:-1], points[1:]], axis=1).reshape(-1, 3)
