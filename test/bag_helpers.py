"""Small bags of every storage, whose messages are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from geo_nav.evaluation.messages import imu, nav_sat_fix
from geo_nav.evaluation.ros_types import typestore
from geo_nav.geodesy import Pose

START = 1_700_000_000.0
IMU, GPS = "/imu/data", "/gps/fix"


def messages(count: int, start: float = START) -> list[tuple[str, object, float]]:
    """IMU at 100 Hz and GPS at 10 Hz; each acceleration's z is the message's number."""
    out: list[tuple[str, object, float]] = []
    for k in range(count):
        t = start + k * 0.01
        out.append((IMU, imu(t, np.array([0.0, 0.0, k]), np.zeros(3), Pose.identity(), np.eye(3)), t))
        if k % 10 == 0:
            out.append((GPS, nav_sat_fix(t, 48.1, 11.5, 500.0 + k, np.eye(3)), t + 0.001))
    return out


def write_bag(
    path: Path,
    content: Sequence[tuple[str, object, float]],
    plugin: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """A bag with some messages, in the order given."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, object] = {}
        for topic, message, received in content:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
            writer.write(connections[topic], round(received * 1e9), typestore().serialize_cdr(message, kind))
    return path


def write_chunked(
    path: Path,
    content: Sequence[tuple[str, object, float]],
    compression: str = "",
    chunk_size: int = 20_000,
    **options: bool,
) -> Path:
    """A lone MCAP file of many chunks (or none), by the mcap library."""
    from mcap.writer import CompressionType
    from mcap.writer import Writer as McapWriter

    kinds = {"": CompressionType.NONE, "lz4": CompressionType.LZ4, "zstd": CompressionType.ZSTD}
    with path.open("wb") as file:
        writer = McapWriter(file, chunk_size=chunk_size, compression=kinds[compression], **options)
        writer.start("ros2")
        channels: dict[str, int] = {}
        for k, (topic, message, received) in enumerate(content):
            kind = message.__msgtype__
            if topic not in channels:
                text, _ = typestore().generate_msgdef(kind, ros_version=2)
                schema = writer.register_schema(kind, "ros2msg", text.encode())
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            time = round(received * 1e9)
            data = bytes(typestore().serialize_cdr(message, kind))
            writer.add_message(channels[topic], time, data, time, k)
        writer.finish()
    return path
