"""`geo-nav export`: a recorded run in the formats of other tools."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer


def export(
    run_dir: Annotated[Path, typer.Argument(help="Folder of the run: bag/ and, optionally, run.json.")],
    formats: Annotated[
        str, typer.Option("--format", help="tum, kitti, kml, geojson, gpkg, nmea, bag, rerun, by commas; or all.")
    ] = "all",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; else export/ in the run's.")] = None,
    rate: Annotated[
        float | None, typer.Option(help="Poses a second, Hz; else as recorded (TUM, KITTI), 20 (Rerun) or 5.")
    ] = None,
    begin: Annotated[float, typer.Option("--from", help="Leave out what is before, s from the run's start.")] = 0.0,
    end: Annotated[float, typer.Option("--to", help="Leave out what is after, s from the run's start.")] = math.inf,
    what: Annotated[
        str, typer.Option(help="estimate, truth, scored, fixes, gps, by commas; else whatever the run has.")
    ] = "",
    images: Annotated[bool, typer.Option("--images/--no-images", help="Camera frames in bag and rerun.")] = True,
    info: Annotated[Path | None, typer.Option(help="Another run.json, as make-bag writes one.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Writes a run for evo, Google Earth, QGIS, chart plotters, Foxglove, RViz and Rerun.

    A format that cannot be written is named with its reason, the others are written all the same; exit status 1 then.
    """
    from geo_nav.commands.progress import progress_bar
    from geo_nav.export import ExportOptions, export_run

    options = ExportOptions(out or run_dir / "export", rate, begin, end, _names(what), images)
    with progress_bar(quiet) as bar:
        task = bar.add_task("reading", total=None)
        exported = export_run(
            run_dir,
            _names(formats),
            options,
            info,
            lambda name, done, total: bar.update(task, description=name, completed=done, total=total),
        )
    for path in (path for paths in exported.paths.values() for path in paths):
        typer.echo(f"{_size(path):>9}  {path}")
    for note in dict.fromkeys(exported.notes):
        typer.echo(f"note: {note}", err=True)
    for name, reason in exported.failures.items():
        typer.echo(f"{name} not written: {reason}", err=True)
    if exported.failures:
        raise typer.Exit(1)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _size(path: Path) -> str:
    """Of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = float(sum(file.stat().st_size for file in files))
    for unit in ("B", "kB", "MB"):
        if size < 1000.0:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000.0
    return f"{size:.1f} GB"
