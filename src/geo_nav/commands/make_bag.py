"""`geo-nav make-bag`: a surveyed folder as a recorded flight, for replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def make_bag(
    folder: Annotated[
        Path, typer.Argument(help="Surveyed folder: images/, meta.csv, camera.json, datum.json, truth.csv, site/.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for bag/, truth.csv, site.yaml and run.json.")],
    width: Annotated[int, typer.Option(min=0, help="Width of the images, pixels; 0: as stored.")] = 1000,
    lead_in: Annotated[
        float, typer.Option(min=1.0, max=120.0, help="Seconds with GPS before the first photograph.")
    ] = 10.0,
    photos: Annotated[int, typer.Option(min=0, help="Only so many photographs, the first ones; 0: all.")] = 0,
    imu_rate: Annotated[float, typer.Option(min=20.0, max=1000.0, help="IMU samples, Hz.")] = 200.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sensors' noise.")] = 1,
    images: Annotated[str, typer.Option(help="raw (sensor_msgs/Image), or jpeg or png (CompressedImage).")] = "raw",
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Writes photographs and the IMU, GPS and attitude that would have flown with them as an MCAP bag."""
    from rich.progress import Progress

    from geo_nav.evaluation.flight_bag import plan_flight, write_flight
    from geo_nav.evaluation.messages import image_format
    from geo_nav.simulation.config import SimulationConfig

    kind = image_format(images)
    flight = plan_flight(folder, width or None, lead_in, photos or None)
    config = SimulationConfig(seed=seed, imu_rate=imu_rate)
    with Progress(disable=quiet) as bar:
        task = bar.add_task("writing photographs", total=len(flight.photos))
        write_flight(flight, folder, out, config, lambda count: bar.update(task, completed=count), kind)
    typer.echo(
        f"{len(flight.photos)} photographs, {flight.trajectory.end:.0f} s → {out / 'bag'}\n"
        f"replay: geo-nav launch replay bag:={out / 'bag'} site:={out / 'site.yaml'} record:=RUN/bag\n"
        f"score:  geo-nav report RUN --info {out / 'run.json'}"
    )
