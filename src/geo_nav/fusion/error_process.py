"""What successive GPS fixes are off by alike.

Satellites, ionosphere and reflections hardly change from one fix to the next, and neither does what they do to it.
Three numbers of variance one, a first-order Gauss-Markov process, hold what the errors have in common; the covariance
of a fix says what they amount to in it. The rest, a share of the variance, is new with every fix. (State augmentation
for coloured measurement noise: Bryson & Johansen, "Linear filtering for time-varying systems using measurements
containing colored noise", IEEE TAC 1965.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from geo_nav.fusion.auxiliary import GaussMarkov, stationary

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ErrorProcess:
    """How the errors of positions follow one another.

    Attributes:
        name: of the common part, for checkpoints.
        correlation_time: of the part that they share, s.
        white_share: of their variance that is new with every fix, 0 to 1.
    """

    name: str
    correlation_time: float
    white_share: float

    @cached_property
    def walk(self) -> GaussMarkov:
        """The common part along the axes of `map`, in sigmas."""
        return stationary(self.name, self.correlation_time, 3)

    @property
    def innovation_time(self) -> float:
        """τ with which the mean square of N innovations is worth N tanh(Δt / 2τ) independent ones, s; rather too long.

        Errors correlate by (1 - w) exp(-Δt / τ), and their squares by the square of that.
        """
        return 0.5 * (1.0 - self.white_share) * self.correlation_time

    def shared(self, covariance: Array) -> Array:
        """(3, 3) the error of a position with a covariance (3, 3), by the common part."""
        # The symmetric root: errors keep their direction where the covariance grows or shrinks.
        values, vectors = np.linalg.eigh(covariance)
        root: Array = (vectors * np.sqrt((1.0 - self.white_share) * np.maximum(values, 0.0))) @ vectors.T
        return root
