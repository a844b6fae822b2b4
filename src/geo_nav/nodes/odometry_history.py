"""The fused odometry of the last seconds: where the vehicle was at a frame's stamp."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
from nav_msgs.msg import Odometry

from geo_nav.geodesy import Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.serialization import deserialized

Array = npt.NDArray[np.float64]

_HISTORY = 2000
"""Odometry messages kept: 10 s at 200 Hz."""


class OdometryHistory:
    """One thread adds, any thread may ask."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, bytes]] = deque(maxlen=_HISTORY)

    def add(self, data: bytes) -> None:
        """Keeps a serialized nav_msgs/Odometry; one that is not newer than the last is passed over."""
        # 200 a second come and few are needed: they are kept as bytes, and only those of a frame are deserialized.
        stamp = conversion.serialized_stamp(data)
        if self._history and stamp <= self._history[-1][0] - 1.0:
            self._history.clear()  # the clock was set back: a bag was started again
        if not self._history or stamp > self._history[-1][0]:
            self._history.append((stamp, bytes(data)))

    def reaches(self, stamp: float) -> bool:
        """Whether there is a message that is not older than a stamp, s."""
        history = self._history
        try:
            return history[-1][0] >= stamp
        except IndexError:
            return False

    def at(self, stamp: float) -> tuple[Pose, Array] | None:
        """Odometry (T_map_base, (6, 6) covariance) at a stamp (s), interpolated between the two messages around it.

        None where there is none around it, or the two are far apart.
        """
        history = list(self._history)
        if not history or history[-1][0] < stamp:
            return None
        index = next(i for i in range(len(history) - 1, -1, -1) if i == 0 or history[i - 1][0] <= stamp)
        after_stamp, after_data = history[index]
        if index == 0:
            return None if after_stamp - stamp > 0.05 else self._odometry(after_data)
        before_stamp, before_data = history[index - 1]
        if after_stamp - before_stamp > 0.5:
            return None
        (before, _), (after, covariance) = self._odometry(before_data), self._odometry(after_data)
        return before.interpolate(after, (stamp - before_stamp) / (after_stamp - before_stamp)), covariance

    @staticmethod
    def _odometry(data: bytes) -> tuple[Pose, Array]:
        return conversion.pose_and_covariance(deserialized(data, Odometry))
