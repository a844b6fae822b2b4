"""Node `fusion`: IMU, absolute poses, tracked frames, GPS and further sensors in; odometry and status out."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from sensor_msgs.msg import FluidPressure, Imu, MagneticField, NavSatFix
from tf2_msgs.msg import TFMessage

from geo_nav import GeoNavError
from geo_nav.fusion import Fusion, FusionConfig, NavState
from geo_nav.fusion.solver_process import SWITCH_INTERVAL
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, latched, reliable, run, sensor
from geo_nav.nodes.diagnostics import FusionHealth, component
from geo_nav.nodes.status_messages import diagnostics_message, fill_status
from geo_nav.nodes.transforms import StaticTransforms
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus, SiteInfo, TiePoints

_STATUS_PERIOD = 0.5
_CHECKPOINT_PERIOD = 0.5


class FusionNode(GeoNavNode):
    """The factor graph behind topics.

    The IMU callback only integrates and publishes; the graph is solved on a thread of its own.
    """

    def __init__(self) -> None:
        super().__init__("fusion")
        self._fusion: Fusion | None = None
        self._frame: LocalFrame | None = None
        self._newest: NavState | None = None
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._work_waits = threading.Event()
        self._tf_due = self._fix_due = 0.0
        self._refused_imu = 0

    def configure(self) -> None:
        """Reads parameters, makes publishers and subscriptions."""
        self._config = self.read_config(FusionConfig)
        self._map_frame = self.string_parameter("map_frame", "map", "name of the site's local frame")
        self._odom_frame = self.string_parameter("odom_frame", "odom", "name of the frame without jumps")
        self._base_frame = self.string_parameter("base_frame", "base_link", "name of the vehicle's frame")
        self._camera_frame = self.string_parameter("camera_frame", "camera_optical", "optical frame of the camera")
        self._isolated = self._isolated_parameter()
        self._checkpoint = self.string_parameter("checkpoint", "", "file of the checkpoint; empty: none is kept")
        self._tf_period = 1.0 / self._rate("tf_rate", 50.0, "rate of /tf, Hz")
        self._fix_period = 1.0 / self._rate("fix_rate", 5.0, "rate of the fused NavSatFix, Hz")
        mounting = self._mounting_parameter()

        self._odometry_publisher = self.create_lifecycle_publisher(Odometry, "odometry", reliable(50))
        self._fix_publisher = self.create_lifecycle_publisher(NavSatFix, "fix", reliable(10))
        self._status_publisher = self.create_lifecycle_publisher(NavigationStatus, "status", reliable(10))
        self._tf_publisher = self.create_lifecycle_publisher(TFMessage, "/tf", reliable(100))
        self._diagnostics_publisher = self.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", reliable(10))
        self._health = FusionHealth(component(self))
        self._odometry = Odometry(child_frame_id=self._base_frame)
        self._odometry.header.frame_id = self._map_frame
        if mounting is not None:
            static = self.create_publisher(TFMessage, "/tf_static", latched())
            stamp = self.get_clock().now().to_msg()
            edge = conversion.transform_message(self._base_frame, self._camera_frame, stamp, mounting)
            static.publish(TFMessage(transforms=[edge]))

        self._transforms = StaticTransforms(self)
        self.subscribe(SiteInfo, "site", self._on_site, latched())
        self.subscribe(Imu, "imu", self._on_imu, sensor(400))
        self.subscribe(NavSatFix, "gps", self._on_gps, sensor(10))
        self.subscribe(AbsolutePose, "absolute_pose", self._on_absolute_pose, reliable(10))
        self.subscribe(TiePoints, "tie_points", self._on_tie_points, reliable(10))
        self.subscribe(FluidPressure, "pressure", self._on_pressure, sensor(50))
        self.subscribe(Imu, "heading", self._on_heading, sensor(10))
        self.subscribe(MagneticField, "magnetic_field", self._on_magnetic_field, sensor(50))
        self.subscribe(Odometry, "wheel_odometry", self._on_wheel_odometry, sensor(50))
        self.create_timer(_STATUS_PERIOD, self.guarded(self._publish_status, "status"))
        self.create_timer(0.1, self.guarded(self._begin, "start"))

    def activate(self) -> None:
        """Starts the solving thread."""
        self._stop.clear()
        self._worker = threading.Thread(target=self._work, name="graph", daemon=True)
        self._worker.start()

    def deactivate(self) -> None:
        """Ends the solving thread."""
        self._stop.set()
        self._work_waits.set()
        if self._worker is not None:
            self._worker.join()
            self._worker = None

    def _isolated_parameter(self) -> bool:
        solver = self.string_parameter("solver", "process", "where the graph is solved: process (its own), or thread")
        if solver not in ("process", "thread"):
            raise GeoNavError(f"parameter solver is process or thread, not {solver!r}")
        return solver == "process"

    def _rate(self, name: str, default: float, description: str) -> float:
        rate = float(self.string_parameter(name, str(default), description))
        if not 0.0 < rate <= 1000.0:
            raise GeoNavError(f"parameter {name} is a rate in Hz, not {rate}")
        return rate

    def _mounting_parameter(self) -> Pose | None:
        if not self.has_parameter("T_base_camera"):
            self.declare_parameter("T_base_camera", Parameter.Type.DOUBLE_ARRAY)
        value = self.get_parameter_or("T_base_camera", Parameter("T_base_camera", value=[])).value
        numbers = [float(v) for v in value or []]
        if numbers and len(numbers) != 7:
            raise GeoNavError(f"T_base_camera is x y z (m) qx qy qz qw, seven numbers, not {len(numbers)}")
        return Pose.from_quaternion(numbers[3:], numbers[:3]) if numbers else None

    def _on_site(self, message: SiteInfo) -> None:
        origin = message.origin
        frame = LocalFrame(origin.latitude, origin.longitude, origin.altitude)
        if self._frame is not None and frame != self._frame:
            raise GeoNavError("the site's local frame has changed under way: restart the fusion node to use it")
        self._frame = frame

    def _begin(self) -> None:
        """Makes the graph as soon as the site's frame and the camera's mounting are known."""
        if self._fusion is not None or not self.active:
            return
        mounting = self._transforms.lookup(self._base_frame, self._camera_frame)
        if self._frame is None or mounting is None:
            missing = "the site (is site_server up?)"
            if self._frame is not None:
                missing = f"{self._base_frame} → {self._camera_frame}: publish it on /tf_static or set T_base_camera"
            self.warn_sometimes(f"waiting for {missing}")
            return
        fusion = Fusion(self._config, self._frame, mounting, self._isolated)
        self._restore(fusion)
        self._fusion = fusion

    def _on_imu(self, message: Imu) -> None:
        fusion = self._fusion
        if fusion is None or not self.active:
            return
        state = fusion.add_imu(conversion.imu_from_message(message))
        if state is None:
            attitude = conversion.attitude_from_message(message)
            if attitude is not None:
                fusion.add_attitude(conversion.seconds(message.header.stamp), *attitude)
        self._work_waits.set()
        if state is None:
            return
        if self._newest is None or state.stamp > self._newest.stamp or state.stamp < self._newest.stamp - 1.0:
            self._newest = state
            self._publish_state(state)

    def _on_gps(self, message: NavSatFix) -> None:
        if self._fusion is None or self._frame is None:
            return
        gps = conversion.gps_from_message(message, self._frame)
        if gps is not None:
            self._fusion.add_gps(conversion.seconds(message.header.stamp), *gps)

    def _on_absolute_pose(self, message: AbsolutePose) -> None:
        if self._fusion is None or message.status != AbsolutePose.ACCEPTED:
            return
        self._check_frames("an absolute pose", message.header.frame_id, message.child_frame_id)
        self._fusion.add_absolute_pose(
            conversion.seconds(message.header.stamp), *conversion.pose_and_covariance(message)
        )

    def _on_tie_points(self, message: TiePoints) -> None:
        """Takes the motion of a tracked frame since its registration, whose own pose comes as an absolute pose."""
        motion = conversion.motion_from_message(message)
        if self._fusion is None or motion is None:
            return
        self._check_frames("tie points", message.point_frame_id, message.header.frame_id)
        self._fusion.add_relative_pose(*motion)

    def _on_pressure(self, message: FluidPressure) -> None:
        if self._fusion is not None:
            sigma = conversion.altitude_sigma(message)
            self._fusion.add_pressure(conversion.seconds(message.header.stamp), message.fluid_pressure, sigma)

    def _on_heading(self, message: Imu) -> None:
        """Takes the yaw of a dual antenna, as the drivers of GNSS receivers publish it."""
        if self._fusion is not None:
            self._fusion.add_heading(conversion.seconds(message.header.stamp), *conversion.yaw_and_sigma(message))

    def _on_magnetic_field(self, message: MagneticField) -> None:
        if self._fusion is not None:
            field = message.magnetic_field
            self._fusion.add_magnetic_field(conversion.seconds(message.header.stamp), [field.x, field.y, field.z])

    def _on_wheel_odometry(self, message: Odometry) -> None:
        if self._fusion is None:
            return
        if message.child_frame_id != self._base_frame:
            raise GeoNavError(f"wheel odometry of {message.child_frame_id}; this graph takes {self._base_frame}")
        variance = float(message.twist.covariance[0])
        self._fusion.add_wheel_speed(
            conversion.seconds(message.header.stamp),
            message.twist.twist.linear.x,
            math.sqrt(variance) if variance > 0.0 else None,
        )

    def _check_frames(self, what: str, map_frame: str, camera_frame: str) -> None:
        if (map_frame, camera_frame) != (self._map_frame, self._camera_frame):
            raise GeoNavError(
                f"{what} of {camera_frame} in {map_frame}; this graph takes {self._camera_frame} in {self._map_frame}"
            )

    def _work(self) -> None:
        update = self.guarded(self._update, "graph")
        checkpoint = self.guarded(self._write_checkpoint, "checkpoint")
        due = time.monotonic() + _CHECKPOINT_PERIOD
        while not self._stop.is_set():
            self._work_waits.wait(0.5)
            self._work_waits.clear()
            update()
            if time.monotonic() >= due:
                due = time.monotonic() + _CHECKPOINT_PERIOD
                checkpoint()
            self._stop.wait(0.02)

    def _update(self) -> None:
        if self._fusion is not None:
            rebuilt = self._fusion.update().rebuilt
            if rebuilt:
                self.warn_sometimes(f"the graph was built anew: {rebuilt}", key="rebuilt")

    def _publish_state(self, state: NavState) -> None:
        self._odometry_publisher.publish(conversion.fill_odometry(self._odometry, state))
        if state.stamp >= self._tf_due or state.stamp < self._tf_due - 10.0:
            self._tf_due = state.stamp + self._tf_period - 1e-3
            stamp = self._odometry.header.stamp
            T_odom_base = state.T_map_odom.inverse() @ state.T_map_base
            self._tf_publisher.publish(
                TFMessage(
                    transforms=[
                        conversion.transform_message(self._map_frame, self._odom_frame, stamp, state.T_map_odom),
                        conversion.transform_message(self._odom_frame, self._base_frame, stamp, T_odom_base),
                    ]
                )
            )
        if self._frame is not None and (state.stamp >= self._fix_due or state.stamp < self._fix_due - 10.0):
            self._fix_due = state.stamp + self._fix_period - 1e-3
            self._fix_publisher.publish(conversion.nav_sat_fix_message(state, self._frame, self._base_frame))

    def _publish_status(self) -> None:
        if not self.active:
            return
        message = NavigationStatus()
        message.header.frame_id = self._map_frame
        if self._newest is not None:
            message.header.stamp = conversion.ros_time(self._newest.stamp)
        if self._fusion is None:
            message.reason = "waiting for the site and the camera's mounting"
            self._diagnostics_publisher.publish(self._health.waiting(message.reason))
        else:
            status = self._fusion.status()
            diagnostics = diagnostics_message(status, component(self))
            diagnostics.status.insert(0, self._health.status(status))
            self._diagnostics_publisher.publish(diagnostics)
            fill_status(message, status)
            if status.imu_samples_refused > self._refused_imu:
                self._refused_imu = status.imu_samples_refused
                self.warn_sometimes(
                    f"{self._refused_imu} IMU samples refused so far (not finite, saturated or out of order)",
                    key="imu refused",
                )
        self._status_publisher.publish(message)

    def _write_checkpoint(self) -> None:
        checkpoint = self._fusion.checkpoint() if self._checkpoint and self._fusion is not None else None
        if checkpoint is None:
            return
        path = Path(self._checkpoint).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with part.open("w") as file:
            json.dump(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _restore(self, fusion: Fusion) -> None:
        if not self._checkpoint:
            return
        path = Path(self._checkpoint).expanduser()
        if not path.is_file():
            return
        try:
            fusion.restore(json.loads(path.read_text()))
            self.get_logger().info(f"state restored from {path}")
        except (GeoNavError, ValueError, KeyError, TypeError) as error:
            self.get_logger().warning(f"checkpoint {path} is not used: {error}")


def main() -> None:
    """Console entry."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    run(FusionNode)
