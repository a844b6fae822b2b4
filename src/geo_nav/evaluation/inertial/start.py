"""The one start that all estimators have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.record import Fixes, Record
from geo_nav.fusion import Fusion, ImuSample
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.checkpoint import from_checkpoint
from geo_nav.geodesy import Pose

UPDATE_EVERY = 0.1
"""The worker's period, s of the log's time."""


@dataclass(frozen=True, eq=False)
class Start:
    """The belief at the end of the start's seconds.

    Attributes:
        checkpoint: as ``Fusion.restore`` takes it.
        belief: the same, as the others take it.
        sample: index of the IMU sample at its stamp.
    """

    checkpoint: dict[str, Any]
    belief: Belief
    sample: int


def find_start(record: Record) -> Start:
    """Fusion over the first seconds with every fix and the attitudes.

    Raises:
        EvaluationError: fusion has not started by then.
    """
    fusion = Fusion(record.config, record.frame, Pose.identity())
    imu, fixes, attitudes = record.imu, record.fixes, record.attitudes
    for stamp, rotation in zip(attitudes.stamps, attitudes.rotations.as_matrix(), strict=True):
        if stamp <= imu.stamps[0] + record.start_seconds:
            fusion.add_attitude(float(stamp), rotation)
    following, due, sample = 0, float(imu.stamps[0]), 0
    for sample, stamp in enumerate(imu.stamps):
        if stamp > imu.stamps[0] + record.start_seconds:
            break
        fusion.add_imu(ImuSample(float(stamp), imu.acceleration[sample], imu.angular_velocity[sample]))
        while following < len(fixes.stamps) and fixes.stamps[following] <= stamp:
            give(fusion, fixes, following)
            following += 1
        if stamp >= due:
            fusion.update()
            due += UPDATE_EVERY
    fusion.update()
    checkpoint = fusion.checkpoint()
    if checkpoint is None:
        raise EvaluationError(f"{record.name}: no start in {record.start_seconds:g} s: {fusion.status().reason}")
    belief, _ = from_checkpoint(checkpoint, record.frame, ())
    return Start(checkpoint, belief, int(np.searchsorted(imu.stamps, belief.stamp)))


def give(fusion: Fusion, fixes: Fixes, index: int) -> None:
    """Queue one of the fixes."""
    velocity = None if fixes.velocities is None else fixes.velocities[index]
    fusion.add_gps(float(fixes.stamps[index]), fixes.positions[index], np.diag(fixes.sigmas**2), velocity_enu=velocity)
