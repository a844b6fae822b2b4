"""The last solved state as JSON, for a process that is killed and comes up again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gtsam
import numpy as np

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.measurements import checked_covariance
from geo_nav.geodesy import LocalFrame, Pose

_VERSION = 3


def to_checkpoint(belief: Belief, frame: LocalFrame, last_fix: float) -> dict[str, Any]:
    """A dict that ``json.dumps`` takes."""
    pose = Pose(belief.nav.attitude().matrix(), belief.nav.position())
    return {
        "version": _VERSION,
        "datum": [frame.latitude, frame.longitude, frame.height],
        "stamp": belief.stamp,
        "last_fix": last_fix,
        "position": pose.translation.tolist(),
        "quaternion_xyzw": pose.quaternion.tolist(),
        "velocity": belief.nav.velocity().tolist(),
        "accelerometer_bias": belief.bias.accelerometer().tolist(),
        "gyroscope_bias": belief.bias.gyroscope().tolist(),
        "auxiliary": {walk.name: belief.value(walk).tolist() for walk in belief.walks},
        "covariance": belief.covariance.tolist(),
    }


def from_checkpoint(
    checkpoint: dict[str, Any], frame: LocalFrame, walks: Sequence[GaussMarkov]
) -> tuple[Belief, float]:
    """The belief of a checkpoint and the stamp of its last fix.

    Args:
        checkpoint: of :func:`to_checkpoint`.
        frame: the `map` frame.
        walks: the auxiliary variables that there are now; others of the checkpoint are left out.

    Raises:
        FusionError: another version, another datum, or damaged.
    """
    try:
        if checkpoint["version"] != _VERSION:
            raise FusionError(f"checkpoint version {checkpoint['version']}, need {_VERSION}: start without it")
        datum = [frame.latitude, frame.longitude, frame.height]
        if not np.allclose(checkpoint["datum"], datum, rtol=0.0, atol=1e-9):
            raise FusionError(f"the checkpoint's datum {checkpoint['datum']} is not the site's {datum}")
        vectors = {
            name: np.array(checkpoint[name], dtype=np.float64).reshape(3)
            for name in ("position", "velocity", "accelerometer_bias", "gyroscope_bias")
        }
        pose = Pose.from_quaternion(checkpoint["quaternion_xyzw"], vectors["position"])
        auxiliary = {str(name): np.array(v, dtype=np.float64) for name, v in checkpoint["auxiliary"].items()}
        size = 15 + sum(len(value) for value in auxiliary.values())
        covariance = checked_covariance(checkpoint["covariance"], size, "the checkpoint")
        stamp, last_fix = float(checkpoint["stamp"]), float(checkpoint["last_fix"])
    except FusionError:
        raise
    except Exception as error:  # whatever a damaged file holds, it must not stop the node
        raise FusionError(f"the checkpoint is damaged ({error!r}): start without it") from error
    known = {walk.name: walk for walk in walks if walk.estimated}
    kept, columns = list[GaussMarkov](), list(range(15))
    first = 15
    for name, value in auxiliary.items():
        if name in known and len(value) == known[name].dimension:
            kept.append(known[name])
            columns += range(first, first + len(value))
        first += len(value)
    values = np.concatenate([np.zeros(0), *(auxiliary[walk.name] for walk in kept)])
    numbers = [*vectors.values(), values, np.array(stamp)]
    if not all(np.isfinite(v).all() for v in numbers) or math.isnan(last_fix):
        raise FusionError("the checkpoint is damaged (a number is not finite): start without it")
    nav = gtsam.NavState(gtsam.Rot3(pose.rotation), pose.translation, vectors["velocity"])
    bias = gtsam.imuBias.ConstantBias(vectors["accelerometer_bias"], vectors["gyroscope_bias"])
    covariance = covariance[np.ix_(columns, columns)]
    return Belief(stamp, nav, bias, covariance, tuple(kept), values), last_fix
