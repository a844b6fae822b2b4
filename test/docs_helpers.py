"""The commands that the documentation tells to type, as words; and one that runs beside a test."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmark" / "RESULTS.md", *sorted(ROOT.glob("docs/**/*.md"))
)  # fmt: skip
SEPARATORS = {"&&", "||", ";", "&", "|"}

_FENCE = re.compile(r"^( *)```(\w*)")
_SPAN = re.compile(r"(?<!`)`((?:geo-nav|make) [^`]+)`")
_ASSIGNMENT = re.compile(r"^[A-Z_][A-Z0-9_]*=")


@dataclass(frozen=True)
class Command:
    """One command: where it stands, the variables set before it, and its words."""

    page: str
    line: int
    variables: tuple[str, ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join([*self.variables, *self.words])

    @property
    def where(self) -> str:
        """For a message."""
        return f"{self.page}:{self.line}: {self}"


def lines_of(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Number, text and language of each line: None outside of a fenced block, empty where a block names none."""
    language: str | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence:
            language = fence[2] if language is None else None
        else:
            yield number, line, language


def commands(path: Path) -> Iterator[Command]:
    """The commands in the ```bash blocks of a page; a line that ends in a backslash or a quote goes on."""
    page, text = str(path.relative_to(ROOT)), ""
    for number, line, language in lines_of(path):
        if language not in ("bash", "sh", "console", "shell"):
            assert not text, f"{page}:{number}: a command that does not end: {text}"
            continue
        text += line
        if line.endswith("\\"):
            text = text[:-1] + " "
            continue
        try:
            words = _words(text)
        except ValueError:  # a quotation that goes on
            text += "\n"
            continue
        yield from _split(page, number, words)
        text = ""


def spans(path: Path) -> Iterator[Command]:
    """The commands in `inline code`, which may lack their arguments."""
    for number, line, language in lines_of(path):
        if language is None:
            for text in _SPAN.findall(line):
                yield from _split(str(path.relative_to(ROOT)), number, _words(text))


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    return list(lexer)


def _split(page: str, number: int, words: list[str]) -> Iterator[Command]:
    part: list[str] = []
    for word in [*words, ";"]:
        if word not in SEPARATORS:
            part.append(word)
            continue
        variables = [w for w in part if _ASSIGNMENT.match(w)] if part and _ASSIGNMENT.match(part[0]) else []
        if part[len(variables) :]:
            yield Command(page, number, tuple(variables), tuple(part[len(variables) :]))
        part = []


class Background:
    """`geo-nav` with these words in a process of its own, with its output in memory; killed at the end of the block."""

    def __init__(self, words: Sequence[str], settings: Mapping[str, str]) -> None:
        path = f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "geo_nav.cli", *words],
            stdout=self._file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, **settings},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._file.close()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return os.pread(self._file.fileno(), 1 << 24, 0).decode(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 120.0) -> None:
        """Waits until a regular expression is found in the output."""
        deadline = time.monotonic() + seconds
        while re.search(pattern, self.output) is None:
            assert time.monotonic() < deadline, f"no {pattern!r} after {seconds} s:\n{self.output}"
            time.sleep(0.1)

    def wait(self, seconds: float) -> int:
        """Its exit status."""
        return self._process.wait(timeout=seconds)

    def interrupt(self) -> int:
        """Ctrl-C, and its exit status."""
        self._process.send_signal(signal.SIGINT)
        return self.wait(60.0)
