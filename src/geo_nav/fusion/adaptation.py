"""IMU noise that follows the innovations of the fixes.

The noise densities of a data sheet, or of an Allan variance at rest, say nothing of vibration, of motion between the
samples and of errors of scale and alignment. Where the fixes contradict the prediction for longer by more than its
covariance allows, all the IMU's noise is scaled up until they do not; it comes down again slowly (innovation-based
adaptive estimation: Mehra, On the identification of variances and adaptive Kalman filtering, IEEE TAC 1970).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from geo_nav.fusion.belief import Belief
from geo_nav.fusion.config import FusionConfig

_WIDEST_ROTATION = 0.5
_WIDEST_VELOCITY = 50.0
"""Beyond these sigmas, rad and m/s, a linearised covariance means nothing."""

_MEMORY = 6.0
"""Independent fixes over which the normalised innovation is averaged."""

_TOO_LARGE = 2.0
"""Mean of the normalised innovation squared, a dimension, above which the noise grows; 1 is expected. Honest fixes
exceed it once in 1,500 with three dimensions, once in 100,000 with six."""

_STEP = 2.0**0.25
"""The scale moves on the powers of this: the preintegration's parameters are cached for each."""

_LARGEST = 32.0
_RELAXATION = 0.02
"""The logarithm of the scale falls by this with each independent fix that finds the noise large enough."""


class NoiseAdaptation:
    """Estimates the factor by which the IMU's noise exceeds the configured one."""

    def __init__(self) -> None:
        self._mean = 1.0
        self._log_scale = 0.0

    @property
    def scale(self) -> float:
        """The factor, 1 or more."""
        return _STEP ** round(self._log_scale / math.log(_STEP))

    def observe(self, distance: float, dimension: int, independence: float) -> float:
        """Take the innovation of a fix that is believed.

        Args:
            distance: squared Mahalanobis distance of fix and prediction.
            dimension: of that.
            independence: of its error from that of the fix before it, 0 to 1.

        Returns:
            what the covariance of the state is to be multiplied by; mostly 1.
        """
        weight = independence / _MEMORY
        self._mean += weight * (distance / dimension - self._mean)
        if self._mean <= _TOO_LARGE:
            self._log_scale = max(0.0, self._log_scale - _RELAXATION * independence)
            return 1.0
        excess, self._mean = self._mean, 1.0
        self._log_scale = min(self._log_scale + 0.5 * math.log(excess), math.log(_LARGEST))
        return excess

    def overthrown(self) -> None:
        """The state was given up, so it had been believed too much."""
        self._log_scale = min(self._log_scale + math.log(2.0), math.log(_LARGEST))
        self._mean = 1.0


def widened(belief: Belief, factor: float, config: FusionConfig) -> Belief:
    """A belief that was more wrong than it said.

    Args:
        belief: of a state.
        factor: of the variances; those of rotation, velocity and biases grow up to a limit, the correlations stay.
        config: limits of the biases.
    """
    limits = [_WIDEST_ROTATION, np.inf, _WIDEST_VELOCITY, config.accelerometer_bias_sigma, config.gyroscope_bias_sigma]
    sigmas = np.sqrt(np.diag(belief.covariance))
    scale = np.ones(len(sigmas))
    scale[:15] = np.clip(np.repeat(limits, 3) / sigmas[:15], 1.0, math.sqrt(factor))
    return replace(belief, covariance=scale[:, None] * belief.covariance * scale)
