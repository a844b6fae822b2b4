"""Graduated non-convexity over the window: the weights of its fixes, found anew with every solution.

Truncated least squares after Yang, Antonante, Tzoumas & Carlone, "Graduated Non-Convexity for Robust Spatial
Perception", RA-L 2020: a fix whose whitened error is beyond the width ends with the weight zero, one within it with
one. On the way there the cost goes from convex to truncated. In a batch that is one sequence of solutions; here every
fix goes through its own, two solutions an update at most, and may come back as long as it is in the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gtsam
import numpy as np

from geo_nav.fusion.config import FusionConfig

_STEP = 1.4
"""What the control parameter grows by from one solution to the next, as in the paper."""

_LAST = 1e3
"""Beyond this the weights are zero or one."""

_CHANGE = 0.05
"""A weight that has changed by less is left as it is: another factor costs as much as a new fix."""


@dataclass(eq=False)
class _Entry:
    """A factor of the graph: as it was made, its control parameter (0: not judged yet), its weight and its slot."""

    factor: Any
    slot: int | None
    control: float = 0.0
    weight: float = 1.0


class Graduation:
    """The weights of the factors of fixes. Not thread-safe: it belongs to the window.

    Args:
        config: settings.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._width = config.robust_width
        self._entries: list[_Entry] = []

    def take(self, factor: Any, slot: int) -> None:
        """A factor has entered the graph, with a Gaussian noise model and no loss."""
        self._entries.append(_Entry(factor, slot))

    def forget(self, gone: set[int]) -> None:
        """States of these indices have left the window."""
        self._entries = [e for e in self._entries if gtsam.symbolIndex(e.factor.keys()[0]) not in gone]

    def apply(self, smoother: Any) -> bool:
        """Weigh all factors by the solution, exchange those whose weight has changed, and solve again.

        Returns:
            Whether anything has changed.
        """
        graph, removed, entering = gtsam.NonlinearFactorGraph(), [], []
        for entry in self._entries:
            weight = self._weight(entry, 2.0 * entry.factor.error(_values(smoother, entry.factor.keys())))
            if abs(weight - entry.weight) < _CHANGE and (weight == entry.weight or 0.0 < weight < 1.0):
                continue
            entry.weight = weight
            if entry.slot is not None:
                removed.append(entry.slot)
                entry.slot = None
            if weight > 0.0:
                root = np.sqrt(weight) * entry.factor.noiseModel().R()
                model = gtsam.noiseModel.Gaussian.SqrtInformation(root)
                graph.add(entry.factor.cloneWithNewNoiseModel(model))
                entering.append(entry)
        if not removed and not entering:
            return False
        smoother.update(graph, gtsam.Values(), {}, removed)
        for entry, slot in zip(entering, smoother.getISAM2Result().getNewFactorsIndices(), strict=True):
            entry.slot = slot
        return True

    def _weight(self, entry: _Entry, square: float) -> float:
        """The weight for a squared whitened error, and one step on of the control parameter."""
        limit = self._width**2 * entry.factor.dim()
        if entry.control == 0.0:
            if 2.0 * square <= limit:
                return 1.0
            entry.control = limit / (2.0 * square - limit)
        mu = entry.control
        entry.control = min(_STEP * mu, _LAST)
        if square <= mu / (mu + 1.0) * limit:
            return 1.0
        if square >= (mu + 1.0) / mu * limit:
            return 0.0
        return float(np.sqrt(limit / square * mu * (mu + 1.0)) - mu)


def _values(smoother: Any, keys: list[int]) -> Any:
    """Poses and velocities as last solved."""
    values = gtsam.Values()
    for key in keys:
        if chr(gtsam.symbolChr(key)) == "x":
            values.insert(key, smoother.calculateEstimatePose3(key))
        else:
            values.insert(key, smoother.calculateEstimateVector(key))
    return values
