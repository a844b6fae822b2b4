"""Auxiliary variables: what a sensor needs to be known of beside the state, and what varies slowly.

The offset of a barometer or the scale of a wheel is a random walk; what successive fixes are off by alike comes back
to its mean. Both are first-order Gauss-Markov processes. In the graph each is a chain of keys ``A(n)``, one for each
bucket of some seconds, linked by factors with the noise of the process. A measurement, late or not, refers to the key
of the bucket that its own stamp lies in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from gtsam.symbol_shorthand import A

Array = npt.NDArray[np.float64]

_BUCKETS = 10
"""Keys of a stationary process within its correlation time: from one to the next a tenth of it is forgotten."""

_LEAST_BUCKET = 0.1
"""A key covers at least so many seconds: a process that forgets at once must not fill the graph."""


@dataclass(frozen=True)
class GaussMarkov:
    """One auxiliary variable: a scalar, or several numbers of the same kind that do not depend on one another.

    Attributes:
        name: of it, for checkpoints and reports.
        start: expected value before any measurement, and mean.
        sigma: 1 sigma of that; 0 holds the variable at ``start``, and it is not in the graph.
        density: noise density of the process, unit/√s.
        bucket: one key covers so many seconds.
        correlation_time: over which it forgets where it was, s; infinite: a random walk.
        dimension: of it; all else holds for each of its numbers.
    """

    name: str
    start: float
    sigma: float
    density: float
    bucket: float
    correlation_time: float = math.inf
    dimension: int = 1

    @property
    def mean(self) -> Array:
        """(dimension,) as expected before any measurement."""
        return np.full(self.dimension, self.start)

    @property
    def estimated(self) -> bool:
        """Whether it is a variable of the graph."""
        return self.sigma > 0.0

    @property
    def is_stationary(self) -> bool:
        """Whether it comes back to its mean: no property of a sensor that could be calibrated."""
        return math.isfinite(self.correlation_time)

    def step(self, dt: float) -> tuple[float, float]:
        """What remains of a deviation from the mean after ``dt`` seconds, and 1 sigma of the noise that joins it."""
        if not self.is_stationary:
            return 1.0, self.density * math.sqrt(dt)
        kept = math.exp(-dt / self.correlation_time)
        return kept, self.density * math.sqrt(0.5 * self.correlation_time * (1.0 - kept**2))

    def prior(self, key: int) -> Any:
        """The factor on its first key."""
        return gtsam.PriorFactorVector(key, self.mean, gtsam.noiseModel.Isotropic.Sigma(self.dimension, self.sigma))

    def link(self, before: int, after: int, dt: float) -> Any:
        """The factor between two of its keys that are ``dt`` seconds apart; linear, as the process is."""
        kept, sigma = self.step(dt)
        model = gtsam.noiseModel.Isotropic.Sigma(self.dimension, sigma)
        unit = np.eye(self.dimension)
        factor = gtsam.JacobianFactor(before, -kept * unit, after, unit, (1.0 - kept) * self.mean, model)
        # Without values of its own GTSAM would take the factor for one on the corrections.
        origin = gtsam.Values()
        for key in (before, after):
            origin.insert(key, np.zeros(self.dimension))
        return gtsam.LinearContainerFactor(factor, origin)


def stationary(name: str, correlation_time: float, dimension: int) -> GaussMarkov:
    """A process of mean 0 and variance 1 with an exponential autocorrelation.

    Args:
        name: of it.
        correlation_time: s.
        dimension: of it.
    """
    density, bucket = math.sqrt(2.0 / correlation_time), max(correlation_time / _BUCKETS, _LEAST_BUCKET)
    return GaussMarkov(name, 0.0, 1.0, density, bucket, correlation_time, dimension)


def means(walks: Sequence[GaussMarkov]) -> Array:
    """(n,) the n numbers of several variables, as expected before any measurement."""
    return np.concatenate([np.zeros(0), *(walk.mean for walk in walks)])


def columns(walks: Sequence[GaussMarkov], first: int = 0) -> list[slice]:
    """Where each of several variables stands in an array of all their numbers that begins at column ``first``."""
    ends = first + np.cumsum([0, *(walk.dimension for walk in walks)])
    return [slice(int(begin), int(end)) for begin, end in pairwise(ends)]


@dataclass(frozen=True)
class Node:
    """One key of a chain.

    Attributes:
        key: ``A(n)``.
        end: stamp at which its bucket ends, s.
    """

    key: int
    end: float


class Chain:
    """The keys of one auxiliary variable that are in the window, oldest first and without a gap.

    The smoother marginalises a key once its timestamp is older than the lag. That of a node is the end of its bucket,
    so a node outlives every state that can refer to it; it is never ahead of the newest state, because the smoother
    takes the latest timestamp of all for the present.

    Args:
        walk: the variable.
        stamp: the first bucket holds this, s.
        number: of the first key.
    """

    def __init__(self, walk: GaussMarkov, stamp: float, number: int) -> None:
        self.walk = walk
        self._bucket = math.floor(stamp / walk.bucket)
        self.nodes = [self._node(number)]

    def _node(self, number: int) -> Node:
        return Node(A(number), (self._bucket + 1) * self.walk.bucket)

    def extend(self, stamp: float, number: int) -> list[Node]:
        """Add the nodes up to the bucket of a stamp.

        Args:
            stamp: of the newest state, s.
            number: of the next key.

        Returns:
            The new ones.
        """
        added: list[Node] = []
        while self._bucket < math.floor(stamp / self.walk.bucket):
            self._bucket += 1
            added.append(self._node(number + len(added)))
        self.nodes += added
        return added

    def at(self, stamp: float) -> int:
        """The key of the bucket that holds a stamp of the window."""
        return next((node.key for node in self.nodes if stamp < node.end), self.nodes[-1].key)

    def timestamps(self, newest: float) -> dict[int, float]:
        """What the smoother is told, given the stamp of the newest state."""
        return {node.key: min(node.end, newest) for node in self.nodes}

    def forget(self, limit: float) -> None:
        """Drop the nodes that the smoother has marginalised: those with a timestamp before the limit."""
        self.nodes = [node for node in self.nodes if node.end >= limit]
