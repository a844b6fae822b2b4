"""`geo-nav register`: one photograph against a site."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_nav import GeoNavError

if TYPE_CHECKING:
    from geo_nav.registration import AbsolutePose
    from geo_nav.site import SiteModel


def register(
    site: Annotated[Path, typer.Argument(help="site.yaml, a folder that holds one, or a surveyed folder.")],
    image: Annotated[Path, typer.Argument(help="The photograph.")],
    prior: Annotated[
        str,
        typer.Option(
            help="Where the camera about is: 'east,north,up,heading,pitch,roll' in m and degrees (pitch -90 looks "
            "straight down), or JSON, or a JSON file (docs/registration.md)."
        ),
    ],
    camera: Annotated[Path | None, typer.Option(help="camera.json; else the one in the site's folder.")] = None,
    prior_error: Annotated[
        str, typer.Option(help="How wrong the prior may be: metres, degrees of heading, degrees of tilt.")
    ] = "30,10,3",
    matcher: Annotated[str, typer.Option(help="Name of the matcher: docs/matching.md.")] = "sift",
    max_width: Annotated[int, typer.Option(help="Width to which a larger photograph is reduced, pixels.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the matcher.")] = 1,
    picture: Annotated[Path | None, typer.Option(help="Match picture; else <image>_match.png here.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Registers a photograph and prints its pose as JSON; exit status 1 where no pose is accepted."""
    from geo_nav.evaluation.match_picture import match_picture, write_picture
    from geo_nav.evaluation.site_evaluation import parse_prior_error
    from geo_nav.evaluation.survey import photo_config, read_camera, read_image
    from geo_nav.matching import create_matcher
    from geo_nav.registration import Registrar
    from geo_nav.registration.pose_format import parse_pose
    from geo_nav.registration.sharpness import texel_size
    from geo_nav.rendering import create_renderer
    from geo_nav.site import load_site

    frame = read_image(image)
    intrinsics = read_camera(camera or (site if site.is_dir() else site.parent) / "camera.json")
    law = parse_prior_error(prior_error)
    model = load_site(site)
    T_map_camera_prior = parse_pose(prior, model.frame)
    config = photo_config() if max_width == 0 else photo_config(max_width)
    renderer = create_renderer(model)
    try:
        registrar = Registrar(
            renderer, create_matcher(matcher, threads=threads), config, model.error, texel_size(model)
        )
        found = registrar.register(frame, intrinsics, T_map_camera_prior, law.covariance())
        result = describe(found, model)
        if registrar.last_frame is not None:
            target = picture or Path(f"{image.stem}_match.png")
            write_picture(target, match_picture(registrar, renderer, found))
            result["picture"] = str(target)
    finally:
        renderer.close()
    text = json.dumps(result, indent=2)
    if json_file is not None:
        try:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise GeoNavError(f"{json_file} cannot be written: {error.strerror}") from error
    typer.echo(text)
    if not found.accepted:
        raise typer.Exit(1)


def describe(found: AbsolutePose, model: SiteModel) -> dict[str, Any]:
    """A result for JSON: verdict, pose, 1 sigma of its position (m) and rotation (degrees), counts, times."""
    import numpy as np

    from geo_nav.registration.pose_format import describe_pose

    result: dict[str, Any] = {
        "status": str(found.status),
        "accepted": found.accepted,
        "reason": found.reason,
        "site": model.name,
        "matcher": found.matcher,
        "matches": found.matches,
        "inliers": found.inliers,
        "reprojection_rms_px": found.reprojection_rms if math.isfinite(found.reprojection_rms) else None,
    }
    pose, covariance = found.T_map_camera_levelled, found.levelled_covariance
    if pose is not None and covariance is not None:
        sigma = np.sqrt(np.diag(covariance))
        result["pose"] = describe_pose(pose, model.frame)
        result["sigma_position_m"] = [float(v) for v in sigma[:3]]
        result["sigma_rotation_deg"] = [float(v) for v in np.degrees(sigma[3:])]
        result["covariance"] = [float(v) for v in covariance.ravel()]
    result["milliseconds"] = {stage: round(spent, 1) for stage, spent in found.milliseconds.items()}
    return result
