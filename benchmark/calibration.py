"""What the calibration of the camera in flight is worth, in simulation.

    python benchmark/calibration.py [--seeds 2] [--seconds 40]

Turns with up to 45° of bank, fixes at 5 Hz that arrive after 0.3 s, sigmas of 0.3 m and 0.5°. The camera's images are
stamped 50 ms late, and it is turned by 1° about a random axis, or neither; the settings do not know. Errors and NEES
are over the second half and all seeds. The last columns are what is left of the lateness and of the rotation (norm of
the three axes) at the end, and the median processor time of an update over that of the first row.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("src", "test")]

from camera_helpers import Manoeuvres, misfit  # noqa: E402
from fusion_helpers import CONFIG, Clocked, World, run  # noqa: E402
from geo_nav.fusion.camera import CameraCalibrationConfig  # noqa: E402

LATE, TURNED = 0.05, np.radians(1.0)
CASES = {"none": (0.0, 0.0), "50 ms and 1°": (LATE, TURNED)}
TIME = CameraCalibrationConfig(time_offset_sigma=0.05)
ROTATION = TIME.model_copy(update={"rotation_sigma": [0.02] * 3})
SETTINGS = {
    "held": CameraCalibrationConfig(),
    "time offset": TIME,
    "time offset and rotation": ROTATION,
    "all seven": ROTATION.model_copy(update={"translation_sigma": [0.2] * 3}),
}


def main() -> None:
    """Fly all cases, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    print("| error | estimated | position, m | heading, ° | NEES/6 | lateness left, ms | rotation left, ° | update |")
    print("|---|---|---|---|---|---|---|---|")
    first = 0.0
    worlds = [
        World(seed=seed, duration=arguments.seconds, rate=50.0, flight=Manoeuvres()) for seed in range(arguments.seeds)
    ]
    for case, (late, turned) in CASES.items():
        for name, camera in SETTINGS.items():
            squares, nees, left, milliseconds = [], [], [], []
            for world in worlds:
                axis = np.random.default_rng([world.seed, 12]).normal(size=3)
                rotation = turned * axis / np.linalg.norm(axis)
                fusion = Clocked(CONFIG.model_copy(update={"camera": camera}))
                fixes = [f for f in misfit(world, late, rotation) if f.stamp > 0.3]
                end = run(fusion, world, fixes, update_every=0.2).after(0.5 * world.duration)
                squares.append([end.rms**2, (end.heading_errors**2).mean()])
                nees.append(end.nees(25).mean() / 6.0)
                known = {name: c.value for name, c in fusion.status().calibrations.items()}
                found = [known.get(f"camera rotation {axis}", 0.0) for axis in "xyz"]
                milliseconds += fusion.milliseconds
                left.append([(known.get("camera time offset", 0.0) - late) ** 2, ((found - rotation) ** 2).sum()])
            update = float(np.median(milliseconds))
            first = first or update
            position, heading = np.sqrt(np.mean(squares, axis=0))
            seconds, angle = np.sqrt(np.mean(left, axis=0))
            print(
                f"| {case} | {name} | {position:.2f} | {np.degrees(heading):.2f} | {np.mean(nees):.2f} "
                f"| {1e3 * seconds:.1f} | {np.degrees(angle):.2f} | × {update / first:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
