"""Auxiliary variables: what a sensor needs to be known of beside the state, and what varies slowly.

The offset of a barometer or the scale of a wheel is a random walk. In the graph it is a chain of keys ``A(n)``, one for
each bucket of some seconds, linked by factors with the noise of the walk. A measurement, late or not, refers to the key
of the bucket that its own stamp lies in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gtsam.symbol_shorthand import A


@dataclass(frozen=True)
class RandomWalk:
    """One auxiliary variable, a scalar.

    Attributes:
        name: of it, for checkpoints and reports.
        start: expected value before any measurement.
        sigma: 1 sigma of that; 0 holds the variable at ``start``, and it is not in the graph.
        density: noise density of the walk, unit/√s.
        bucket: one key covers so many seconds.
    """

    name: str
    start: float
    sigma: float
    density: float
    bucket: float

    @property
    def estimated(self) -> bool:
        """Whether it is a variable of the graph."""
        return self.sigma > 0.0


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

    def __init__(self, walk: RandomWalk, stamp: float, number: int) -> None:
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
