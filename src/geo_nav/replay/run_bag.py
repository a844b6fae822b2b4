"""The bag of a run: our topics, as the nodes would have published them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from geo_nav.evaluation.messages import LATCHED, LATCHED_TOPICS
from geo_nav.evaluation.ros_types import typestore
from geo_nav.nodes.serialization import serialized, type_name
from geo_nav.replay.errors import ReplayError


class RunBag:
    """Writes messages of rclpy into a new MCAP bag; a context manager.

    Args:
        path: folder of the bag; it may not exist yet.

    Raises:
        ReplayError: it exists.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        except WriterError as error:
            raise ReplayError(f"{path} exists: a bag is written into a new folder") from error
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> RunBag:
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, topic: str, message: Any, received: int) -> bytes:
        """Writes a message, and gives its bytes (CDR).

        Args:
            topic: its topic; all messages of a topic have one type.
            message: of rclpy.
            received: the bag's time of it, ns.
        """
        data = serialized(message)
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic,
                type_name(message),
                typestore=typestore(),
                offered_qos_profiles=[LATCHED] if topic in LATCHED_TOPICS else [],
            )
        self._writer.write(self._connections[topic], received, data)
        return data
