"""Offers frames of the simulated flight at places where they were not taken: every accepted one is false.

    python benchmark/wrong_places.py [--tries 300] [--seed 1] [--matcher xfeat_orientation]

Each frame comes with the pose of another instant of the flight, at least 100 m away, as its prior: once as tight as in
flight (0.7 m, 0.3°) and once wide (10 m, 1°).
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from rich.progress import track

from geo_nav.matching import create_matcher
from geo_nav.registration import Registrar, RegistrationConfig
from geo_nav.registration.sharpness import texel_size
from geo_nav.rendering import create_renderer
from geo_nav.simulation import CameraSimulator, Simulation, SimulationConfig, ensure_world
from geo_nav.site import load_site


def main() -> None:
    """Counts the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--matcher", default="xfeat_orientation")
    parser.add_argument("--worlds", type=Path, default=Path("build/worlds"))
    given = parser.parse_args()
    config = SimulationConfig(seed=given.seed, world_dir=str(given.worlds))
    ensure_world(config)
    simulation = Simulation(config)
    camera = CameraSimulator(simulation)
    site = load_site(simulation.site_yaml)
    registrar = Registrar(
        create_renderer(site), create_matcher(given.matcher), RegistrationConfig(), site.sigma, texel_size(site)
    )
    for metres, degrees in ((0.7, 0.3), (10.0, 1.0)):
        covariance = np.diag([metres**2] * 3 + [np.radians(degrees) ** 2] * 3)
        rng = np.random.default_rng(given.seed)
        verdicts: Counter[str] = Counter()
        for _ in track(range(given.tries), description=f"{metres} m, {degrees}°"):
            there, here = rng.uniform(0.0, config.duration - 1.0, 2)
            while camera.pose(there).distance_to(camera.pose(here)) < 100.0:
                here = rng.uniform(0.0, config.duration - 1.0)
            result = registrar.register(camera.frame(there), camera.camera, camera.pose(here), covariance, there)
            verdicts[result.status.value] += 1
        print(f"prior {metres} m, {degrees}°: {verdicts['accepted']} of {given.tries} accepted; {dict(verdicts)}")


if __name__ == "__main__":
    main()
