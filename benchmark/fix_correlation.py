"""What `fix_correlation_time` should be: the fixes of runs of `geo-nav evaluate`, as they erred, beside another IMU.

    python benchmark/fix_correlation.py RUN [RUN …]

A run on a bag with a true path says which frames were registered, how wrong, and with what covariance. These errors, in
the axes of the camera, take the place of those drawn for a simulated journey (`geo-nav bench fusion --parts outages`),
and fusion is told several correlation times. NEES a dimension says whether its covariance is honest.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from geo_nav.evaluation.bag import read_run
from geo_nav.evaluation.outages.journey import Journey, JourneyOptions
from geo_nav.evaluation.outages.laws import FRAME_RATE, Drawn
from geo_nav.evaluation.outages.outages import drawn_statistics
from geo_nav.evaluation.outages.play import Player
from geo_nav.geodesy.pose import error_vector

SETTLED = 30.0
"""Scored from here on, s."""


def recorded(run: Path, drawn: Drawn) -> Drawn:
    """A journey's frames as they were registered in a run; what is drawn for tracks stays."""
    recording = read_run(run)
    truth, mounting = recording.truth, recording.T_base_camera
    assert mounting is not None  # a run that registers has a camera
    begin = truth.stamps[0] + drawn.stamps[0]
    accepted = np.zeros(len(drawn.stamps), dtype=bool)
    covariances, errors = drawn.covariances.copy(), drawn.errors.copy()
    for fix in recording.fixes:
        k = round((fix.stamp - begin) * FRAME_RATE)
        known = 0 <= k < len(accepted) and truth.covers(np.array([fix.stamp]), 0.5)[0]
        if not known or not fix.accepted or fix.T_map_camera is None or fix.covariance is None:
            continue
        camera = truth.at(np.array([fix.stamp])).pose(0) @ mounting
        to_camera = np.kron(np.eye(2), camera.rotation.T)
        accepted[k] = True
        errors[k] = -to_camera @ error_vector(fix.T_map_camera, camera)
        covariance = to_camera @ fix.covariance @ to_camera.T
        covariances[k] = 0.5 * (covariance + covariance.T)
    return replace(drawn, accepted=accepted, covariances=covariances, errors=errors)


def main() -> None:
    """One table for the errors, one for what fusion makes of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, nargs="+", help="folder of a run")
    parser.add_argument("--times", default="2,2.5,3", help="values of fix_correlation_time, s")
    parser.add_argument("--imu", default="mems,tactical", help="classes of IMU")
    parser.add_argument("--duration", type=float, default=590.0, help="of the journey, at most the run's, s")
    options = parser.parse_args()
    errors = Table("run", "fixes", "3D RMS m", "NEES/6", "correlation at 1 s", "at 5 s")
    results = Table("run", "IMU", "told s", "3D RMS m", "worst m", "NEES/3", "NEES/6")
    for run in options.run:
        for imu in options.imu.split(","):
            journey = Journey(JourneyOptions("aerial", imu, 7, options.duration))
            journey.drawn = recorded(run, journey.drawn)
            if imu == options.imu.split(",")[0]:
                of = drawn_statistics(journey)
                errors.add_row(
                    str(run), f"{of['accepted']:.0f}", f"{of['position_rms_m']:.2f}", f"{of['nees']:.2f}",
                    f"{of['correlation_1_s']:.2f}", f"{of['correlation_5_s']:.2f}",
                )  # fmt: skip
            for tau in options.times.split(","):
                journey.config = journey.config.model_copy(update={"fix_correlation_time": float(tau)})
                scores = Player.of(journey, status=False).play(journey.items()).between(SETTLED, np.inf)
                results.add_row(
                    str(run), imu, tau, f"{scores.rms:.3f}", f"{scores.largest:.2f}",
                    f"{scores.position_nees.mean() / 3.0:.2f}", f"{scores.pose_nees.mean() / 6.0:.2f}",
                )  # fmt: skip
    console = Console(width=140)
    console.print(errors)
    console.print(results)


if __name__ == "__main__":
    main()
