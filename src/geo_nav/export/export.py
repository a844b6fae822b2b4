"""A recorded run in the formats of other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geo_nav import GeoNavError
from geo_nav.evaluation.bag import read_run
from geo_nav.export.errors import ExportError
from geo_nav.export.options import ExportOptions
from geo_nav.export.registry import format_names, format_writer
from geo_nav.export.run import ExportRun


@dataclass(frozen=True)
class Exported:
    """What an export has written.

    Attributes:
        paths: written, by format.
        failures: why a format was not written, by format.
        notes: what is left out, and why, in words.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def export_run(
    run_dir: Path,
    formats: Sequence[str],
    options: ExportOptions,
    info: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Exported:
    """Writes a run in several formats; one that cannot be written does not stop the others.

    Args:
        run_dir: folder with `bag/` and, optionally, `run.json`.
        formats: names of :func:`~geo_nav.export.format_names`, or ``all``.
        options: what is wanted, and where to.
        info: another `run.json`.
        progress: called with the format that is written next, how many are done, and of how many.

    Raises:
        ExportError: no format is named, one is unknown, or the folder cannot be made.
        EvaluationError: the run cannot be read.
    """
    names = format_names() if "all" in formats else tuple(dict.fromkeys(formats))
    if not names:
        raise ExportError(f"no format is named: use {', '.join(format_names())}, by commas, or all")
    writers = {name: format_writer(name) for name in names}
    recording = read_run(run_dir, info)
    run = ExportRun(recording, options, list(recording.problems))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot write into {options.out}: {error}") from error
    exported = Exported(notes=run.notes)
    for done, (name, write) in enumerate(writers.items()):
        progress(name, done, len(writers))
        try:
            exported.paths[name] = write(run)
        except (GeoNavError, OSError) as error:
            exported.failures[name] = str(error)
    return exported
