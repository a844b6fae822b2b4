"""Node `fusion`: IMU, absolute poses, tracked frames, GPS and further sensors in; odometry and status out."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from sensor_msgs.msg import FluidPressure, Imu, MagneticField, NavSatFix
from tf2_msgs.msg import TFMessage

from geo_nav import GeoNavError
from geo_nav.fusion import Fusion, FusionConfig
from geo_nav.fusion.solver_process import SWITCH_INTERVAL
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, latched, reliable, run, sensor
from geo_nav.nodes.diagnostics_publisher import component
from geo_nav.nodes.fusion_messages import STATUS_PERIOD, FusionMessages
from geo_nav.nodes.settings import FusionNodeConfig
from geo_nav.nodes.transforms import StaticTransforms
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus, SiteInfo, TiePoints

_CHECKPOINT_PERIOD = 0.5


class FusionNode(GeoNavNode):
    """The factor graph behind topics, see :class:`~geo_nav.nodes.fusion_messages.FusionMessages`.

    The IMU callback only integrates and publishes; the graph is solved on a thread of its own.
    """

    def __init__(self) -> None:
        super().__init__("fusion")
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._work_waits = threading.Event()

    def configure(self) -> None:
        """Reads parameters, makes publishers and subscriptions."""
        self._config = self.read_config(FusionConfig)
        own = self._own = self.read_config(FusionNodeConfig)
        self._outputs = {
            "odometry": self.create_lifecycle_publisher(Odometry, "odometry", reliable(50)),
            "fix": self.create_lifecycle_publisher(NavSatFix, "fix", reliable(10)),
            "status": self.create_lifecycle_publisher(NavigationStatus, "status", reliable(10)),
            "tf": self.create_lifecycle_publisher(TFMessage, "/tf", reliable(100)),
            "diagnostics": self.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", reliable(10)),
        }
        self._messages = FusionMessages(own, self._publish, self.warn_sometimes)
        if own.mounting is not None:
            static = self.create_publisher(TFMessage, "/tf_static", latched())
            stamp = self.get_clock().now().to_msg()
            edge = conversion.transform_message(own.base_frame, own.camera_frame, stamp, own.mounting)
            static.publish(TFMessage(transforms=[edge]))

        self._transforms = StaticTransforms(self)
        messages = self._messages
        self.subscribe(SiteInfo, "site", messages.on_site, latched())
        self.subscribe(Imu, "imu", self._on_imu, sensor(400))
        self.subscribe(NavSatFix, "gps", messages.on_gps, sensor(10))
        self.subscribe(AbsolutePose, "absolute_pose", messages.on_absolute_pose, reliable(10))
        self.subscribe(TiePoints, "tie_points", messages.on_tie_points, reliable(10))
        self.subscribe(FluidPressure, "pressure", messages.on_pressure, sensor(50))
        self.subscribe(Imu, "heading", messages.on_heading, sensor(10))
        self.subscribe(MagneticField, "magnetic_field", messages.on_magnetic_field, sensor(50))
        self.subscribe(Odometry, "wheel_odometry", messages.on_wheel_odometry, sensor(50))
        self.create_timer(STATUS_PERIOD, self.guarded(self._publish_status, "status"))
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

    def _publish(self, output: str, message: Any) -> None:
        self._outputs[output].publish(message)

    def _begin(self) -> None:
        """Makes the graph as soon as the site's frame and the camera's mounting are known."""
        messages, own = self._messages, self._own
        if messages.fusion is not None or not self.active:
            return
        mounting = self._transforms.lookup(own.base_frame, own.camera_frame)
        if messages.frame is None or mounting is None:
            missing = "the site (is site_server up?)"
            if messages.frame is not None:
                missing = f"{own.base_frame} → {own.camera_frame}: publish it on /tf_static or set T_base_camera"
            self.warn_sometimes(f"waiting for {missing}")
            return
        fusion = Fusion(self._config, messages.frame, mounting, own.solver == "process")
        self._restore(fusion)
        messages.fusion = fusion

    def _on_imu(self, message: Imu) -> None:
        if self._messages.fusion is not None and self.active:
            self._messages.on_imu(message)
            self._work_waits.set()

    def _work(self) -> None:
        update = self.guarded(self._messages.update, "graph")
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

    def _publish_status(self) -> None:
        if self.active:
            self._messages.publish_status(component(self))

    def _write_checkpoint(self) -> None:
        fusion = self._messages.fusion
        checkpoint = fusion.checkpoint() if self._own.checkpoint and fusion is not None else None
        if checkpoint is None:
            return
        path = Path(self._own.checkpoint).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with part.open("w") as file:
            json.dump(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _restore(self, fusion: Fusion) -> None:
        if not self._own.checkpoint:
            return
        path = Path(self._own.checkpoint).expanduser()
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
