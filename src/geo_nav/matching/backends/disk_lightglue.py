"""DISK (Tyszkiewicz et al., NeurIPS 2020), matched by LightGlue (Lindenberger et al., ICCV 2023)."""

from __future__ import annotations

import cv2

from geo_nav.matching.attention import AttentionMatching, KeypointAttentionMatcher
from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.dense_extraction import DenseExtraction
from geo_nav.matching.networks import Network, disk
from geo_nav.matching.networks.lightglue import disk_lightglue
from geo_nav.matching.registry import register_matcher


def _networks() -> tuple[Network, ...]:
    return disk.dense_network(), disk.descriptor_network(), disk_lightglue()


@register_matcher("disk_lightglue", networks=_networks)
class DiskLightGlueMatcher(KeypointAttentionMatcher):
    """DISK features, at whole pixels, matched by attention over both pictures."""

    name = "disk_lightglue"

    def __init__(self, config: MatchingConfig) -> None:
        cv2.setNumThreads(config.threads)
        dense, descriptors, attention = _networks()
        extraction = DenseExtraction(
            dense,
            descriptors,
            config,
            stride=disk.STRIDE,
            border=disk.NMS_RADIUS,
            dimension=disk.DIMENSION,
            # Heat below zero is what the network was trained to give where there is nothing.
            threshold=0.0,
        )
        super().__init__(extraction, AttentionMatching(attention, config))
