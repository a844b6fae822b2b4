"""A short simulated flight as a bag, GPS all along."""

from __future__ import annotations

from pathlib import Path

from geo_nav.evaluation.simulated_bag import write_simulated_bag
from geo_nav.simulation import Simulation, SimulationConfig

DURATION = 9.0


def short_flight(folder: Path) -> tuple[Simulation, Path]:
    """The flight, and its bag: two small frames a second over a small world."""
    config = SimulationConfig(
        seed=5, world_size=400.0, world_dir=str(folder / "worlds"), duration=DURATION, gps_outage_start=DURATION,
        camera_rate=2.0, image_width=480, image_height=360, focal_length=420.0,
    )  # fmt: skip
    simulation = Simulation(config)
    write_simulated_bag(simulation, folder / "flight", "jpeg")
    return simulation, folder / "flight" / "bag"
