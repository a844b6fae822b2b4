"""`geo-nav site`: what a site model holds, how good it is, pictures of it, and surveys of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geo_nav.geodesy import Pose
    from geo_nav.site import SiteModel

app = typer.Typer(help="What a site model holds, and pictures of it.", no_args_is_help=True)

SitePath = Annotated[Path, typer.Argument(help="site.yaml, a folder that holds one, or a surveyed folder")]


@app.command("info")
def info(
    site: SitePath,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Reads a site and prints its datum, extent, expected error and size."""
    from geo_nav.site import load_site

    facts = describe(load_site(site))
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        shown = "  ".join(f"{v:.3f}" for v in value) if isinstance(value, list) else value
        typer.echo(f"{key:<{width}}  {shown}")


def describe(model: SiteModel) -> dict[str, object]:
    """The facts of a site model under plain keys."""
    textures = {id(tile.texture): tile.texture for tile in model.tiles}
    low, high = model.bounds
    return {
        "name": model.name,
        "datum_latitude_deg": round(model.frame.latitude, 9),
        "datum_longitude_deg": round(model.frame.longitude, 9),
        "datum_height_ellipsoid_m": round(model.frame.height, 3),
        "bounds_min_enu_m": [round(float(v), 3) for v in low],
        "bounds_max_enu_m": [round(float(v), 3) for v in high],
        "sigma_enu_m": [round(float(v), 3) for v in model.error.sigma],
        "sigma_correlation_m": round(model.error.correlation, 1),
        "tiles": len(model.tiles),
        "triangles": model.triangles,
        "texture_megapixels": round(sum(t.shape[0] * t.shape[1] for t in textures.values()) / 1e6, 2),
    }


@app.command("assess")
def assess(
    folder: Annotated[Path, typer.Argument(help="A surveyed folder: photographs of known pose beside the model.")],
    matcher: Annotated[str, typer.Option(help="Name of the matcher: docs/matching.md.")] = "sift",
    photographs: Annotated[int, typer.Option(min=5, help="How many of role 'model' are registered.")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress bar")] = False,
) -> None:
    """Measures how far a site model lies from the truth, with photographs of known pose; prints lines for site.yaml."""
    from geo_nav.commands.progress import progress_bar
    from geo_nav.evaluation.site_assessment import assess_site

    with progress_bar(quiet) as bar:
        task = bar.add_task("registering", total=None)
        found = assess_site(
            folder, matcher, photographs, progress=lambda done, all_: bar.update(task, completed=done, total=all_)
        )
    sigma = [round(float(v), 3) for v in found.measured.sigma]
    facts = {
        "sigma": sigma,
        "sigma_correlation": round(found.measured.correlation, 1),
        "described_sigma": [round(float(v), 3) for v in found.described.sigma],
        "photographs": found.tried,
        "registered": found.used,
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"# measured with {found.used} of {found.tried} photographs (described: {facts['described_sigma']})")
    typer.echo(f"sigma: {sigma}")
    typer.echo(f"sigma_correlation: {facts['sigma_correlation']}")


@app.command("from-odm")
def from_odm(
    project: Annotated[Path, typer.Argument(help="Folder of an OpenDroneMap project, or WebODM's 'All Assets'.")],
    out: Annotated[Path, typer.Argument(help="Folder to make: a survey (docs/tutorial.md).")],
    vertical_datum: Annotated[
        str, typer.Option(help="What the project's heights are above, as its GPS tags were: ellipsoid, egm96, egm2008.")
    ],
    truth: Annotated[
        Path | None, typer.Option(help="A second project, of these and of the photographs kept out of this one.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photographs; else images/ of the project they are posed in.")
    ] = None,
) -> None:
    """Makes a surveyed folder of what OpenDroneMap leaves: map, camera, and the pose of every photograph."""
    from geo_nav.evaluation.odm_survey import make_survey

    made = make_survey(project, out, vertical_datum, truth, images)
    typer.echo(f"{made.model} photographs that the map was made from, {made.queries} that were kept out of it: {out}")
    if made.tie is not None:
        typer.echo(f"the projects fit each other within {made.tie:.3f} m (RMS), at a scale of {made.scale:.5f}")
    if made.left_out:
        typer.echo(f"without a pose: {len(made.left_out)} photographs, {', '.join(made.left_out[:5])} …", err=True)
    if made.queries == 0:
        typer.echo("nothing to score on: a photograph fits the map that it made; --truth brings others", err=True)


@app.command("render")
def render(
    site: SitePath,
    pose: Annotated[
        str,
        typer.Option(
            help="east,north,up,heading,pitch[,roll] in metres of the local frame and degrees (heading clockwise from "
            "north, pitch -90 looks straight down), or east,north,up,qx,qy,qz,qw of the camera's optical frame"
        ),
    ],
    out: Annotated[Path, typer.Option(help="picture to write, PNG or JPEG")],
    width: Annotated[int, typer.Option(help="pixels", min=1, max=16384)] = 1280,
    height: Annotated[int, typer.Option(help="pixels", min=1, max=16384)] = 960,
    fov: Annotated[float, typer.Option(help="horizontal field of view, degrees", min=1.0, max=170.0)] = 60.0,
    depth: Annotated[Path | None, typer.Option(help="depth to write, .npy: (height, width) float32 metres")] = None,
    backend: Annotated[str, typer.Option(help="moderngl or raycast")] = "moderngl",
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or the index of an EGL device")] = "auto",
) -> None:
    """Renders a site from a pose."""
    import math

    import cv2
    import numpy as np

    from geo_nav.rendering import Camera, RenderingError, create_renderer
    from geo_nav.site import load_site

    T_map_camera = parse_pose(pose)
    focal = width / 2.0 / math.tan(math.radians(fov) / 2.0)
    camera = Camera(width, height, focal, focal, (width - 1) / 2.0, (height - 1) / 2.0)
    renderer = create_renderer(load_site(site), backend, device)
    try:
        view = renderer.render(camera, T_map_camera)
    finally:
        renderer.close()
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg") or not out.parent.is_dir():
        raise RenderingError(f"cannot write {out}: name a .png or .jpg in a folder that exists")
    if not cv2.imwrite(str(out), cv2.cvtColor(view.image, cv2.COLOR_RGB2BGR)):
        raise RenderingError(f"cannot write {out}: is the folder writable?")
    if depth is not None:
        np.save(depth, view.depth)
    covered = view.mask.mean()
    typer.echo(f"{out}: {width}x{height}, the model covers {covered:.0%}")
    if covered == 0.0:
        typer.echo("nothing of the site is in view: `geo-nav site info` prints its extent", err=True)


def parse_pose(text: str) -> Pose:
    """The camera pose of the option ``--pose``.

    Raises:
        GeodesyError: not 5 to 7 numbers.
    """
    from math import radians

    from geo_nav.geodesy import GeodesyError, Pose, camera_pose

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 7:
        return Pose.from_quaternion(numbers[3:], numbers[:3])
    if len(numbers) not in (5, 6):
        raise GeodesyError(
            f"not a pose: '{text}': give east,north,up,heading,pitch[,roll] or east,north,up,qx,qy,qz,qw"
        )
    return camera_pose(numbers[:3], *(radians(angle) for angle in numbers[3:]))
