"""Bags as they come from the field: any storage of rosbag2, split, compressed, cut off or damaged."""

from __future__ import annotations

import heapq
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

import yaml
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from geo_nav.evaluation.bag_files import (
    STORAGE_SUFFIXES,
    Definition,
    RawMessage,
    StorageFile,
    TopicInfo,
    open_storage,
    tell_once,
)
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.ros_types import typestore

_METADATA = "metadata.yaml"
_IDL_RULE = "=" * 80 + "\n"


class BagInput:
    """One or more bags as one; :func:`open_bag` makes it, and it is a context manager.

    Attributes:
        topics: by name.
        begin: first receive time, seconds.
        end: last receive time, seconds.
        problems: what could not be read, in words; grows while messages are read.
        typestore: the message types, by the bags' own definitions where they hold them, else by ours.
    """

    def __init__(self, files: Sequence[StorageFile], problems: list[str], resources: ExitStack) -> None:
        self._files, self._resources = files, resources
        self.problems = problems
        self.topics = _joined_topics(files, problems)
        self.begin = min(f.begin for f in files if f.begin is not None) * 1e-9
        self.end = max(f.end for f in files if f.end is not None) * 1e-9
        self.typestore = _joined_types(files, problems)

    def __enter__(self) -> BagInput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        self._resources.close()

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[RawMessage]:
        """Topic, receive time (ns) and CDR bytes of each message of some topics (all when None), in order of that time.

        What is damaged is left out and told in ``problems``. In memory are only blocks that overlap in time.
        """
        wanted = self._wanted(topics)
        of_files = (
            f.messages([t for t in wanted if t in f.topics and f.topics[t].msgtype == self.topics[t].msgtype])
            for f in self._files
        )
        return heapq.merge(*of_files, key=lambda item: item[1])

    def decoded(self, topics: Iterable[str] | None = None) -> Iterator[tuple[str, float, Any]]:
        """Topic, receive time (seconds) and message, as :meth:`messages`; those that cannot be decoded are left out."""
        lost: Counter[str] = Counter()
        first: dict[str, str] = {}
        for topic, received, data in self.messages(topics):
            try:
                message = self.decode(topic, data)
            except EvaluationError as error:
                lost[topic] += 1
                first.setdefault(topic, str(error))
                continue
            yield topic, received * 1e-9, message
        for topic, count in lost.items():
            tell_once(self.problems, f"{count} message(s) on {topic} are left out, the first because {first[topic]}")

    def decode(self, topic: str, data: bytes) -> Any:
        """A topic's message from its CDR bytes.

        Raises:
            EvaluationError: the bytes are no such message, or its type is not known.
        """
        kind = self.topics[topic].msgtype
        if kind not in self.typestore.types:
            raise EvaluationError(f"neither the bag nor geo_nav defines {kind} in a form that can be read")
        try:
            return self.typestore.deserialize_cdr(data, kind)
        except (SerdeError, TypesysError, KeyError, IndexError, AssertionError, MemoryError) as error:
            raise EvaluationError(f"it is no {kind}: {error!r}") from error

    def _wanted(self, topics: Iterable[str] | None) -> Collection[str]:
        if topics is None:
            return self.topics
        return [topic for topic in dict.fromkeys(topics) if topic in self.topics]


def open_bag(paths: Path | str | Sequence[Path | str]) -> BagInput:
    """Opens one or more bags to be read as one.

    Args:
        paths: of each a folder of rosbag2 (MCAP or sqlite3, split, compressed), or a storage file alone.

    Raises:
        EvaluationError: a path does not exist or is no bag, or none of them holds a message.
    """
    given = [paths] if isinstance(paths, Path | str) else list(paths)
    problems: list[str] = []
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="geo_nav_bag_")))
        files: list[StorageFile] = []
        for bag in map(Path, given):
            for number, path in enumerate(_storage_files(bag, problems)):
                try:
                    folder = scratch / f"{len(files)}_{number}"
                    folder.mkdir()
                    files.append(open_storage(path, problems, folder))
                    stack.callback(files[-1].close)
                except EvaluationError as error:
                    problems.append(str(error))
        names = ", ".join(map(str, given))
        told = "".join(f"\n  {problem}" for problem in problems)
        if not files:
            raise EvaluationError(f"no bag can be read in {names}:{told}")
        if all(f.begin is None for f in files):
            raise EvaluationError(f"the bag {names} holds no message that can be read{':' if told else ''}{told}")
        return BagInput(files, problems, stack.pop_all())


def find_bags(path: Path) -> list[Path]:
    """The bags at a path: itself where it is one, else those in a folder and in its folders, in order of name.

    A folder without metadata is one bag if its files are numbered as rosbag2 splits them (``x_0``, ``x_1``, …); else
    each of its files is a bag.

    Raises:
        EvaluationError: there is no such path, or no bag in it.
    """
    path = Path(path)
    if not path.exists():
        raise EvaluationError(f"there is no bag at {path}: no such file or folder")
    if path.is_file() or (path / _METADATA).is_file():
        return [path]
    files = _storage_in(path)
    if files and _is_split(files):
        return [path]
    found = files + [bag for folder in sorted(path.iterdir()) if folder.is_dir() for bag in _bags_below(folder)]
    if not found:
        raise EvaluationError(f"{path} holds no bag: neither {_METADATA} nor a file {', '.join(STORAGE_SUFFIXES)}")
    return found


def _bags_below(folder: Path) -> list[Path]:
    try:
        return find_bags(folder)
    except EvaluationError:
        return []


def _storage_files(bag: Path, problems: list[str]) -> list[Path]:
    """The storage files of a bag, by its metadata where there is any."""
    if not bag.exists():
        raise EvaluationError(f"there is no bag at {bag}: no such file or folder")
    if bag.is_file():
        return [bag]
    there = _storage_in(bag)
    if not (bag / _METADATA).is_file():
        if not there:
            raise EvaluationError(f"{bag} is no bag: neither {_METADATA} nor a file {', '.join(STORAGE_SUFFIXES)}")
        problems.append(f"{bag} has no {_METADATA} (was its recording cut off?): its files are read without it")
        return there
    try:
        metadata = yaml.safe_load((bag / _METADATA).read_text(encoding="utf-8"))
        named = [bag / PurePath(name).name for name in metadata["rosbag2_bagfile_information"]["relative_file_paths"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        problems.append(f"{bag / _METADATA} cannot be used, the files beside it are read: {error!r}")
        return there
    problems.extend(f"{path} is missing, though {_METADATA} names it" for path in named if not path.is_file())
    problems.extend(f"{path} is not read: {_METADATA} does not name it" for path in there if path not in named)
    return [path for path in named if path.is_file()]


def _storage_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.name.endswith(STORAGE_SUFFIXES))


def _is_split(files: Sequence[Path]) -> bool:
    stems = {path.name.split(".")[0] for path in files}
    prefixes = {stem.rpartition("_")[0] for stem in stems}
    return len(prefixes) == 1 and stems == {f"{next(iter(prefixes))}_{k}" for k in range(len(files))}


def _joined_topics(files: Sequence[StorageFile], problems: list[str]) -> dict[str, TopicInfo]:
    """Topics of all files; of several types on one topic, the first file's."""
    topics: dict[str, TopicInfo] = {}
    for name, info in (item for f in files for item in f.topics.items()):
        known = topics.get(name)
        if known and known.msgtype != info.msgtype:
            problems.append(f"{name} is {known.msgtype} in one file and {info.msgtype} in another, which is left out")
            continue
        topics[name] = TopicInfo(info.msgtype, info.count + (known.count if known else 0))
    return topics


def _joined_types(files: Sequence[StorageFile], problems: list[str]) -> Typestore:
    types: dict[str, Any] = {}
    for kind, definition in (item for f in files for item in f.definitions.items()):
        try:
            found = _types_of(kind, definition)
        except (TypesysError, ValueError, KeyError, IndexError):
            # Services and actions, which nobody here reads; whoever asks for such a topic is told.
            continue
        if kind in types and types[kind] != found[kind]:
            problems.append(f"{kind} is defined differently in two files: the first is used")
        types = {**found, **types}
    complete = all(info.msgtype in types for f in files for info in f.topics.values())
    ours = typestore().fielddefs
    for candidate in (types if complete else {**ours, **types}, dict(ours)):
        store = get_typestore(Stores.EMPTY)
        try:
            store.register(candidate)
            return store
        except TypesysError as error:
            problems.append(f"the bag's definitions of its messages cannot be used: {error}")
    raise EvaluationError("the message types cannot be registered")


def _types_of(kind: str, definition: Definition) -> dict[str, Any]:
    """The types of a definition, by name."""
    if definition.encoding == "ros2msg":
        return dict(get_types_from_msg(definition.text, kind))
    types: dict[str, Any] = {}
    for part in definition.text.split(_IDL_RULE):
        types.update(get_types_from_idl(part.partition("\n")[2] if part.startswith("IDL: ") else part))
    return types
