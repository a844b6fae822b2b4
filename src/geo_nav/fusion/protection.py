"""Protection levels: how far the position may be off, for a given small probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from geo_nav.fusion.consistency import Consistency, Verdict

Array = npt.NDArray[np.float64]

_NODES = np.cos((np.arange(64) + 0.5) * np.pi / 128) ** 2
"""cos² at the middles of 64 equal parts of a right angle."""

_NEWTON_STEPS = 8


@dataclass(frozen=True)
class ProtectionLevels:
    """How far the position may be off; nan before the start, inf while the fixes contradict the state.

    Attributes:
        horizontal_95: radius that the horizontal error exceeds with a probability of 5 %, m.
        horizontal_999: of 0.1 %, m.
        vertical_95: the same for the error in height, up or down, m.
        vertical_999: m.
        reason: what they rest on, in words.
    """

    horizontal_95: float = float("nan")
    horizontal_999: float = float("nan")
    vertical_95: float = float("nan")
    vertical_999: float = float("nan")
    reason: str = "there is no state yet"


def horizontal_radius(covariance: npt.ArrayLike, probability: float) -> Array:
    """The radius inside which a plane Gaussian error stays with a probability.

    Along the ellipse's own angle φ the error is Rayleigh distributed, so the chance to exceed r is the mean over φ of
    exp(-r² / 2(λ₁ cos²φ + λ₂ sin²φ)), with λ the eigenvalues. That is convex in r², and Newton's steps from the radius
    of the longer axis alone never overshoot.

    Args:
        covariance: (..., 2, 2), m².
        probability: 0 to 1.

    Returns:
        (...), m; exact to rounding for every shape of the ellipse.
    """
    eigenvalues = np.linalg.eigvalsh(np.asarray(covariance, dtype=np.float64))
    longer, shorter = eigenvalues[..., 1], np.maximum(eigenvalues[..., 0], 0.0)
    flatness = np.divide(shorter, longer, out=np.ones_like(longer), where=longer > 0.0)
    variance = _NODES + flatness[..., None] * (1.0 - _NODES)
    square = np.full(longer.shape, float(ndtri(0.5 + 0.5 * probability)) ** 2)
    for _ in range(_NEWTON_STEPS):
        chances = np.exp(-0.5 * square[..., None] / variance)
        slope = 0.5 * (chances / variance).mean(axis=-1)
        square += (chances.mean(axis=-1) - (1.0 - probability)) / slope
    radius: Array = np.sqrt(square * longer)
    return radius


def protection_levels(
    covariance: Array, consistency: Mapping[str, Consistency], rivals: int, rival_limit: int
) -> ProtectionLevels:
    """The levels of a state.

    Where a kind of measurement finds the covariances too small, all levels grow by the root of the factor that would
    explain it, the largest of all kinds.

    Args:
        covariance: (3, 3) of the position in `map`, m².
        consistency: by kind of measurement.
        rivals: refused fixes that agree on another state.
        rival_limit: with so many, the state may be anywhere.
    """
    if rivals >= rival_limit:
        everywhere = float("inf")
        reason = f"{rivals} refused fixes agree on another state: this one may be wrong"
        return ProtectionLevels(everywhere, everywhere, everywhere, everywhere, reason)
    alarming = (Verdict.OVERCONFIDENT, Verdict.CONTRADICTED)
    found = {k: c.variance_ratio for k, c in consistency.items() if c.verdict in alarming and c.nis > c.high}
    kind, ratio = max(found.items(), key=lambda item: item[1], default=("", 1.0))
    scale = max(1.0, float(np.sqrt(ratio)))
    reason = f"{scale:.2f} times what the covariance says: {kind} finds it too small" if found else "the covariance"
    sigma = scale * float(np.sqrt(covariance[2, 2]))
    return ProtectionLevels(
        scale * float(horizontal_radius(covariance[:2, :2], 0.95)),
        scale * float(horizontal_radius(covariance[:2, :2], 0.999)),
        sigma * float(ndtri(0.975)),
        sigma * float(ndtri(0.9995)),
        reason,
    )
