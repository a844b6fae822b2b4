"""ALIKED (Zhao et al., IEEE TIM 2023), matched by LightGlue (Lindenberger et al., ICCV 2023)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.matching.attention import AttentionMatching, KeypointAttentionMatcher
from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.dense_extraction import DenseExtraction, Float
from geo_nav.matching.networks import Network, aliked
from geo_nav.matching.networks.lightglue import aliked_lightglue
from geo_nav.matching.registry import register_matcher

_TEMPERATURE = 0.1
"""Of the soft maximum; as the network was trained."""


def _networks() -> tuple[Network, ...]:
    return aliked.dense_network(), aliked.descriptor_network(), aliked_lightglue()


@register_matcher("aliked_lightglue", networks=_networks)
class AlikedLightGlueMatcher(KeypointAttentionMatcher):
    """ALIKED features matched by attention over both pictures: for models of another season or year."""

    name = "aliked_lightglue"

    def __init__(self, config: MatchingConfig) -> None:
        cv2.setNumThreads(config.threads)
        dense, descriptors, attention = _networks()
        extraction = DenseExtraction(
            dense,
            descriptors,
            config,
            stride=aliked.STRIDE,
            border=aliked.NMS_RADIUS,
            dimension=aliked.DIMENSION,
            threshold=config.aliked_threshold,
        )
        super().__init__(extraction, AttentionMatching(attention, config), soft_maximum)


def soft_maximum(pixels: npt.NDArray[np.intp], maps: tuple[Float, ...]) -> Float:
    """Keypoints to a fraction of a pixel: the mean of the pixels around, weighted by exp(score / temperature).

    Args:
        pixels: (N, 2), none nearer to the border than the radius.
        maps: the score map alone.

    Returns:
        (N, 2).
    """
    (scores,) = maps
    reach = np.arange(-aliked.NMS_RADIUS, aliked.NMS_RADIUS + 1)
    dv, du = (d.ravel() for d in np.meshgrid(reach, reach, indexing="ij"))
    around = scores[pixels[:, 1, None] + dv, pixels[:, 0, None] + du]
    weight = np.exp((around - around.max(axis=1, keepdims=True)) / _TEMPERATURE)
    shift = (weight @ np.column_stack([du, dv])) / weight.sum(axis=1, keepdims=True)
    return np.asarray(pixels + shift, np.float32)
