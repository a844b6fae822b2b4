"""`geo-nav demo`: a simulated flight through the real node graph, GPS cut on the way, and the report of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import typer

from geo_nav import GeoNavError


def demo(
    duration: float = typer.Option(180.0, min=30.0, max=600.0, help="Length of the flight, seconds."),
    gps_cut: float = typer.Option(10.0, min=2.0, help="When GPS is cut, seconds into the flight."),
    seed: int = typer.Option(1, min=0, help="Seed of the world, the flight and the sensors."),
    matcher: str = typer.Option("", help="Matcher of the camera node; empty: the one of config/aerial.yaml."),
    out: Path = typer.Option(Path("build/demo"), help="Folder of the recording and the report (emptied first)."),
    worlds: Path = typer.Option(Path("build/worlds"), help="Where generated worlds are kept."),
    quiet: bool = typer.Option(False, help="No progress bar."),
) -> None:
    """Flies a simulated aircraft in real time without GPS, and reports how well its position was kept."""
    from geo_nav.evaluation import evaluate_run, print_table, write_report
    from geo_nav.simulation import SimulationConfig, ensure_world

    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    config = SimulationConfig(seed=seed, world_dir=str(worlds.resolve()), duration=duration, gps_outage_start=gps_cut)
    site = ensure_world(config, quiet=quiet)
    fly(
        {
            "site": str(site),
            "duration": str(duration),
            "gps_outage_start": str(gps_cut),
            "seed": str(seed),
            "world_dir": str(worlds.resolve()),
            "matcher": matcher,
            "checkpoint": str((out / "checkpoint.json").resolve()),
            "record": str((out / "bag").resolve()),
        },
        out,
        duration,
        quiet,
    )
    evaluation = evaluate_run(out)
    write_report(evaluation, out)
    print_table(evaluation)
    typer.echo(f"\nreport: {out / 'report.html'}    numbers: {out / 'summary.json'}    log: {out / 'launch.log'}")


def fly(arguments: dict[str, str], out: Path, duration: float, quiet: bool) -> None:
    """Runs simulation.launch.py to its end.

    Raises:
        GeoNavError: the launch ended badly, or nothing was recorded.
    """
    from geo_nav.commands.launch import launch_command
    from geo_nav.nodes.monitor import watch

    arguments = {name: value for name, value in arguments.items() if value}
    log = out / "launch.log"
    limit = time.monotonic() + 3 * duration + 300
    with log.open("wb") as file:
        process = subprocess.Popen(
            launch_command("simulation", arguments),
            stdout=file, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            watch(duration, lambda: process.poll() is None and time.monotonic() < limit, quiet=quiet)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            status = process.wait(timeout=60)
    if status != 0 or not (out / "bag").is_dir():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise GeoNavError(f"the launch ended with status {status}; the end of {log}:\n{tail}")
