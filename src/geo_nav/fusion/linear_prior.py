"""A belief as one factor of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gtsam
import numpy as np

from geo_nav.fusion.auxiliary import columns
from geo_nav.fusion.belief import Belief, graph_jacobian


def linear_prior(first: Belief, keys: Sequence[int]) -> Any:
    """A factor that is a belief: its Jacobian stays as it is there, whatever becomes of the variables.

    ``gtsam.JacobianFactor`` would do, but from Python it takes three keys at most.

    Args:
        first: the belief.
        keys: of pose, velocity, bias and the auxiliary variables.
    """
    whitening = np.linalg.solve(
        np.linalg.cholesky(first.covariance), graph_jacobian(first.nav.attitude().matrix(), len(first.values))
    )
    pose, velocity, bias = first.nav.pose(), first.nav.velocity(), first.bias.vector()
    blocks = [slice(0, 6), slice(6, 9), slice(9, 15), *columns(first.walks, 15)]

    def error(factor: Any, values: Any, jacobians: Any) -> Any:
        if jacobians is not None:
            for k, column in enumerate(blocks):
                jacobians[k] = whitening[:, column]
        auxiliaries = np.concatenate([np.zeros(0), *(values.atVector(key) for key in keys[3:])])
        return whitening @ np.concatenate(
            [
                pose.localCoordinates(values.atPose3(keys[0])),
                values.atVector(keys[1]) - velocity,
                values.atConstantBias(keys[2]).vector() - bias,
                auxiliaries - first.values,
            ]
        )

    return gtsam.CustomFactor(gtsam.noiseModel.Unit.Create(len(whitening)), keys, error)
