"""Node `simulator`: the simulated flight as a vehicle's own drivers would publish it, and its truth for the record."""

from __future__ import annotations

import threading
import time

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, Imu, NavSatFix, NavSatStatus
from std_msgs.msg import Float64
from tf2_msgs.msg import TFMessage

from geo_nav.fusion import NavState
from geo_nav.geodesy import Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, latched, reliable, run
from geo_nav.simulation import CameraSimulator, Simulation, SimulationConfig

_TRUTH_RATE = 50.0
_SETTLE = 1.0


class Simulator(GeoNavNode):
    """Flies in real time: IMU, GPS until the cut, camera frames; truth only on `/simulation/truth`."""

    def __init__(self) -> None:
        super().__init__("simulator")
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._begin = threading.Event()

    def configure(self) -> None:
        """Makes the world (or takes it from the cache), the flight and all IMU samples."""
        self._config = self.read_config(SimulationConfig)
        self._patience = float(self.string_parameter("wait_for_subscribers", "60.0", "seconds to wait for a listener"))
        self._simulation = Simulation(self._config)
        self._imu = self.create_publisher(Imu, "imu", reliable(400))
        self._gps = self.create_publisher(NavSatFix, "gps", reliable(10))
        self._image = self.create_publisher(Image, "image_raw", reliable(2))
        self._info = self.create_publisher(CameraInfo, "camera_info", reliable(10))
        self._truth = self.create_publisher(Odometry, "/simulation/truth", reliable(100))
        self._gps_cut = self.create_publisher(Float64, "/simulation/gps_cut", latched())
        self._tf_static = self.create_publisher(TFMessage, "/tf_static", latched())

    def activate(self) -> None:
        """Starts the flight once somebody listens."""
        stamp = self.get_clock().now().to_msg()
        mounting = conversion.transform_message("base_link", "camera_optical", stamp, self._simulation.T_base_camera)
        self._tf_static.publish(TFMessage(transforms=[mounting]))
        for work in (self._fly, self._film):
            thread = threading.Thread(target=self.guarded(work, work.__name__), name=work.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def deactivate(self) -> None:
        """Ends the flight."""
        self._stop.set()
        self._begin.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _sleep_until(self, t: float) -> bool:
        """Waits for flight time ``t``; False when the flight was broken off."""
        wait = self._epoch + t - time.time()
        return not (self._stop.wait(wait) if wait > 0.0 else self._stop.is_set())

    def _fly(self) -> None:
        """IMU at its rate, and beside it GPS and truth at theirs."""
        deadline = time.monotonic() + self._patience
        while not self._stop.is_set() and time.monotonic() < deadline:
            if min(self._imu.get_subscription_count(), self._image.get_subscription_count()) > 0:
                break
            self._stop.wait(0.1)
        self._stop.wait(_SETTLE)
        self._epoch = time.time() + 0.5
        self._gps_cut.publish(Float64(data=self._epoch + self._config.gps_outage_start))
        self._begin.set()
        gps_due = truth_due = 0.0
        for k in range(self._simulation.imu_count):
            sample = self._simulation.imu(k)
            t = sample.stamp
            if not self._sleep_until(t):
                return
            self._imu.publish(self._imu_message(k, t))
            if t >= truth_due:
                truth_due += 1.0 / _TRUTH_RATE
                self._truth.publish(self._truth_message(t))
            if t >= gps_due:
                gps_due += 1.0 / self._config.gps_rate
                if t < self._config.gps_outage_start:
                    self._gps.publish(self._gps_message(t))
        self._stop.wait(1.5)  # the last frame's registration is still under way
        self.get_logger().info("the flight has ended")
        self.finished = True

    def _film(self) -> None:
        """Camera frames; rendering one takes a while, so it arrives late, as a real one does."""
        camera = CameraSimulator(self._simulation)
        if not self._begin.wait() or self._stop.is_set():
            return
        rate, k = self._config.camera_rate, 0
        while k < self._simulation.frame_count:
            t = k / rate
            if not self._sleep_until(t):
                break
            image = camera.frame(t)
            if not self._sleep_until(t + self._simulation.frame_delay(k)):
                break
            stamp = conversion.ros_time(self._epoch + t)
            self._info.publish(conversion.camera_info_message(self._simulation.camera, "camera_optical", stamp))
            self._image.publish(conversion.image_message(image, "rgb8", "camera_optical", stamp))
            # A machine too slow for the camera's rate skips frames, as a driver does.
            k = max(k + 1, int(np.floor((time.time() - self._epoch) * rate)))
        camera.close()

    def _imu_message(self, k: int, t: float) -> Imu:
        sample = self._simulation.imu(k)
        message = Imu()
        message.header.stamp = conversion.ros_time(self._epoch + t)
        message.header.frame_id = "base_link"
        a, w = message.linear_acceleration, message.angular_velocity
        a.x, a.y, a.z = sample.acceleration.tolist()
        w.x, w.y, w.z = sample.angular_velocity.tolist()
        rotation, covariance = self._simulation.attitude(t)
        q = message.orientation
        q.x, q.y, q.z, q.w = Pose(rotation, np.zeros(3)).quaternion.tolist()
        message.orientation_covariance = covariance.ravel()
        return message

    def _gps_message(self, t: float) -> NavSatFix:
        position, covariance = self._simulation.gps(t)
        latitude, longitude, height = self._simulation.site_frame.to_geodetic(position)
        message = NavSatFix(latitude=float(latitude), longitude=float(longitude), altitude=float(height))
        message.header.stamp = conversion.ros_time(self._epoch + t)
        message.header.frame_id = "base_link"
        message.status.status = NavSatStatus.STATUS_FIX
        message.position_covariance = covariance.ravel()
        message.position_covariance_type = NavSatFix.COVARIANCE_TYPE_KNOWN
        return message

    def _truth_message(self, t: float) -> Odometry:
        truth = self._simulation.truth(t)
        message = Odometry(child_frame_id="base_link")
        message.header.frame_id = "map"
        return conversion.fill_odometry(
            message,
            NavState(
                self._epoch + t, truth.T_map_base, truth.velocity, truth.angular_velocity,
                np.zeros(3), np.zeros(3), np.zeros((6, 6)), np.zeros((3, 3)), Pose.identity(),
            ),
        )  # fmt: skip


def main() -> None:
    """Console entry."""
    run(Simulator)
