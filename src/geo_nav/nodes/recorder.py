"""Node `recorder`: writes what passes over a list of topics into an MCAP bag, byte for byte."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer

from geo_nav import GeoNavError
from geo_nav.evaluation.messages import LATCHED, LATCHED_TOPICS
from geo_nav.evaluation.ros_types import typestore
from geo_nav.nodes.base import GeoNavNode, latched, reliable, run, sensor
from geo_nav.nodes.conversion import message_type

_BEST_EFFORT_KINDS = {
    "sensor_msgs/msg/Imu",
    "sensor_msgs/msg/NavSatFix",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/Image",
}


class Recorder(GeoNavNode):
    """Raw subscriptions into a writing thread, so that a slow disk never holds up a callback."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self._queue: queue.SimpleQueue[tuple[Any, int, bytes] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def configure(self) -> None:
        """Opens the bag and subscribes."""
        bag = Path(self.string_parameter("bag", "", "folder of the bag to write; it may not exist")).expanduser()
        topics = self.string_parameter("topics", "", "what to record: 'topic type' pairs, separated by spaces").split()
        if not str(bag) or bag.exists():
            raise GeoNavError(f"a bag is written into a new folder, and '{bag}' is not one: set the parameter 'bag'")
        if not topics or len(topics) % 2:
            raise GeoNavError("parameter 'topics' is a list of 'topic type' pairs, separated by spaces")
        bag.parent.mkdir(parents=True, exist_ok=True)
        self._writer = Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        for topic, kind in zip(topics[::2], topics[1::2], strict=True):
            self._record(topic, kind)
        self._thread = threading.Thread(target=self._write, name="bag", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Closes the bag."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
            self._writer.close()

    def _record(self, topic: str, kind: str) -> None:
        connection = self._writer.add_connection(
            topic, kind, typestore=typestore(), offered_qos_profiles=[LATCHED] if topic in LATCHED_TOPICS else []
        )
        qos = latched(10) if topic in LATCHED_TOPICS else sensor(400) if kind in _BEST_EFFORT_KINDS else reliable(400)

        def store(data: bytes) -> None:
            self._queue.put((connection, time.time_ns(), bytes(data)))

        self.subscribe(message_type(kind), topic, store, qos, raw=True)

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            connection, stamp, data = item
            self._writer.write(connection, stamp, data)


def main() -> None:
    """Console entry."""
    run(Recorder)
