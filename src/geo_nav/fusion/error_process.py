"""What successive registrations are off by alike.

Registrations of one place err together: the site model is off under all of them, another light moves all edges. Six
numbers of variance one, each a first-order Gauss-Markov process, hold what the errors have in common; the covariance
of a fix says what they amount to in it, along the axes of `map`, where a site's errors lie still. The rest, a share of
the variance, is new with every fix. (State augmentation for coloured measurement noise: Bryson & Johansen, "Linear
filtering for time-varying systems using measurements containing colored noise", IEEE TAC 1965.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from geo_nav.fusion.auxiliary import GaussMarkov, stationary

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ErrorProcess:
    """How the errors of absolute poses follow one another.

    Attributes:
        correlation_time: of the part that they share, s.
        white_share: of their variance that is new with every fix, 0 to 1.
    """

    correlation_time: float
    white_share: float

    @cached_property
    def walk(self) -> GaussMarkov:
        """The six numbers: rotation and position along the axes of `map`, in sigmas."""
        return stationary("registration error", self.correlation_time, 6)

    def shared(self, root: Array, R_map_axes: Array) -> Array:
        """(6, 6) the error of a pose by the six numbers.

        Args:
            root: (6, 6) symmetric root of its covariance, GTSAM order, in some axes.
            R_map_axes: (3, 3) these axes in `map`.
        """
        turned: Array = np.sqrt(1.0 - self.white_share) * root @ block_diag(R_map_axes, R_map_axes).T
        return turned


def square_root(covariance: Array) -> Array:
    """The symmetric one of a covariance (N, N): it turns with the axes, as no triangular one does."""
    values, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root
