"""XFeat (Potje et al., CVPR 2024), and its learned matcher LighterGlue (after LightGlue, Lindenberger et al. 2023)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.matching.attention import AttentionMatching
from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.features import eroded_mask, grey_image, keypoint_budget, no_features, spread_selection
from geo_nav.matching.nearest import mutual_nearest
from geo_nav.matching.networks import load_network
from geo_nav.matching.networks.lightglue import lighterglue
from geo_nav.matching.networks.xfeat import STRIDE, xfeat
from geo_nav.matching.protocol import Features, Matches
from geo_nav.matching.registry import register_matcher

Float = npt.NDArray[np.float32]


@register_matcher("xfeat", networks=lambda: (xfeat(),))
class XFeatMatcher:
    """XFeat features, mutual nearest neighbours."""

    name = "xfeat"

    def __init__(self, config: MatchingConfig) -> None:
        self._config = config
        cv2.setNumThreads(config.threads)
        self._network = load_network(xfeat(), config)

    def extract(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None) -> Features:
        """See :class:`~geo_nav.matching.Matcher`."""
        grey = grey_image(image)
        height, width = grey.shape
        rows, columns = height // STRIDE * STRIDE, width // STRIDE * STRIDE
        resized = grey if (rows, columns) == grey.shape else cv2.resize(grey, (columns, rows))
        maps = self._network(np.asarray(resized, np.float32)[None, None])
        descriptors, peaks, reliability = maps[0][0], maps[1][0, 0], maps[2][0, 0]
        v, u = np.nonzero(peaks > self._config.detection_threshold)
        xy = np.column_stack([u, v]).astype(np.float32)
        scores = peaks[v, u] * sample_map(reliability[None], xy, (columns, rows))[:, 0]
        keypoints = ((xy + 0.5) * [width / columns, height / rows] - 0.5).astype(np.float32)
        inner = eroded_mask(mask, grey.shape, margin=8)
        if inner is not None:
            pixel = np.clip(np.rint(keypoints).astype(int), 0, [width - 1, height - 1])
            allowed = inner[pixel[:, 1], pixel[:, 0]]
            xy, scores, keypoints = xy[allowed], scores[allowed], keypoints[allowed]
        if len(xy) == 0:
            return no_features((width, height), 64)
        budget = keypoint_budget(grey.shape, self._config.keypoint_density, self._config.max_keypoints)
        kept = spread_selection(keypoints, scores, (width, height), budget)
        sampled = sample_map(descriptors, xy[kept], (columns, rows))
        sampled /= np.maximum(np.linalg.norm(sampled, axis=1, keepdims=True), 1e-9)
        return Features(keypoints[kept], sampled, scores[kept], (width, height))

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """See :class:`~geo_nav.matching.Matcher`."""
        return mutual_nearest(query, reference, radius, min_similarity=self._config.min_similarity)


@register_matcher("xfeat_lighterglue", networks=lambda: (xfeat(), lighterglue()))
class XFeatLighterGlueMatcher(XFeatMatcher):
    """XFeat features, matched by attention over both pictures: slower, and finds more where they look different."""

    name = "xfeat_lighterglue"

    def __init__(self, config: MatchingConfig) -> None:
        super().__init__(config)
        self._attention = AttentionMatching(lighterglue(), config)

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """See :class:`~geo_nav.matching.Matcher`."""
        return self._attention(query, reference, radius)


def sample_map(values: Float, pixels: Float, size: tuple[int, int]) -> Float:
    """Bilinear samples of a coarse map at pixels of the full picture.

    Args:
        values: (C, h, w).
        pixels: (N, 2) of the picture.
        size: (width, height) of the picture, whole multiples of (w, h).

    Returns:
        (N, C).
    """
    _, h, w = values.shape
    x = np.clip((pixels[:, 0] + 0.5) * (w / size[0]) - 0.5, 0, w - 1)
    y = np.clip((pixels[:, 1] + 0.5) * (h / size[1]) - 0.5, 0, h - 1)
    x0, y0 = np.minimum(x.astype(int), w - 2), np.minimum(y.astype(int), h - 2)
    fx, fy = (x - x0).astype(np.float32)[:, None], (y - y0).astype(np.float32)[:, None]
    v = np.ascontiguousarray(values.transpose(1, 2, 0))
    top = v[y0, x0] * (1 - fx) + v[y0, x0 + 1] * fx
    bottom = v[y0 + 1, x0] * (1 - fx) + v[y0 + 1, x0 + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)
