"""One rosbag2 folder (MCAP, its chunks compressed by zstd): geo_nav's topics beside those of the bags that went in."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from rosbags.interfaces import Connection, Qos, QosDurability
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, ReaderError, StoragePlugin, Writer
from rosbags.typesys import TypesysError

from geo_nav.evaluation import EvaluationConfig
from geo_nav.evaluation.bag_input import BagInput, open_bag
from geo_nav.evaluation.messages import LATCHED, LATCHED_TOPICS
from geo_nav.evaluation.timing import clocks_agree
from geo_nav.export.errors import ExportError
from geo_nav.export.registry import register_format
from geo_nav.export.run import ExportRun

_NAME = "result_bag"
_TRANSFORMS = ("/tf", "/tf_static")
_SHARED = {*_TRANSFORMS, "/diagnostics", "/rosout"}
"""Topics that several publish: those of both sides are kept."""
_SHARED_DEPTH = 100
_IMAGES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}

_Message = tuple[int, BagInput, str, bytes]
"""Time (ns), the bag that it comes from, topic, CDR bytes."""


@register_format("bag")
def write(run: ExportRun) -> list[Path]:
    """Writes the folder `result_bag`; a result bag that is there already is replaced.

    In the order of the receive times of the input. Of a topic that both sides have, geo_nav's is taken from the run and
    a sensor's from the input. Transforms and diagnostics are joined; the input's transforms to frames that geo_nav
    publishes itself are left out, for a frame has one parent. Latched topics stay latched, and what they said before
    the stretch is said at its beginning.

    Raises:
        ExportError: the folder holds something else, or no message lies in the stretch.
        EvaluationError: a bag cannot be read.
    """
    path = run.options.out / _NAME
    _make_room(path)
    folders = [run.recording.run_dir / "bag", *run.inputs]
    with ExitStack() as stack:
        ours = stack.enter_context(open_bag(folders[0]))
        theirs = stack.enter_context(open_bag(folders[1:])) if run.inputs else None
        offered = _offered(folders)
        begin, end = _window(run)
        latched = {t for t, qos in offered.items() if qos[0].durability == QosDurability.TRANSIENT_LOCAL}
        streams = [_messages(ours, _wanted(run, ours, theirs, True), _bag_time(run))]
        if theirs is not None:
            inputs = _messages(theirs, _wanted(run, theirs, ours, False), int)
            streams.append(_without_transforms(inputs, _child_frames(ours)))
        merged = heapq.merge(*streams, key=lambda item: item[0])
        kept = _in_stretch(merged, begin, end, latched | LATCHED_TOPICS)
        try:
            _write(path, kept, offered, run.notes)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        for bag in (ours, theirs):
            run.notes.extend(bag.problems if bag is not None else ())
    return [path]


def _make_room(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir() or {file.name for file in path.iterdir()} - {"metadata.yaml", f"{_NAME}.mcap"}:
        raise ExportError(f"{path} is there and no result bag: move it away, or write elsewhere")
    shutil.rmtree(path)


def _offered(folders: Sequence[Path]) -> dict[str, list[Qos]]:
    """What the topics were offered with, as far as the bags say."""
    offered: dict[str, list[Qos]] = {}
    for folder in folders:
        try:
            with Reader(folder) as reader:
                found = {c.topic: c.ext.offered_qos_profiles for c in reader.connections if c.ext.offered_qos_profiles}
        except (ReaderError, OSError):
            # A damaged bag, which open_bag tells about.
            continue
        offered = {**found, **offered}
    return offered


def _wanted(run: ExportRun, bag: BagInput, other: BagInput | None, ours: bool) -> list[str]:
    """Topics that are taken from a bag.

    Not camera frames, where they are not wanted; and of the topics that both bags have, geo_nav's from the run, sensors
    from the input, and those that are shared from both.
    """

    def taken(topic: str, kind: str) -> bool:
        of_geo_nav = topic.startswith("/geo_nav/")
        if kind in _IMAGES and not of_geo_nav and not run.options.images:
            return False
        if other is None or topic not in other.topics:
            return True
        return other.topics[topic].msgtype == kind if topic in _SHARED else of_geo_nav == ours

    return [topic for topic, info in bag.topics.items() if taken(topic, info.msgtype)]


def _bag_time(run: ExportRun) -> Callable[[int], int]:
    """Receive times of the run's own bag (ns) → those of the input.

    They are the same, unless the run was recorded while the input was played: then the stamps of the odometry tell.
    """
    odometry = run.recording.odometry
    if not run.inputs or clocks_agree(odometry, EvaluationConfig().max_latency):
        return int
    received, stamps = odometry.received, odometry.poses.stamps

    def to_bag_time(time: int) -> int:
        seconds = time * 1e-9
        nearest = float(np.clip(seconds, received[0], received[-1]))
        return round((float(np.interp(nearest, received, stamps)) + seconds - nearest) * 1e9)

    return to_bag_time


def _window(run: ExportRun) -> tuple[float, float]:
    """Receive times of the wanted stretch, ns."""
    options, odometry = run.options, run.recording.odometry
    to_bag_time = _bag_time(run)
    if options.begin <= 0.0 and np.isinf(options.end):
        return -np.inf, np.inf
    inside = np.flatnonzero((odometry.poses.stamps >= run.window[0]) & (odometry.poses.stamps <= run.window[1]))
    if len(inside) == 0:
        raise ExportError(f"{run.recording.run_dir} has no odometry between these times")
    first, last = (round(odometry.received[k] * 1e9) for k in (inside[0], inside[-1]))
    return to_bag_time(first), to_bag_time(last)


def _messages(bag: BagInput, topics: Sequence[str], to_bag_time: Callable[[int], int]) -> Iterator[_Message]:
    for topic, received, data in bag.messages(topics):
        yield to_bag_time(received), bag, topic, data


def _child_frames(bag: BagInput) -> set[str]:
    return {t.child_frame_id.lstrip("/") for _, _, m in bag.decoded(_TRANSFORMS) for t in m.transforms}


def _without_transforms(messages: Iterator[_Message], frames: set[str]) -> Iterator[_Message]:
    """Leaves out the transforms to some frames."""
    for time, bag, topic, data in messages:
        if topic in _TRANSFORMS:
            message = bag.decode(topic, data)
            others = [t for t in message.transforms if t.child_frame_id.lstrip("/") not in frames]
            if len(others) < len(message.transforms):
                data = bytes(
                    bag.typestore.serialize_cdr(replace(message, transforms=others), bag.topics[topic].msgtype)
                )
            if not others:
                continue
        yield time, bag, topic, data


def _in_stretch(messages: Iterator[_Message], begin: float, end: float, latched: set[str]) -> Iterator[_Message]:
    for time, bag, topic, data in messages:
        if time > end:
            return
        if time >= begin:
            yield time, bag, topic, data
        elif topic in latched:
            yield int(begin), bag, topic, data


def _write(path: Path, messages: Iterator[_Message], offered: dict[str, list[Qos]], notes: list[str]) -> None:
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    connections: dict[str, Connection | None] = {}
    with writer:
        for time, bag, topic, data in messages:
            if topic not in connections:
                connections[topic] = _connect(writer, bag, topic, offered, notes)
            connection = connections[topic]
            if connection is not None:
                writer.write(connection, time, data)
        if not any(connections.values()):
            raise ExportError("no message of the run lies in this stretch")


def _connect(
    writer: Writer, bag: BagInput, topic: str, offered: dict[str, list[Qos]], notes: list[str]
) -> Connection | None:
    """A topic of the written bag; None, and a note, where its type is not known."""
    profiles = offered.get(topic) or ([LATCHED] if topic in LATCHED_TOPICS else [])
    if topic in _SHARED:
        # What one side said must not be pushed out by what the other says.
        profiles = [qos._replace(depth=max(qos.depth, _SHARED_DEPTH)) for qos in profiles]
    try:
        return writer.add_connection(
            topic, bag.topics[topic].msgtype, typestore=bag.typestore, offered_qos_profiles=profiles
        )
    except (TypesysError, KeyError) as error:
        notes.append(f"{topic} is left out of the result bag: its type is not defined in the input ({error})")
        return None
