"""One storage file of a bag: which kind it is, and the two sorts that can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import zstandard

from geo_nav.evaluation.errors import EvaluationError

RawMessage = tuple[str, int, bytes]
"""Topic, receive time (ns), CDR bytes."""

STORAGE_SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
_MCAP, _SQLITE, _ZSTD, _ROS1 = b"\x89MCAP0\r\n", b"SQLite format 3\x00", b"\x28\xb5\x2f\xfd", b"#ROSBAG"


@dataclass(frozen=True)
class TopicInfo:
    """A topic of a bag.

    Attributes:
        msgtype: for example ``sensor_msgs/msg/Imu``.
        count: of its messages, as the bag's index says.
    """

    msgtype: str
    count: int


@dataclass(frozen=True)
class Definition:
    """How a message type is defined in the bag.

    Attributes:
        encoding: ``ros2msg``, ``ros2idl`` or ``omgidl``.
        text: the definition, with those of the types inside.
    """

    encoding: str
    text: str


class StorageFile(Protocol):
    """A storage file that is open.

    Attributes:
        topics: by name.
        definitions: by message type; types without one are missing.
        begin: first receive time, ns; None where there is no message.
        end: last receive time, ns; None where there is no message.
    """

    topics: dict[str, TopicInfo]
    definitions: dict[str, Definition]
    begin: int | None
    end: int | None

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of some topics in the order of receive time; damaged ones are left out and told."""

    def close(self) -> None:
        """Closes the file."""


def open_storage(path: Path, problems: list[str], scratch: Path) -> StorageFile:
    """Opens a storage file; its first bytes say what it is.

    Args:
        path: of the file.
        problems: what is lost is said here, also later while messages are read.
        scratch: a folder for files that must be unpacked first.

    Raises:
        EvaluationError: the file cannot be read, or is of no kind that is known.
    """
    from geo_nav.evaluation.bag_mcap import McapFile
    from geo_nav.evaluation.bag_sqlite import SqliteFile

    start = _first_bytes(path)
    name = str(path)
    if start.startswith(_ZSTD):
        path = _unpacked(path, problems, scratch)
        start = _first_bytes(path)
    if start.startswith(_MCAP):
        return McapFile(path, name, problems)
    if start.startswith(_SQLITE):
        return SqliteFile(path, name, problems)
    if start.startswith(_ROS1):
        raise EvaluationError(f"{name} is a bag of ROS 1: convert it with `rosbags-convert`")
    if not start:
        raise EvaluationError(f"{name} is empty")
    raise EvaluationError(f"{name} is no bag: it is neither MCAP nor sqlite3")


def tell_once(problems: list[str], problem: str) -> None:
    """Notes what is found while reading; a bag that is read twice has its problems once."""
    if problem not in problems:
        problems.append(problem)


def unpacked_message(data: bytes) -> bytes:
    """A message's CDR bytes, which rosbag2's message mode compresses (no CDR begins as zstd does).

    Raises:
        zstandard.ZstdError: the compressed message is damaged.
    """
    if not data.startswith(_ZSTD):
        return data
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE))
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror}") from error


def _unpacked(path: Path, problems: list[str], scratch: Path) -> Path:
    """The file without the compression that rosbag2's file mode gave it; as far as it goes."""
    out = scratch / path.name.removesuffix(".zstd")
    unpacker = zstandard.ZstdDecompressor()
    try:
        with path.open("rb") as packed, out.open("wb") as file:
            for block in unpacker.read_to_iter(packed):
                file.write(block)
    except zstandard.ZstdError as error:
        problems.append(f"{path} is damaged, what follows in it is lost: {error}")
    except OSError as error:
        raise EvaluationError(f"{path} cannot be unpacked into {scratch}: {error.strerror}") from error
    return out
