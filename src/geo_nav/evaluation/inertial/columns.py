"""Columns of numbers from text files, plain, in gzip or inside a zip archive."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError

Array = npt.NDArray[np.float64]


def csv_columns(path: Path, names: Sequence[str]) -> Array:
    """Columns of a CSV file with a header.

    Args:
        path: of the file; ``.gz`` is unpacked.
        names: of the columns, as in the header but for blanks around them.

    Returns:
        (N, number of names).

    Raises:
        EvaluationError: the file cannot be read, lacks a column or a row, or a value is no finite number.
    """
    reader = csv.reader(io.StringIO(file_text(path)))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in names if name not in header]
    if missing:
        raise EvaluationError(f"{path}: no column {', '.join(missing)}; there are {', '.join(header) or 'none'}")
    indices = [header.index(name) for name in names]
    rows = []
    for number, row in enumerate(reader, start=2):
        if not row:
            continue
        try:
            rows.append([float(row[k]) for k in indices])
        except (ValueError, IndexError) as error:
            raise EvaluationError(f"{path}, line {number}: {error}") from error
    return _checked(rows, str(path))


def text_columns(
    path: Path, count: int, member: str | None = None, skip: int = 0, delimiter: str | None = None
) -> Array:
    """A text file of numbers.

    Args:
        path: of the file, or of a zip archive.
        count: columns that there must be.
        member: name of the file inside the archive.
        skip: lines of header.
        delimiter: between numbers; blanks when None.

    Returns:
        (N, count).

    Raises:
        EvaluationError: the file cannot be read, a row is of another length, or a value is no finite number.
    """
    name = str(path) if member is None else f"{path}:{member}"
    rows = []
    for number, line in enumerate(file_text(path, member).splitlines()[skip:], start=skip + 1):
        words = line.split(delimiter)
        if not line.strip():
            continue
        if len(words) != count:
            raise EvaluationError(f"{name}, line {number}: {len(words)} numbers, need {count}")
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            raise EvaluationError(f"{name}, line {number}: {error}") from error
    return _checked(rows, name)


def file_text(path: Path, member: str | None = None) -> str:
    """The text of a file, unpacked.

    Args:
        path: of the file (``.gz`` is unpacked), or of a zip archive.
        member: name of the file inside the archive.

    Raises:
        EvaluationError: the file cannot be read.
    """
    name = str(path) if member is None else f"{path}:{member}"
    try:
        if member is not None:
            with zipfile.ZipFile(path) as archive:
                return archive.read(member).decode("ascii")
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return file.read()
        return path.read_text(encoding="utf-8")
    except (OSError, EOFError, KeyError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error) as error:
        raise EvaluationError(f"{name} cannot be read: {error}") from error


def _checked(rows: list[list[float]], name: str) -> Array:
    if len(rows) < 2:
        raise EvaluationError(f"{name}: {len(rows)} rows of numbers, need two or more")
    array = np.array(rows)
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise EvaluationError(f"{name}: a number of row {bad + 1} is not finite")
    return array
