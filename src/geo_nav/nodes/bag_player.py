"""Node `bag_player`: plays a rosbag2 recording (MCAP or sqlite3) into the node graph, with `/clock`."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from rclpy.utilities import ok
from rosgraph_msgs.msg import Clock

from geo_nav import GeoNavError
from geo_nav.camera_messages import MessageError
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.messages import LATCHED_TOPICS
from geo_nav.nodes.base import GeoNavNode, latched, reliable, run
from geo_nav.nodes.conversion import message_type, ros_time
from geo_nav.replay.gps import GpsSwitch, gps_plan
from geo_nav_msgs.msg import AbsolutePose, NavigationStatus

_CLOCK_PERIOD = 0.02
_IMAGES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}


class BagPlayer(GeoNavNode):
    """Publishes a bag's messages as they were recorded, at a rate; ends when the bag does."""

    def __init__(self) -> None:
        super().__init__("bag_player")
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def configure(self) -> None:
        """Opens the bag and makes its publishers."""
        bag = Path(self.string_parameter("bag", "", "bag folder, or .mcap / .db3 file")).expanduser()
        self._rate = float(self.string_parameter("rate", "1.0", "times real time"))
        self._patience = float(
            self.string_parameter("wait_for_subscribers", "30.0", "seconds to wait for somebody who listens")
        )
        skipped = set(self.string_parameter("skip_topics", "", "topics not to play, separated by spaces").split())
        gps = self.string_parameter("gps", "use", "when GPS is played: use (always), start, until:SECONDS or never")
        if not bag.exists():
            raise GeoNavError(f"no bag at '{bag}': set the parameter 'bag' (launch argument bag:=PATH)")
        if self._rate <= 0:
            raise GeoNavError(f"rate is a positive factor, not {self._rate}")
        self._bag = open_bag(bag)
        self._begin = self._now = round(self._bag.begin * 1e9)
        self._outputs: dict[str, Any] = {}
        # Our own outputs of an earlier run would contradict the ones of this run.
        skipped |= {"/clock", "/tf", "/diagnostics"}
        for topic, info in self._bag.topics.items():
            if not topic.startswith("/geo_nav/") and topic not in skipped:
                self._add_output(topic, info.msgtype)
        if not self._outputs:
            raise GeoNavError(f"bag '{bag}' holds nothing to play")
        camera = any(self._bag.topics[topic].msgtype in _IMAGES for topic in self._outputs)
        self._gps = GpsSwitch(gps_plan(gps), self._begin, camera)
        self.subscribe(NavigationStatus, "status", self._on_status, reliable(10))
        self.subscribe(AbsolutePose, "absolute_pose", self._on_absolute_pose, reliable(10))
        self._clock = self.create_publisher(Clock, "/clock", reliable(10))

    def activate(self) -> None:
        """Starts playing."""
        self._thread = threading.Thread(target=self.guarded(self._play, "playback"), name="playback", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stops playing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._bag.close()

    def _add_output(self, topic: str, msgtype: str) -> None:
        try:
            kind = message_type(msgtype)
        except MessageError as error:
            self.get_logger().warning(f"{topic} is not played: {error}")
            return
        self._outputs[topic] = self.create_publisher(
            kind, topic, latched(100) if topic in LATCHED_TOPICS else reliable(100)
        )

    def _on_status(self, message: NavigationStatus) -> None:
        if message.state == NavigationStatus.TRACKING:
            self._gps.tracking(self._now)

    def _on_absolute_pose(self, message: AbsolutePose) -> None:
        if message.status == AbsolutePose.ACCEPTED:
            self._gps.registered()

    def _play(self) -> None:
        self._wait_for_listeners()
        begin, first = time.monotonic(), self._begin
        clock_due = 0.0
        self.get_logger().info(f"playing {self._bag.end - self._bag.begin:.0f} s at {self._rate:g}x")
        gps = {topic for topic in self._outputs if self._bag.topics[topic].msgtype == "sensor_msgs/msg/NavSatFix"}
        for topic, stamp, data in self._bag.messages(self._outputs):
            while True:
                late = begin + (stamp - first) * 1e-9 / self._rate - time.monotonic()
                if self._stop.is_set() or not ok():
                    return
                if time.monotonic() >= clock_due:
                    clock_due = time.monotonic() + _CLOCK_PERIOD
                    now = first * 1e-9 + (time.monotonic() - begin) * self._rate
                    self._clock.publish(Clock(clock=ros_time(now)))
                if late <= 0:
                    break
                self._stop.wait(min(late, _CLOCK_PERIOD))
            self._now = stamp
            if topic not in gps or self._gps.lets_through(stamp):
                self._outputs[topic].publish(bytes(data))
        for problem in self._bag.problems:
            self.get_logger().warning(problem)
        self.get_logger().info("the bag has ended")
        self._stop.wait(2.0)  # the last frame's registration is still under way
        self.finished = True

    def _wait_for_listeners(self) -> None:
        """Waits until every topic that a navigation needs is listened to, for what comes before is lost."""
        deadline = time.monotonic() + self._patience
        wanted = [
            output
            for topic, output in self._outputs.items()
            if self._bag.topics[topic].msgtype in {"sensor_msgs/msg/Imu", *_IMAGES}
        ]
        while time.monotonic() < deadline and not self._stop.is_set():
            if wanted and all(p.get_subscription_count() > 0 for p in wanted):
                self._stop.wait(2.0)  # discovery of the nodes among each other
                return
            self._stop.wait(0.1)
        if not self._stop.is_set():
            self.get_logger().warning(
                "nobody listens to the bag's IMU and images: check the topic arguments; playing all the same"
            )


def main() -> None:
    """Console entry."""
    run(BagPlayer)
