"""DISK (Tyszkiewicz et al., NeurIPS 2020), matched by LightGlue (Lindenberger et al., ICCV 2023)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.matching.attention import AttentionMatching
from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.dense_extraction import DenseExtraction
from geo_nav.matching.networks import Network, disk
from geo_nav.matching.networks.lightglue import disk_lightglue
from geo_nav.matching.protocol import Features, Matches
from geo_nav.matching.registry import register_matcher


def _networks() -> tuple[Network, ...]:
    return disk.dense_network(), disk.descriptor_network(), disk_lightglue()


@register_matcher("disk_lightglue", networks=_networks)
class DiskLightGlueMatcher:
    """DISK features, at whole pixels, matched by attention over both pictures."""

    name = "disk_lightglue"

    def __init__(self, config: MatchingConfig) -> None:
        cv2.setNumThreads(config.threads)
        dense, descriptors, attention = _networks()
        self._extract = DenseExtraction(
            dense,
            descriptors,
            config,
            stride=disk.STRIDE,
            border=disk.NMS_RADIUS,
            dimension=disk.DIMENSION,
            # Heat below zero is what the network was trained to give where there is nothing.
            threshold=0.0,
        )
        self._match = AttentionMatching(attention, config)

    def extract(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None) -> Features:
        """See :class:`~geo_nav.matching.Matcher`."""
        return self._extract(image, mask)

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """See :class:`~geo_nav.matching.Matcher`."""
        return self._match(query, reference, radius)
