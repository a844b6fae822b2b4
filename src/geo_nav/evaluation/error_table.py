"""`errors.csv`: every scored stamp of a run, for a team's own plots."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.integrity import LEVELS, states_at

COLUMNS = (
    "stamp_s",
    "error_east_m",
    "error_north_m",
    "error_up_m",
    "error_rotation_deg",
    "error_heading_deg",
    "sigma_east_m",
    "sigma_north_m",
    "sigma_up_m",
    "sigma_roll_deg",
    "sigma_pitch_deg",
    "sigma_yaw_deg",
    "state",
    *(f"level_{name}_m" for name in LEVELS),
)
"""Names of the columns. Sigma is what geo_nav claims; its rotations are about the fixed axes east, north, up. Levels
are those last published; what is not known is empty."""


def write_errors(evaluation: RunEvaluation, path: Path) -> None:
    """Writes one line for each scored stamp, see :data:`COLUMNS`."""
    from geo_nav.fusion.types import NavigationState

    errors = evaluation.errors
    numbers = np.column_stack(
        [
            errors.position,
            np.degrees(np.linalg.norm(errors.rotation, axis=1)),
            np.degrees(errors.heading),
            evaluation.sigma[:, :3],
            np.degrees(evaluation.sigma[:, 3:]),
        ]
    )
    states = states_at(evaluation.recording.status, errors.stamps)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for stamp, row, state, levels in zip(errors.stamps, numbers, states, evaluation.levels, strict=True):
            name = NavigationState(int(state)).name if state >= 0 else ""
            writer.writerow([f"{stamp:.9f}", *map(_cell, row), name, *map(_cell, levels)])


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
