"""The robust loss of the factors of measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gtsam
import numpy as np

if TYPE_CHECKING:
    from geo_nav.fusion.config import FusionConfig


def robust(model: Any, config: FusionConfig, is_fix: bool = False) -> Any:
    """The noise model with the configured loss; GTSAM applies it to the whitened norm of the whole factor.

    Args:
        model: Gaussian.
        config: settings.
        is_fix: whether the factor is that of a fix; ``gnc`` weighs these itself, all others get Huber's loss.
    """
    width = config.robust_width * float(np.sqrt(model.dim()))
    estimators = gtsam.noiseModel.mEstimator
    loss: Any
    match config.robust_loss:
        case "none":
            return model
        case "cauchy":
            loss = estimators.Cauchy.Create(width)
        case "tukey":
            # Tukey is zero beyond its width; 4.685/1.345 is the ratio of the usual widths of Tukey and Huber.
            loss = estimators.Tukey.Create(width * 4.685 / 1.345)
        case "max_mixture":
            loss = max_mixture(model.dim(), config.mixture_weight, config.mixture_scale)
        case "gnc" if is_fix:
            return model
        case _:
            loss = estimators.Huber.Create(width)
    return gtsam.noiseModel.Robust.Create(loss, model)


def max_mixture(dimension: int, share: float, scale: float) -> Any:
    """The better of two Gaussians for a whitened norm (Olson & Agarwal, "Inference on Networks of Mixtures for Robust
    Robot Mapping", RSS 2012), as ``gtsam.noiseModel.mEstimator.Custom``.

    Args:
        dimension: of the factor.
        share: weight of the wide Gaussian, 0 to 1.
        scale: its sigma over that of the narrow one, above 1.
    """
    narrow = 1.0 / scale**2
    cost = dimension * np.log(scale) + np.log((1.0 - share) / share)
    edge = float(np.sqrt(2.0 * cost / (1.0 - narrow)))

    def loss(norm: Any) -> float:
        return float(0.5 * norm**2 if norm <= edge else 0.5 * narrow * norm**2 + cost)

    def weight(norm: Any) -> float:
        return 1.0 if norm <= edge else narrow

    return gtsam.noiseModel.mEstimator.Custom.Create(weight, loss)
