"""SIFT with RootSIFT descriptors (Lowe 2004; Arandjelović and Zisserman 2012)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.features import eroded_mask, grey_image, keypoint_budget, no_features, spread_selection
from geo_nav.matching.nearest import mutual_nearest
from geo_nav.matching.protocol import Features, Matches
from geo_nav.matching.registry import register_matcher


@register_matcher("sift")
class SiftMatcher:
    """OpenCV's SIFT; mutual nearest neighbours with the ratio test.

    Sets the number of OpenCV's threads, which is one number for the process.
    """

    name = "sift"

    def __init__(self, config: MatchingConfig) -> None:
        self._config = config
        cv2.setNumThreads(config.threads)
        self._sift = cv2.SIFT_create(  # type: ignore[attr-defined]
            contrastThreshold=config.contrast_threshold, enable_precise_upscale=True
        )

    def extract(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None) -> Features:
        """See :class:`~geo_nav.matching.Matcher`."""
        grey = grey_image(image)
        size = (grey.shape[1], grey.shape[0])
        inner = eroded_mask(mask, grey.shape, margin=4)
        found = self._sift.detect(grey, None if inner is None else inner.astype(np.uint8) * 255)
        if not found:
            return no_features(size, 128)
        xy = np.array([k.pt for k in found], np.float32)
        response = np.array([k.response for k in found], np.float32)
        budget = keypoint_budget(grey.shape, self._config.keypoint_density, self._config.max_keypoints)
        kept = spread_selection(xy, response, size, budget)
        # compute() may drop a keypoint, so coordinates and scores are taken from what it returns.
        keypoints, descriptors = self._sift.compute(grey, [found[i] for i in kept])
        if not keypoints:
            return no_features(size, 128)
        return Features(
            np.array([k.pt for k in keypoints], np.float32),
            _root_sift(descriptors),
            np.array([k.response for k in keypoints], np.float32),
            size,
        )

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """See :class:`~geo_nav.matching.Matcher`."""
        return mutual_nearest(query, reference, radius, max_ratio=self._config.ratio)


def _root_sift(descriptors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Descriptors whose inner product is the Hellinger kernel; of unit length."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.sqrt(descriptors / total), np.float32)
