"""The fused odometry at a frame's stamp, for a node that waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from nav_msgs.msg import Odometry

from geo_nav.geodesy import Pose
from geo_nav.nodes.base import GeoNavNode, reliable
from geo_nav.nodes.odometry_history import OdometryHistory

Array = npt.NDArray[np.float64]


class Priors:
    """Subscribes to `odometry` and answers for a stamp; any thread may ask.

    Args:
        node: whose subscription it is.
        stopped: asked while waiting; True gives up.
    """

    def __init__(self, node: GeoNavNode, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._history = OdometryHistory()
        node.subscribe(Odometry, "odometry", self._history.add, reliable(200), raw=True)

    def at(self, stamp: float, patience: float) -> tuple[Pose, Array] | None:
        """Odometry (T_map_base, (6, 6) covariance) at a stamp, see :meth:`OdometryHistory.at`.

        Args:
            stamp: s.
            patience: seconds to wait for a message that is not older.
        """
        deadline = time.monotonic() + patience
        while not self._history.reaches(stamp):
            if time.monotonic() > deadline or self._stopped():
                return None
            time.sleep(0.01)
        return self._history.at(stamp)
