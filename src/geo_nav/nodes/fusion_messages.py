"""What the node `fusion` does with messages, without the node: a replay hands it the same messages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from sensor_msgs.msg import FluidPressure, Imu, MagneticField, NavSatFix
from tf2_msgs.msg import TFMessage

from geo_nav import GeoNavError
from geo_nav.fusion import Fusion, NavState
from geo_nav.geodesy import LocalFrame
from geo_nav.nodes import conversion
from geo_nav.nodes.diagnostics import FusionHealth
from geo_nav.nodes.settings import FusionNodeConfig
from geo_nav.nodes.status_messages import diagnostics_message, fill_status
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus, SiteInfo, TiePoints

STATUS_PERIOD = 0.5
"""Seconds from one status to the next."""


class FusionMessages:
    """Measurements in as messages, states out as messages.

    Threads: as :class:`~geo_nav.fusion.Fusion` says; :meth:`on_imu` publishes.

    Args:
        config: frames and rates.
        publish: takes (output, message); the outputs are ``odometry``, ``fix``, ``status``, ``tf`` and ``diagnostics``.
            An odometry message is filled anew for the next state: who keeps it must serialize it.
        warn: takes (text, key of what it is about).

    Attributes:
        fusion: the graph; messages are passed over until there is one.
        frame: local frame of the site; None until :meth:`on_site`.
    """

    def __init__(
        self, config: FusionNodeConfig, publish: Callable[[str, Any], None], warn: Callable[[str, str], None]
    ) -> None:
        self._config = config
        self._publish = publish
        self._warn = warn
        self.fusion: Fusion | None = None
        self.frame: LocalFrame | None = None
        self._newest: NavState | None = None
        self._odometry = Odometry(child_frame_id=config.base_frame)
        self._odometry.header.frame_id = config.map_frame
        self._tf_due = self._fix_due = 0.0
        self._refused_imu = 0
        self._health = FusionHealth()

    def on_site(self, message: SiteInfo) -> None:
        """Takes the local frame of the site.

        Raises:
            GeoNavError: there has been another.
        """
        origin = message.origin
        frame = LocalFrame(origin.latitude, origin.longitude, origin.altitude)
        if self.frame is not None and frame != self.frame:
            raise GeoNavError("the site's local frame has changed under way: restart the fusion node to use it")
        self.frame = frame

    def on_imu(self, message: Imu) -> None:
        """Integrates a sample, and publishes the state at its stamp."""
        fusion = self.fusion
        if fusion is None:
            return
        state = fusion.add_imu(conversion.imu_from_message(message))
        if state is None:
            attitude = conversion.attitude_from_message(message)
            if attitude is not None:
                fusion.add_attitude(conversion.seconds(message.header.stamp), *attitude)
            return
        if self._newest is None or state.stamp > self._newest.stamp or state.stamp < self._newest.stamp - 1.0:
            self._newest = state
            self._publish_state(state)

    def on_gps(self, message: NavSatFix) -> None:
        """Takes a GPS fix."""
        if self.fusion is None or self.frame is None:
            return
        gps = conversion.gps_from_message(message, self.frame)
        if gps is not None:
            self.fusion.add_gps(conversion.seconds(message.header.stamp), *gps)

    def on_absolute_pose(self, message: AbsolutePose) -> None:
        """Takes the pose of a registered frame, where it was accepted and the graph does not take its tie points."""
        if self.fusion is None or self.fusion.takes_points or message.status != AbsolutePose.ACCEPTED:
            return
        self._check_frames("an absolute pose", message.header.frame_id, message.child_frame_id)
        self.fusion.add_absolute_pose(
            conversion.seconds(message.header.stamp), *conversion.pose_and_covariance(message)
        )

    def on_tie_points(self, message: TiePoints) -> None:
        """Takes the motion of a tracked frame; of a registered one the points, where the graph takes these."""
        motion = conversion.motion_from_message(message)
        if self.fusion is None or (motion is None and not self.fusion.takes_points):
            return
        self._check_frames("tie points", message.point_frame_id, message.header.frame_id)
        if motion is None:
            self.fusion.add_tie_points(*conversion.tie_points_from_message(message))
        else:
            self.fusion.add_relative_pose(*motion)

    def on_pressure(self, message: FluidPressure) -> None:
        """Takes the pressure of a barometer."""
        if self.fusion is not None:
            sigma = conversion.altitude_sigma(message)
            self.fusion.add_pressure(conversion.seconds(message.header.stamp), message.fluid_pressure, sigma)

    def on_heading(self, message: Imu) -> None:
        """Takes the yaw of a dual antenna, as the drivers of GNSS receivers publish it."""
        if self.fusion is not None:
            self.fusion.add_heading(conversion.seconds(message.header.stamp), *conversion.yaw_and_sigma(message))

    def on_magnetic_field(self, message: MagneticField) -> None:
        """Takes the field of a magnetometer."""
        if self.fusion is not None:
            field = message.magnetic_field
            self.fusion.add_magnetic_field(conversion.seconds(message.header.stamp), [field.x, field.y, field.z])

    def on_wheel_odometry(self, message: Odometry) -> None:
        """Takes the speed of wheels.

        Raises:
            GeoNavError: it is of another frame.
        """
        if self.fusion is None:
            return
        if message.child_frame_id != self._config.base_frame:
            raise GeoNavError(f"wheel odometry of {message.child_frame_id}; this graph takes {self._config.base_frame}")
        variance = float(message.twist.covariance[0])
        self.fusion.add_wheel_speed(
            conversion.seconds(message.header.stamp),
            message.twist.twist.linear.x,
            math.sqrt(variance) if variance > 0.0 else None,
        )

    def _check_frames(self, what: str, map_frame: str, camera_frame: str) -> None:
        c = self._config
        if (map_frame, camera_frame) != (c.map_frame, c.camera_frame):
            raise GeoNavError(
                f"{what} of {camera_frame} in {map_frame}; this graph takes {c.camera_frame} in {c.map_frame}"
            )

    def update(self) -> None:
        """Has what waits put into the graph and solved; for the worker."""
        if self.fusion is not None:
            rebuilt = self.fusion.update().rebuilt
            if rebuilt:
                self._warn(f"the graph has failed, and goes on: {rebuilt}", "rebuilt")

    def publish_status(self, name: str) -> None:
        """Publishes status and diagnostics.

        Args:
            name: of the node's entries in the diagnostics.
        """
        message = NavigationStatus()
        message.header.frame_id = self._config.map_frame
        if self._newest is not None:
            message.header.stamp = conversion.ros_time(self._newest.stamp)
        if self.fusion is None:
            message.reason = "waiting for the site and the camera's mounting"
            diagnostics = DiagnosticArray(status=[self._health.waiting(name, message.reason)])
        else:
            status = self.fusion.status()
            diagnostics = diagnostics_message(status, name)
            diagnostics.status.insert(0, self._health.status(name, status))
            fill_status(message, status)
            if status.imu_samples_refused > self._refused_imu:
                self._refused_imu = status.imu_samples_refused
                self._warn(
                    f"{self._refused_imu} IMU samples refused so far (not finite, saturated or out of order)",
                    "imu refused",
                )
        self._publish("diagnostics", diagnostics)
        self._publish("status", message)

    def _publish_state(self, state: NavState) -> None:
        c = self._config
        self._publish("odometry", conversion.fill_odometry(self._odometry, state))
        if state.stamp >= self._tf_due or state.stamp < self._tf_due - 10.0:
            self._tf_due = state.stamp + 1.0 / c.tf_rate - 1e-3
            stamp = self._odometry.header.stamp
            T_odom_base = state.T_map_odom.inverse() @ state.T_map_base
            edges = [
                conversion.transform_message(c.map_frame, c.odom_frame, stamp, state.T_map_odom),
                conversion.transform_message(c.odom_frame, c.base_frame, stamp, T_odom_base),
            ]
            self._publish("tf", TFMessage(transforms=edges))
        if self.frame is not None and (state.stamp >= self._fix_due or state.stamp < self._fix_due - 10.0):
            self._fix_due = state.stamp + 1.0 / c.fix_rate - 1e-3
            self._publish("fix", conversion.nav_sat_fix_message(state, self.frame, c.base_frame))
