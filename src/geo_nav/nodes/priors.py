"""The fused odometry of the last seconds: where the vehicle was at a frame's stamp."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message

from geo_nav.geodesy import Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.base import GeoNavNode, reliable

Array = npt.NDArray[np.float64]

_HISTORY = 2000
"""Odometry messages kept: 10 s at 200 Hz."""


class Priors:
    """Subscribes to `odometry` and answers for a stamp; any thread may ask.

    Args:
        node: whose subscription it is.
        stopped: asked while waiting; True gives up.
    """

    def __init__(self, node: GeoNavNode, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._history: deque[tuple[float, bytes]] = deque(maxlen=_HISTORY)
        node.subscribe(Odometry, "odometry", self._add, reliable(200), raw=True)

    def _add(self, data: bytes) -> None:
        # 200 a second come and few are needed: they are kept as bytes, and only those of a frame are deserialized.
        stamp = conversion.serialized_stamp(data)
        if self._history and stamp <= self._history[-1][0] - 1.0:
            self._history.clear()  # the clock was set back: a bag was started again
        if not self._history or stamp > self._history[-1][0]:
            self._history.append((stamp, bytes(data)))

    def at(self, stamp: float, patience: float) -> tuple[Pose, Array] | None:
        """Odometry (T_map_base, (6, 6) covariance) at a stamp, interpolated between the two messages around it.

        Args:
            stamp: s.
            patience: seconds to wait for a message that is not older.
        """
        deadline = time.monotonic() + patience
        while True:
            history = list(self._history)
            if history and history[-1][0] >= stamp:
                break
            if time.monotonic() > deadline or self._stopped():
                return None
            time.sleep(0.01)
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
        return conversion.pose_and_covariance(deserialize_message(data, Odometry))
