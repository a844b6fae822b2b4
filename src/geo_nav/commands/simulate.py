"""`geo-nav simulate`: generates worlds, and shows what the simulated camera sees of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Simulated worlds, and what the camera sees of them.", no_args_is_help=True)

Seed = Annotated[int, typer.Option(min=0, help="seed of the world, the flight and the sensors")]
Size = Annotated[float, typer.Option(min=150.0, max=4000.0, help="side of the square site, m")]


@app.command("world")
def world(
    out: Annotated[Path, typer.Argument(help="folder for site/ (the survey) and flown/ (what is flown over)")],
    seed: Seed = 7,
    size: Size = 2000.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
) -> None:
    """Generates a world: DEM, orthophoto, town mesh and site.yaml, in two epochs."""
    from geo_nav.simulation import SimulationConfig, SimulationError, ensure_world

    if out.exists() and any(out.iterdir()):
        raise SimulationError(f"{out} is not empty: name another folder for the world")
    out.mkdir(parents=True, exist_ok=True)
    site_yaml = ensure_world(SimulationConfig(seed=seed, world_size=size, world_dir=str(out / ".making")), quiet)
    for part in site_yaml.parent.parent.iterdir():
        part.rename(out / part.name)
    shutil.rmtree(out / ".making")
    typer.echo(f"site model of the survey: {out / 'site' / 'site.yaml'}")
    typer.echo(f"world that is flown over: {out / 'flown' / 'site.yaml'}")


@app.command("bag")
def bag(
    out: Annotated[Path, typer.Argument(help="folder for bag/ and run.json")],
    duration: Annotated[float, typer.Option(min=5.0, max=3600.0, help="length of the flight, s")] = 180.0,
    gps_cut: Annotated[float, typer.Option(min=0.0, help="GPS ends then, s; 0: it is there all along")] = 0.0,
    images: Annotated[str, typer.Option(help="raw (sensor_msgs/Image), or jpeg or png (CompressedImage)")] = "jpeg",
    seed: Seed = 7,
    size: Size = 2000.0,
    worlds: Annotated[Path, typer.Option(help="where generated worlds are kept")] = Path("build/worlds"),
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
) -> None:
    """Records a simulated flight as its drivers would have: IMU, GPS, camera and truth as an MCAP bag, without ROS."""
    from rich.progress import Progress

    from geo_nav.evaluation.messages import image_format
    from geo_nav.evaluation.simulated_bag import write_simulated_bag
    from geo_nav.simulation import Simulation, SimulationConfig, SimulationError, ensure_world

    kind = image_format(images)
    if (out / "bag").exists():
        raise SimulationError(f"{out / 'bag'} exists: name another folder")
    config = SimulationConfig(
        seed=seed, world_size=size, world_dir=str(worlds), duration=duration, gps_outage_start=gps_cut or duration
    )
    ensure_world(config, quiet)
    simulation = Simulation(config)
    with Progress(disable=quiet) as bar:
        task = bar.add_task("filming", total=simulation.frame_count)
        write_simulated_bag(simulation, out, kind, lambda count: bar.update(task, completed=count))
    typer.echo(f"bag: {out / 'bag'}\nsite model: {simulation.site_yaml}")


@app.command("preview")
def preview(
    out: Annotated[Path, typer.Argument(help="folder for the pictures")],
    seed: Seed = 7,
    size: Size = 2000.0,
    times: Annotated[str, typer.Option(help="instants of the flight, s, comma-separated")] = "20,70,120,170,270,400",
    worlds: Annotated[Path, typer.Option(help="where generated worlds are kept")] = Path("build/worlds"),
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
) -> None:
    """Camera frames beside the site model seen from the same (true) poses, as PNG."""
    import cv2
    import numpy as np

    from geo_nav.rendering import create_renderer
    from geo_nav.simulation import CameraSimulator, Simulation, SimulationConfig, SimulationError, ensure_world
    from geo_nav.site import load_site

    try:
        instants = [float(t) for t in times.split(",")]
    except ValueError as error:
        raise SimulationError(f"--times takes seconds separated by commas, got '{times}'") from error
    config = SimulationConfig(
        seed=seed, world_size=size, world_dir=str(worlds), duration=max(5.0, min(3600.0, max(instants) + 1.0))
    )
    ensure_world(config, quiet)
    simulation = Simulation(config)
    camera = CameraSimulator(simulation)
    model = create_renderer(load_site(simulation.site_yaml))
    out.mkdir(parents=True, exist_ok=True)
    for t in instants:
        view = model.render(camera.camera.pinhole(), camera.pose(t))
        picture = out / f"frame_{t:07.2f}.png"
        cv2.imwrite(str(picture), np.hstack([camera.frame(t), view.image])[..., ::-1])
        typer.echo(f"{picture}  (frame, and the site model from there)")
    camera.close()
    model.close()
