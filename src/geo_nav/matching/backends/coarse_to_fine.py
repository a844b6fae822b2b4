"""Keypoints while little is known, windows of the orientation field once the prior is tight."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from geo_nav.matching.backends.orientation import OrientationMatcher, WindowFeatures
from geo_nav.matching.backends.xfeat import XFeatMatcher
from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.networks.xfeat import xfeat
from geo_nav.matching.protocol import Features, Matches
from geo_nav.matching.registry import register_matcher

_LIKELY = 2.0
"""The radius is several sigmas wide; windows are still the better choice where they reach half of it."""


@dataclass(frozen=True, eq=False)
class PictureFeatures(WindowFeatures):
    """Windows of a picture, and its keypoints once somebody needs them.

    Attributes:
        image: the picture.
        mask: where features may lie.
        keypoint_features: empty, or the keypoint features of the picture.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_] | None
    keypoint_features: list[Features] = field(default_factory=list)


@register_matcher("xfeat_orientation", networks=lambda: (xfeat(),))
class XFeatOrientationMatcher:
    """XFeat where corresponding pixels may lie far apart, orientation windows where they must lie near.

    In flight the prior is tight nearly always, and then no keypoint is computed.
    """

    name = "xfeat_orientation"

    def __init__(self, config: MatchingConfig) -> None:
        self._reach = _LIKELY * config.window_reach
        self._windows = OrientationMatcher(config)
        self._keypoints = XFeatMatcher(config)

    def extract(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None) -> PictureFeatures:
        """See :class:`~geo_nav.matching.Matcher`."""
        w = self._windows.extract(image, mask)
        return PictureFeatures(w.keypoints, w.descriptors, w.scores, w.size, w.field, w.centres, image, mask)

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """See :class:`~geo_nav.matching.Matcher`."""
        if radius is not None and radius <= self._reach:
            return self._windows.match(query, reference, radius)
        found = self._keypoints.match(self._keypoints_of(query), self._keypoints_of(reference), radius)
        return replace(found, coarse=True)

    def _keypoints_of(self, features: Features) -> Features:
        assert isinstance(features, PictureFeatures)
        if not features.keypoint_features:
            features.keypoint_features.append(self._keypoints.extract(features.image, features.mask))
        found = features.keypoint_features[0]
        # A frame is set into the middle of a wider view: its keypoints move with it.
        margin = (np.array(features.size) - np.array(found.size)) // 2
        return replace(found, keypoints=(found.keypoints + margin).astype(np.float32), size=features.size)
