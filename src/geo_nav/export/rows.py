"""What is told of every pose and of every fix, as plain columns for maps and tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.fixes import ScoredFix
from geo_nav.evaluation.recording import OdometryTrack
from geo_nav.export.run import ExportRun, utc

Array = npt.NDArray[np.float64]
Row = dict[str, Any]


def heading_pitch_roll(rotations: Rotation) -> Array:
    """N orientations of a forward-left-up body in east-north-up → (N, 3) degrees.

    Returns:
        heading clockwise from north in 0…360, pitch with the nose up, roll with the right side down.
    """
    yaw, pitch, roll = rotations.as_euler("ZYX", degrees=True).T
    return np.column_stack([(90.0 - yaw) % 360.0, -pitch, roll])


def track_rows(run: ExportRun, track: OdometryTrack) -> list[Row]:
    """A row a pose of geo_nav's output; metres, degrees, metres a second, 1 sigma."""
    poses = track.poses
    angles = heading_pitch_roll(poses.rotations)
    sigma = np.sqrt(np.maximum(np.diagonal(track.covariances, axis1=1, axis2=2), 0.0))
    columns: dict[str, Any] = {
        **pose_columns(poses.stamps, poses.positions),
        "state": [state.name for state in run.states(poses.stamps)],
        "heading_deg": angles[:, 0],
        "pitch_deg": angles[:, 1],
        "roll_deg": angles[:, 2],
        "speed_mps": np.linalg.norm(track.velocities, axis=1),
        "sigma_east_m": sigma[:, 0],
        "sigma_north_m": sigma[:, 1],
        "sigma_up_m": sigma[:, 2],
        "sigma_heading_deg": np.degrees(sigma[:, 5]),
    }
    return rows(columns)


def pose_columns(stamps: Array, positions: Array) -> dict[str, Any]:
    """Columns of the stamps (N,), s, and the positions (N, 3), m in `map`."""
    return {
        **time_columns(stamps),
        "east_m": positions[:, 0],
        "north_m": positions[:, 1],
        "up_m": positions[:, 2],
    }


def time_columns(stamps: Array) -> dict[str, Any]:
    """Columns of the stamps (N,), s, and the same in UTC."""
    return {"stamp": stamps, "time": [utc(stamp) for stamp in stamps]}


def rows(columns: dict[str, Any]) -> list[Row]:
    """Columns → a row an entry; a number that is not finite is None."""
    lists = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
    return [dict(zip(columns, map(_known, values), strict=True)) for values in zip(*lists, strict=True)]


def fix_row(scored: ScoredFix) -> Row:
    """What is told of a fix: the verdict, its reason and numbers, 1 sigma, and the distance from the truth if known."""
    fix = scored.fix
    sigma = [math.nan] * 3 if fix.covariance is None else np.sqrt(np.maximum(np.diag(fix.covariance)[:3], 0.0)).tolist()
    values = {
        "stamp": fix.stamp,
        "time": utc(fix.stamp),
        "verdict": verdict(scored),
        "gate": fix.gate,
        "reason": fix.reason,
        "matcher": fix.matcher,
        "matches": fix.matches,
        "inliers": fix.inliers,
        "reprojection_rms_px": fix.reprojection_rms,
        "milliseconds": fix.milliseconds,
        "sigma_east_m": sigma[0],
        "sigma_north_m": sigma[1],
        "sigma_up_m": sigma[2],
        "error_m": scored.error_m,
    }
    return {name: _known(value) for name, value in values.items()}


def verdict(scored: ScoredFix) -> str:
    """``accepted``, ``rejected`` (a pose was found, a gate refused it) or ``failed`` (no pose was found)."""
    if scored.fix.accepted:
        return "accepted"
    return "failed" if scored.fix.T_map_camera is None else "rejected"


def fix_positions(fixes: list[ScoredFix]) -> Array:
    """(N, 3) the camera's place in `map` (levelled, the better one for a map), m; NaN where no pose was found."""
    poses = [scored.fix.T_map_camera_levelled for scored in fixes]
    return np.array([[math.nan] * 3 if pose is None else pose.translation for pose in poses]).reshape(-1, 3)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
