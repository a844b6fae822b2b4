"""What has been measured is kept: a cell is one table entry's raw results, in one file, made once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import geo_nav
from geo_nav.evaluation.errors import EvaluationError

_ROOMS = ("geodesy", "site", "rendering", "matching", "registration", "evaluation/bench", "simulation")
"""Rooms of the source whose change makes results old."""
_PRESENTATION = ("cells", "curves", "options", "pictures", "plan", "report", "run", "sources", "tables")
"""Modules of the bench that only choose, join and show results."""


@cache
def source_digest() -> str:
    """Of the source that results depend on: a commit's name would not see an edit that is not committed."""
    digest = hashlib.sha256(geo_nav.__version__.encode())
    root = Path(geo_nav.__file__).parent
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            if room == "evaluation/bench" and path.stem in _PRESENTATION:
                continue
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class CellStore:
    """Cells by key, one JSON file each; an interrupted bench goes on, and two processes may share the folder.

    Args:
        folder: of the files; made.

    Raises:
        EvaluationError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(f"the folder {folder} cannot be made: {error.strerror}") from error

    def get(self, name: str, options: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The cell, made only where it is not there.

        Args:
            name: beginning of the file's name.
            options: all that the cell depends on besides the source; JSON.
            make: its content; JSON.

        Raises:
            EvaluationError: the cell cannot be written.
        """
        path = self.path(name, options)
        found = self._read(path)
        if found is not None:
            return found
        content = make()
        # Written aside and renamed: another process never reads half a cell.
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(json.dumps({"options": options, "content": content}, indent=1), encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise EvaluationError(f"{path} cannot be written: {error.strerror}") from error
        return content

    def has(self, name: str, options: dict[str, Any]) -> bool:
        """Whether the cell is there."""
        return self._read(self.path(name, options)) is not None

    def path(self, name: str, options: dict[str, Any]) -> Path:
        """File of a cell."""
        text = json.dumps([source_digest(), name, options], sort_keys=True)
        return self._folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"

    @staticmethod
    def _read(path: Path) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["content"]
        except (OSError, ValueError, KeyError):
            return None
        return content
