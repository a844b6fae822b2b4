"""How wrong the motions of tracked frames are, by their age, in runs of `geo-nav evaluate` on bags with a true path.

    python benchmark/track_motions.py RUN [RUN …]

A motion is that of the camera from the frame where its tracks begin: one that was registered, or one that registration
refused, which is placed by its prediction. NEES a dimension says whether its covariance is honest, and that of its own
error: without what the pose of that first frame is off by.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from geo_nav.evaluation.bag import read_run
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.geodesy.pose import error_vector
from geo_nav.nodes.conversion import motion_from_message

AGES = (0.2, 1.0, 2.0, 3.0, 4.0, 5.0)
TOLERANCE = 0.02


def motions(run: Path) -> dict[bool, list[tuple[float, ...]]]:
    """Age s, length m, error m and °, NEES of all and of its own; of registered references, and of others."""
    recording = read_run(run)
    truth = recording.truth
    mounting = recording.transforms.lookup("base_link", recording.camera_frame)
    assert mounting is not None
    registered = {round(1e4 * fix.stamp) for fix in recording.fixes if fix.accepted}
    out: dict[bool, list[tuple[float, ...]]] = {True: [], False: []}
    with open_bag(run / "bag") as bag:
        for _, _, message in bag.decoded(["/geo_nav/tie_points"]):
            told = motion_from_message(message)
            if told is None:
                continue
            reference, stamp, motion, covariance, origin = told
            assert origin is not None  # of our own tracks it is known
            if reference < truth.stamps[0] or stamp > truth.stamps[-1]:
                continue
            first, last = (truth.at([t]).pose(0) @ mounting for t in (reference, stamp))
            true = first.inverse() @ last
            error = error_vector(motion, true)
            to_camera = np.kron(np.eye(2), origin.T_map_camera.rotation.T)
            own = error - origin.by_pose @ to_camera @ error_vector(origin.T_map_camera, first)
            row = (
                stamp - reference,
                float(np.linalg.norm(true.translation)),
                float(np.linalg.norm(error[:3])),
                float(np.degrees(np.linalg.norm(error[3:]))),
                float(error @ np.linalg.solve(covariance, error)) / 6.0,
                float(own @ np.linalg.solve(origin.noise, own)) / 6.0,
            )
            out[round(1e4 * reference) in registered].append(row)
    return out


def main() -> None:
    """One table for all runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, nargs="+", help="folder of a run")
    table = Table(
        "run", "tracked from", "age s", "motions", "length m", "error m: RMS", "% of length", "°", "NEES/6", "own"
    )
    for run in parser.parse_args().run:
        for kind, rows in motions(run).items():
            m = np.array(rows).reshape(-1, 6)
            for age in AGES:
                near = m[np.abs(m[:, 0] - age) < TOLERANCE]
                if len(near):
                    length, error, turn = np.sqrt((near[:, 1:4] ** 2).mean(axis=0))
                    table.add_row(
                        run.name, "registered" if kind else "refused", f"{age:g}", f"{len(near)}", f"{length:.1f}",
                        f"{error:.2f}", f"{100 * error / length:.1f}", f"{turn:.2f}", f"{near[:, 4].mean():.2f}",
                        f"{near[:, 5].mean():.2f}",
                    )  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
