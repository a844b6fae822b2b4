"""Registers frames of the simulated flight one by one, each from a prior with a random error.

    python benchmark/simulated_frames.py [--matcher NAME …] [--step 2] [--duration 600] [--seed 1] [--prior-error 3,1]

Prints for every matcher the share that was accepted, the errors of the accepted, and milliseconds per stage. What it
measures is registration alone: no fusion, no ROS.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import Pose
from geo_nav.matching import create_matcher
from geo_nav.registration import AbsolutePose, Registrar, RegistrationConfig
from geo_nav.registration.sharpness import texel_size
from geo_nav.rendering import create_renderer
from geo_nav.simulation import CameraSimulator, Simulation, SimulationConfig, ensure_world
from geo_nav.site import load_site


def main() -> None:
    """Runs every matcher over the same frames and priors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matcher", nargs="+", default=["sift", "xfeat", "xfeat_lighterglue"])
    parser.add_argument("--step", type=float, default=2.0, help="seconds of flight from one frame to the next")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds of flight")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prior-error", default="3,1", help="1 sigma an axis: metres, degrees")
    parser.add_argument("--worlds", type=Path, default=Path("build/worlds"))
    given = parser.parse_args()
    metres, degrees = (float(x) for x in given.prior_error.split(","))
    config = SimulationConfig(seed=given.seed, world_dir=str(given.worlds), duration=max(given.duration, 5.0))
    ensure_world(config)
    simulation = Simulation(config)
    camera = CameraSimulator(simulation)
    site = load_site(simulation.site_yaml)
    renderer = create_renderer(site)
    covariance = np.diag([metres**2] * 3 + [np.radians(degrees) ** 2] * 3)
    table = Table("matcher", "frames", "accepted", "median m", "95 % m", "max m", "median °", "NEES/6", "> 10 m", "ms")
    stages: dict[str, dict[str, float]] = {}
    gates: dict[str, dict[str, int]] = {}
    for name in given.matcher:
        registrar = Registrar(renderer, create_matcher(name), RegistrationConfig(), site.sigma, texel_size(site))
        rng = np.random.default_rng(given.seed)
        found: list[tuple[AbsolutePose, Pose]] = []
        for t in track(np.arange(0.0, config.duration - 0.5, given.step), description=name):
            truth = camera.pose(float(t))
            error = rng.normal(size=6) * np.sqrt(np.diag(covariance))
            prior = Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ truth.rotation, truth.translation + error[:3])
            found.append(
                (registrar.register(camera.frame(float(t)), camera.camera, prior, covariance, float(t)), truth)
            )
        table.add_row(name, *_row(found))
        stages[name] = {
            stage: float(np.median([r.milliseconds.get(stage, 0.0) for r, _ in found]))
            for stage in ("undistort", "render", "extract", "match", "resect", "total")
        }
        gates[name] = {}
        for result, _ in found:
            gates[name][result.status] = gates[name].get(result.status, 0) + 1
    console = Console(width=140)
    console.print(table)
    for name in stages:
        console.print(name, "median ms:", {k: round(v) for k, v in stages[name].items()}, "verdicts:", gates[name])


def _row(found: list[tuple[AbsolutePose, Pose]]) -> list[str]:
    from geo_nav.geodesy.pose import error_vector

    errors, angles, nees = [], [], []
    for result, truth in found:
        if result.accepted and result.T_map_camera is not None and result.covariance is not None:
            errors.append(result.T_map_camera.distance_to(truth))
            angles.append(np.degrees(result.T_map_camera.angle_to(truth)))
            e = error_vector(result.T_map_camera, truth)
            nees.append(e @ np.linalg.solve(result.covariance, e) / 6)
    total = np.median([r.milliseconds["total"] for r, _ in found])
    head = [str(len(found)), f"{len(errors) / len(found):.0%}"]
    if not errors:
        return [*head, *"––––––", f"{total:.0f}"]
    return [
        *head,
        f"{np.median(errors):.2f}",
        f"{np.percentile(errors, 95):.2f}",
        f"{max(errors):.2f}",
        f"{np.median(angles):.3f}",
        f"{np.mean(nees):.2f}",
        str(sum(e > 10 for e in errors)),
        f"{total:.0f}",
    ]


if __name__ == "__main__":
    main()
