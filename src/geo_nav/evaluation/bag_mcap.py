"""An MCAP file, also one that was cut off or damaged: every chunk that is whole is read.

The format: https://mcap.dev/spec. A file's records are walked once without unpacking a chunk. The index at its end,
which a recording that was cut off lacks, only serves to find the way again behind a damaged record.
"""

from __future__ import annotations

import heapq
import itertools
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Footer, Schema

from geo_nav.evaluation.bag_files import Definition, RawMessage, TopicInfo, tell_once, unpacked_message
from geo_nav.evaluation.errors import EvaluationError

_MAGIC_SIZE = 8
_RECORD = struct.Struct("<BQ")  # opcode, length
_CHUNK = struct.Struct("<QQQII")  # begin, end, unpacked size, CRC, length of the compression's name
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, receive time, publish time
_INDEX = struct.Struct("<HI")  # channel, bytes of 16 a message
_FOOTER_SIZE = _RECORD.size + 20 + _MAGIC_SIZE
_RUN_SIZE = 4 * 2**20
_BROKEN_RECORD = (McapError, struct.error, UnicodeDecodeError)


class _DamagedError(Exception):
    """A part of the file cannot be used."""


@dataclass
class _Block:
    """Messages that lie together: a chunk, or a run of records outside of chunks.

    Attributes:
        begin: first receive time, ns.
        end: last receive time, ns.
        offset: of its content in the file.
        size: of its content, as stored.
        compression: ``""``, ``zstd`` or ``lz4``.
        unpacked: size of the content unpacked; None of a run, and where the file ends inside of a chunk.
        crc: of the content unpacked; 0 where it was not taken.
        loose: whether it is a run of records outside of chunks.
        counts: messages of each channel; empty where not known yet.
    """

    begin: int
    end: int
    offset: int
    size: int
    compression: str = ""
    unpacked: int | None = None
    crc: int = 0
    loose: bool = False
    counts: Counter[int] = field(default_factory=Counter)


class McapFile:
    """An MCAP file that is open; see :class:`~geo_nav.evaluation.bag_files.StorageFile`.

    Args:
        path: of the file.
        name: what the problems call it.
        problems: what is lost is said here, also while messages are read.

    Raises:
        EvaluationError: the file cannot be read.
    """

    def __init__(self, path: Path, name: str, problems: list[str]) -> None:
        self._name, self._problems = name, problems
        self._size = path.stat().st_size
        self._file = path.open("rb")
        self._blocks: list[_Block] = []
        self._channels: dict[int, Channel] = {}
        self._schemas: dict[int, Schema] = {}
        self._promised = 0
        try:
            self._walk()
            self._look_into_unknown_blocks()
        except OSError as error:
            self._file.close()
            raise EvaluationError(f"{name} cannot be read: {error.strerror}") from error
        self.begin = min((b.begin for b in self._blocks), default=None)
        self.end = max((b.end for b in self._blocks), default=None)
        self._topic_of: dict[int, str] = {}
        self.topics, self.definitions = self._sort_channels()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of some topics in the order of receive time; in memory are blocks that overlap in time."""
        wanted = {channel: topic for channel, topic in self._topic_of.items() if topic in topics}
        blocks = [b for b in self._blocks if any(channel in wanted for channel in b.counts)]
        waiting: list[tuple[int, int, str, bytes]] = []
        serial = itertools.count()
        last, late = 0, 0
        for block in sorted(blocks, key=lambda b: b.begin):
            while waiting and waiting[0][0] < block.begin:
                last, _, topic, data = heapq.heappop(waiting)
                yield topic, last, data
            for channel, received, data in self._whole_messages(block):
                if channel in wanted and received >= last:
                    heapq.heappush(waiting, (received, next(serial), wanted[channel], data))
                elif channel in wanted:
                    late += 1
        while waiting:
            received, _, topic, data = heapq.heappop(waiting)
            yield topic, received, data
        if late:
            tell_once(
                self._problems, f"{self._name}: {late} message(s) are older than their chunk says and are left out"
            )

    def _walk(self) -> None:
        """Finds the blocks; a damaged record is passed over where the index names a chunk behind it."""
        offset, opcode = _MAGIC_SIZE, 0
        while opcode != Opcode.FOOTER:
            try:
                opcode, offset = self._take_record(offset)
            except (_DamagedError, *_BROKEN_RECORD) as error:
                chunk = min((c for c in self._indexed_chunks() if offset < c < self._size), default=None)
                if chunk is None:
                    self._problems.append(f"{self._name} {error}{self._after()}: what followed is lost")
                    return
                self._problems.append(
                    f"{self._name} is damaged from byte {offset} to {chunk}{self._after()}: what lies there is lost"
                )
                offset = chunk

    def _take_record(self, offset: int) -> tuple[int, int]:
        """Notes the record at an offset; its opcode and the offset of the next."""
        header = self._read(offset, _RECORD.size)
        if len(header) < _RECORD.size:
            raise _DamagedError("has no end, its recording was cut off")
        opcode, length = _RECORD.unpack(header)
        at, end = offset + _RECORD.size, offset + _RECORD.size + length
        if opcode == 0 or Opcode.DATA_END < opcode < 0x80:
            raise _DamagedError(f"is damaged at byte {offset}")
        if opcode == Opcode.CHUNK:
            self._take_chunk(at, length)
        elif end > self._size:
            raise _DamagedError(f"ends inside the record at byte {offset}, its recording was cut off")
        elif opcode == Opcode.MESSAGE:
            self._take_message(offset, length)
        elif opcode == Opcode.MESSAGE_INDEX and self._blocks:
            channel, size = _INDEX.unpack(self._read(at, _INDEX.size))
            if size:
                self._blocks[-1].counts[channel] += size // 16
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            self._take_definition(opcode, self._read(at, length))
        elif opcode == Opcode.STATISTICS:
            (self._promised,) = struct.unpack("<Q", self._read(at, 8))
        return opcode, end

    def _take_chunk(self, at: int, length: int) -> None:
        begin, end, unpacked, crc, name_length = _CHUNK.unpack(self._read(at, _CHUNK.size))
        rest = self._read(at + _CHUNK.size, min(name_length, 64) + 8)
        compression = rest[:-8].decode()
        (size,) = struct.unpack("<Q", rest[-8:])
        offset = at + _CHUNK.size + len(rest)
        if offset + size != at + length:
            raise _DamagedError(f"is damaged at byte {at}")
        if offset + size <= self._size:
            self._blocks.append(_Block(begin, end, offset, size, compression, unpacked, crc))
            return
        block = _Block(begin, end, offset, self._size - offset, compression)
        if self._look_into(block) and block.counts:
            self._blocks.append(block)
        raise _DamagedError(f"ends inside the chunk at byte {at}, its recording was cut off")

    def _take_message(self, offset: int, length: int) -> None:
        """A message outside of chunks joins the run that it follows."""
        channel, _, received, _ = _MESSAGE.unpack(self._read(offset + _RECORD.size, _MESSAGE.size))
        run = self._blocks[-1] if self._blocks else None
        end = offset + _RECORD.size + length
        if run is None or not run.loose or run.offset + run.size != offset or run.size > _RUN_SIZE:
            run = _Block(received, received, offset, 0, loose=True)
            self._blocks.append(run)
        run.begin, run.end = min(run.begin, received), max(run.end, received)
        run.size = end - run.offset
        run.counts[channel] += 1

    def _take_definition(self, opcode: int, data: bytes) -> None:
        stream = ReadDataStream(BytesIO(data))
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(stream)
            self._schemas[schema.id] = schema
        else:
            channel = Channel.read(stream)
            self._channels[channel.id] = channel

    def _look_into_unknown_blocks(self) -> None:
        """Opens the chunks that have no index of messages, or channels that no record outside of chunks names."""
        for block in list(self._blocks):
            unknown = [channel for channel in block.counts if channel not in self._channels]
            if (unknown or not block.counts) and not (self._look_into(block) and block.counts):
                self._blocks.remove(block)

    def _look_into(self, block: _Block) -> bool:
        """Notes the definitions and counts inside of a block; False where it is damaged, which is told."""
        counts: Counter[int] = Counter()
        times: list[int] = []
        try:
            for opcode, data in self._records(block):
                if opcode == Opcode.MESSAGE:
                    channel, _, received, _ = _MESSAGE.unpack_from(data)
                    counts[channel] += 1
                    times.append(received)
                elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                    self._take_definition(opcode, data)
        except (_DamagedError, *_BROKEN_RECORD) as error:
            self._tell_damage(block, error)
            return False
        block.counts = counts
        block.begin, block.end = min(times, default=block.begin), max(times, default=block.end)
        return True

    def _whole_messages(self, block: _Block) -> Iterator[tuple[int, int, bytes]]:
        """Channel, receive time and bytes of a block's messages."""
        try:
            for opcode, data in self._records(block):
                if opcode == Opcode.MESSAGE:
                    channel, _, received, _ = _MESSAGE.unpack_from(data)
                    yield channel, received, unpacked_message(data[_MESSAGE.size :])
        except (_DamagedError, zstandard.ZstdError, struct.error) as error:
            self._tell_damage(block, error)

    def _records(self, block: _Block) -> Iterator[tuple[int, bytes]]:
        """Opcode and content of each record in a block."""
        content, at = self._content(block), 0
        while at + _RECORD.size <= len(content):
            opcode, length = _RECORD.unpack_from(content, at)
            at += _RECORD.size
            if at + length > len(content):
                if block.unpacked is None:
                    return
                raise _DamagedError("a record is longer than its chunk")
            yield opcode, content[at : at + length]
            at += length

    def _content(self, block: _Block) -> bytes:
        """A block's records, unpacked; of a chunk that the file ends in, as far as they go."""
        stored = self._read(block.offset, block.size)
        try:
            content = _unpack(stored, block.compression)
        except (zstandard.ZstdError, RuntimeError) as error:
            raise _DamagedError(f"it cannot be unpacked: {error}") from error
        if block.unpacked is not None and len(content) != block.unpacked:
            raise _DamagedError(f"it unpacks to {len(content)} bytes instead of {block.unpacked}")
        if block.unpacked is not None and block.crc and zlib.crc32(content) != block.crc:
            raise _DamagedError("its checksum is wrong")
        return content

    def _indexed_chunks(self) -> list[int]:
        """Offsets of the chunks by the index at the file's end; empty where there is none."""
        try:
            stream = ReadDataStream(BytesIO(self._read(self._size - _FOOTER_SIZE + _RECORD.size, 20)))
            start = Footer.read(stream).summary_start
            content = self._read(start, self._size - start) if start else b""
            records = self._records(_Block(0, 0, start, len(content)))
            return [
                ChunkIndex.read(ReadDataStream(BytesIO(data))).chunk_start_offset
                for opcode, data in records
                if opcode == Opcode.CHUNK_INDEX
            ]
        except (*_BROKEN_RECORD, OSError, ValueError):
            return []

    def _sort_channels(self) -> tuple[dict[str, TopicInfo], dict[str, Definition]]:
        """The topics that can be used; of several types on one topic, the one with the most messages."""
        counts: Counter[int] = sum((b.counts for b in self._blocks), Counter())
        if counts.total() < self._promised and not self._problems:
            missing = self._promised - counts.total()
            self._problems.append(f"{self._name}: {missing} of {self._promised} message(s) are not found")
        lost = sum(count for channel, count in counts.items() if channel not in self._channels)
        if lost:
            self._problems.append(f"{self._name}: the topic of {lost} message(s) is lost with a damaged chunk")
        topics: dict[str, TopicInfo] = {}
        definitions: dict[str, Definition] = {}
        for number, channel in sorted(self._channels.items(), key=lambda item: -counts[item[0]]):
            schema = self._schemas.get(channel.schema_id)
            if schema is None or channel.message_encoding != "cdr":
                self._problems.append(f"{self._name}: {channel.topic} holds no ROS 2 messages (CDR) and is left out")
                continue
            known = topics.get(channel.topic)
            if known and known.msgtype != schema.name:
                self._problems.append(
                    f"{self._name}: {channel.topic} is {known.msgtype} and {schema.name}, which is left out"
                )
                continue
            topics[channel.topic] = TopicInfo(schema.name, counts[number] + (known.count if known else 0))
            self._topic_of[number] = channel.topic
            if schema.data:
                definitions[schema.name] = Definition(schema.encoding, schema.data.decode(errors="replace"))
        return topics, definitions

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def _after(self) -> str:
        if not self._blocks:
            return ""
        return (
            f", {(max(b.end for b in self._blocks) - min(b.begin for b in self._blocks)) * 1e-9:.1f} s after its begin"
        )

    def _tell_damage(self, block: _Block, error: Exception) -> None:
        begin = min((b.begin for b in self._blocks), default=block.begin)
        tell_once(
            self._problems,
            f"{self._name}: the chunk at byte {block.offset}, from {(block.begin - begin) * 1e-9:.1f} s to "
            f"{(block.end - begin) * 1e-9:.1f} s after the file's begin, is damaged and left out: {error}",
        )


def _unpack(stored: bytes, compression: str) -> bytes:
    """Stored bytes without their compression; of a stream that was cut off, as far as it goes."""
    if compression == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    if compression == "lz4":
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(stored))
    if compression:
        raise _DamagedError(f"its compression {compression!r} is not known")
    return stored
