"""The robust loss of the factors of measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gtsam
import numpy as np

if TYPE_CHECKING:
    from geo_nav.fusion.config import FusionConfig


def robust(model: Any, config: FusionConfig) -> Any:
    """The noise model with the configured loss; GTSAM applies it to the whitened norm of the whole factor."""
    width = config.robust_width * float(np.sqrt(model.dim()))
    estimators = gtsam.noiseModel.mEstimator
    match config.robust_loss:
        case "huber":
            return gtsam.noiseModel.Robust.Create(estimators.Huber.Create(width), model)
        case "cauchy":
            return gtsam.noiseModel.Robust.Create(estimators.Cauchy.Create(width), model)
        case "tukey":
            # Tukey is zero beyond its width; 4.685/1.345 is the ratio of the usual widths of Tukey and Huber.
            return gtsam.noiseModel.Robust.Create(estimators.Tukey.Create(width * 4.685 / 1.345), model)
        case _:
            return model
