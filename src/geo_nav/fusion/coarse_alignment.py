"""The attitude of a moving vehicle from positions or velocities and the IMU, with nothing to begin with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.fusion.belief import rot3
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.measurements import GpsFix

Array = npt.NDArray[np.float64]


def coarse_attitude(fixes: Sequence[GpsFix], imu: ImuBuffer, model: ImuModel) -> Any:
    """``gtsam.Rot3`` of `base_link` in `map` at the first fix, as a first guess for a batch.

    Optimisation-based alignment (Wu and Pan, Velocity/Position Integration Formula, IEEE TAES 2013): what the
    accelerometers have summed up since the first fix, in the body frame of then, is the change of velocity less
    gravity's, in `map`; the rotation between the two sets of vectors is Wahba's problem. Gravity alone gives the tilt,
    changes of velocity the heading; without any the heading is arbitrary, which the covariance of a batch tells.
    Biases, lever arm and the Earth's rotation are left to that batch.

    Args:
        fixes: three or more in order of time; their velocities are used if all have one, else the positions.
        imu: the samples; must reach over all fixes.
        model: gravity and preintegration.
    """
    start = fixes[0]
    pim = model.preintegration(gtsam.imuBias.ConstantBias(), start.position, False)
    velocity_sums, position_sums = [], []
    stamp = start.stamp
    for fix in fixes[1:]:
        for segment in imu.segments(stamp, fix.stamp):
            for row in segment.rows:
                pim.integrateMeasurement(*row)
        stamp = fix.stamp
        velocity_sums.append(pim.deltaVij())
        position_sums.append(pim.deltaPij())
    t = np.array([fix.stamp - start.stamp for fix in fixes[1:]])[:, None]
    gravity = model.gravity(start.position)
    if all(fix.velocity is not None for fix in fixes):
        changes = np.array([fix.velocity for fix in fixes[1:]]) - start.velocity - gravity * t
        sums = np.array(velocity_sums)
    else:
        changes = np.array([fix.position for fix in fixes[1:]]) - start.position - 0.5 * gravity * t**2
        changes, sums = (_without_velocity(x, t) for x in (changes, np.array(position_sums)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a heading that is not observable
        rotation, _ = Rotation.align_vectors(changes, sums)
    return rot3(rotation.as_matrix())


def _without_velocity(vectors: Array, t: Array) -> Array:
    """(N, 3) less what is proportional to time: the first velocity is not known."""
    out: Array = vectors - t * (t * vectors).sum(axis=0) / (t**2).sum()
    return out
