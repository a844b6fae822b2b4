"""A sqlite3 file of rosbag2, also a damaged one: every message on a page that is whole is read."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import zstandard

from geo_nav.evaluation.bag_files import Definition, RawMessage, TopicInfo, tell_once, unpacked_message
from geo_nav.evaluation.errors import EvaluationError

Index = npt.NDArray[np.int64]


class SqliteFile:
    """A sqlite3 file that is open; see :class:`~geo_nav.evaluation.bag_files.StorageFile`.

    Args:
        path: of the file.
        name: what the problems call it.
        problems: what is lost is said here, also while messages are read.

    Raises:
        EvaluationError: the file cannot be read, or its tables are not those of rosbag2.
    """

    def __init__(self, path: Path, name: str, problems: list[str]) -> None:
        self._name, self._problems = name, problems
        self._database = self._open(path)
        try:
            topics = self._database.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()
            self._index = self._read_index()
            self.definitions = self._read_definitions()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise EvaluationError(f"{name} cannot be read as a rosbag2 file: {error}") from error
        self._topic_of: dict[int, str] = {}
        self.topics: dict[str, TopicInfo] = {}
        for number, topic, msgtype, encoding in topics:
            if encoding != "cdr" or topic in self.topics:
                why = "is there twice" if topic in self.topics else f"is not CDR but {encoding}"
                problems.append(f"{name}: {topic} of type {msgtype} {why} and is left out")
                continue
            self._topic_of[number] = topic
            self.topics[topic] = TopicInfo(msgtype, int((self._index[:, 1] == number).sum()))
        nameless = int((~np.isin(self._index[:, 1], [number for number, *_ in topics])).sum())
        if nameless:
            problems.append(f"{name}: {nameless} message(s) name no topic that is there and are left out")
        self.begin = int(self._index[0, 2]) if len(self._index) else None
        self.end = int(self._index[-1, 2]) if len(self._index) else None

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of some topics in the order of receive time; in memory are 24 bytes a message, and one message."""
        wanted = {number: topic for number, topic in self._topic_of.items() if topic in topics}
        lost = 0
        for row, number, received in self._index[np.isin(self._index[:, 1], list(wanted))].tolist():
            try:
                (data,) = self._database.execute("SELECT data FROM messages WHERE id = ?", (row,)).fetchone()
                unpacked = unpacked_message(data)
            except (sqlite3.DatabaseError, TypeError, AttributeError, zstandard.ZstdError):
                lost += 1
                continue
            yield wanted[number], received, unpacked
        if lost:
            tell_once(self._problems, f"{self._name}: {lost} message(s) lie on damaged pages and are left out")

    def _open(self, path: Path) -> sqlite3.Connection:
        """Opens read-only; a log of a recording that was cut off is read where SQLite can."""
        log = path.with_name(path.name + "-wal")
        if log.is_file() and log.stat().st_size:
            database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            try:
                database.execute("SELECT count(*) FROM sqlite_master")
                return database
            except sqlite3.DatabaseError as error:
                database.close()
                self._problems.append(f"{self._name}: the messages in {log.name} are not read: {error}")
        database = sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)
        # Without it SQLite refuses a file that is shorter than its header says; nothing is written.
        database.execute("PRAGMA writable_schema = ON")
        return database

    def _read_index(self) -> Index:
        """(N, 3) row, topic and receive time (ns) of each message, in the order of time."""
        numbers = array("q")
        try:
            self._collect("ASC", numbers)
        except sqlite3.DatabaseError as error:
            found = len(numbers) // 3
            known = set(numbers[::3])
            backwards = array("q")
            with suppress(sqlite3.DatabaseError):
                self._collect("DESC", backwards)
            for k in range(0, len(backwards), 3):
                if backwards[k] not in known:
                    numbers.extend(backwards[k : k + 3])
            self._problems.append(
                f"{self._name} is damaged ({error}): of its messages {found} before and "
                f"{len(numbers) // 3 - found} behind the damage are read"
            )
        index = np.array(numbers, dtype=np.int64).reshape(-1, 3)
        return index[np.lexsort((index[:, 0], index[:, 2]))]

    def _collect(self, order: str, numbers: array[int]) -> None:
        rows = self._database.execute(f"SELECT id, topic_id, timestamp FROM messages NOT INDEXED ORDER BY id {order}")
        lost = 0
        for row in rows:
            if all(isinstance(value, int) for value in row):
                numbers.extend(row)
            else:
                lost += 1
        if lost:
            self._problems.append(f"{self._name}: {lost} message(s) have no time or topic and are left out")

    def _read_definitions(self) -> dict[str, Definition]:
        """The definitions of the message types; files of Humble and older hold none."""
        tables = self._database.execute("SELECT name FROM sqlite_master WHERE name = 'message_definitions'").fetchall()
        if not tables:
            return {}
        rows = self._database.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        )
        return {msgtype: Definition(encoding, text) for msgtype, encoding, text in rows if text}
