"""The keys that a measurement's factors hang on."""

from __future__ import annotations

from dataclasses import dataclass

from gtsam.symbol_shorthand import B, V, X


@dataclass(frozen=True)
class StateKeys:
    """Keys of one state.

    Attributes:
        pose: of `base_link` in `map`, ``gtsam.Pose3``.
        velocity: in `map`, m/s.
        bias: ``gtsam.imuBias.ConstantBias``.
        auxiliaries: of those of the measurement's auxiliary variables that are estimated, in their order.
    """

    pose: int
    velocity: int
    bias: int
    auxiliaries: tuple[int, ...] = ()

    @classmethod
    def of(cls, index: int, auxiliaries: tuple[int, ...] = ()) -> StateKeys:
        """The keys of the state with this index."""
        return cls(X(index), V(index), B(index), auxiliaries)
