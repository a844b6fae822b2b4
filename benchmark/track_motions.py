"""How wrong the motions of tracked frames are, by their age, in runs of `geo-nav evaluate` on bags with a true path.

    python benchmark/track_motions.py RUN [RUN …]

A motion is that of the camera from the frame where its tracks begin: one that was registered, or one that registration
refused, which is placed by its prediction. NEES a dimension says whether its covariance is honest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from geo_nav.evaluation.bag import read_run
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector

AGES = (0.2, 1.0, 2.0, 3.0, 4.0, 5.0)
TOLERANCE = 0.02


def motions(run: Path) -> dict[bool, list[tuple[float, float, float, float, float]]]:
    """Age s, length m, error m and °, NEES a dimension; of references that were registered, and of others."""
    recording = read_run(run)
    truth = recording.truth
    mounting = recording.transforms.lookup("base_link", recording.camera_frame)
    assert mounting is not None
    registered = {round(1e4 * fix.stamp) for fix in recording.fixes if fix.accepted}
    out: dict[bool, list[tuple[float, float, float, float, float]]] = {True: [], False: []}
    with open_bag(run / "bag") as bag:
        for _, _, message in bag.decoded(["/geo_nav/tie_points"]):
            stamp, reference = (t.sec + 1e-9 * t.nanosec for t in (message.header.stamp, message.reference_stamp))
            if stamp <= reference or reference < truth.stamps[0] or stamp > truth.stamps[-1]:
                continue
            p, q = message.motion.pose.position, message.motion.pose.orientation
            motion = Pose.from_quaternion([q.x, q.y, q.z, q.w], [p.x, p.y, p.z])
            first, last = (truth.at([t]).pose(0) @ mounting for t in (reference, stamp))
            true = first.inverse() @ last
            error = error_vector(motion, true)
            covariance = np.array(message.motion.covariance).reshape(6, 6)
            row = (
                stamp - reference,
                float(np.linalg.norm(true.translation)),
                float(np.linalg.norm(error[:3])),
                float(np.degrees(np.linalg.norm(error[3:]))),
                float(error @ np.linalg.solve(covariance, error)) / 6.0,
            )
            out[round(1e4 * reference) in registered].append(row)
    return out


def main() -> None:
    """One table for all runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, nargs="+", help="folder of a run")
    table = Table("run", "tracked from", "age s", "motions", "length m", "error m: RMS", "% of length", "°", "NEES/6")
    for run in parser.parse_args().run:
        for kind, rows in motions(run).items():
            m = np.array(rows).reshape(-1, 5)
            for age in AGES:
                near = m[np.abs(m[:, 0] - age) < TOLERANCE]
                if len(near):
                    length, error, turn = np.sqrt((near[:, 1:4] ** 2).mean(axis=0))
                    table.add_row(
                        run.name, "registered" if kind else "refused", f"{age:g}", f"{len(near)}", f"{length:.1f}",
                        f"{error:.2f}", f"{100 * error / length:.1f}", f"{turn:.2f}", f"{near[:, 4].mean():.2f}",
                    )  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
