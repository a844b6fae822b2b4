"""Features matched by attention over both pictures: LightGlue's networks behind plain arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.dense_extraction import DenseExtraction, Refinement
from geo_nav.matching.networks import Network, load_network
from geo_nav.matching.protocol import Features, Matches

_MOST_KEYPOINTS = 4096
"""Of each picture; time and memory grow with the product of both, and the networks were trained on half as many."""


class AttentionMatching:
    """Which features of two pictures correspond, by a network of the LightGlue family.

    Raises:
        MatchingError: the network is not installed or the device is not there.
    """

    def __init__(self, network: Network, config: MatchingConfig) -> None:
        self._run = load_network(network, config)
        self._min_confidence = config.min_confidence

    def __call__(self, query: Features, reference: Features, radius: float | None) -> Matches:
        """The matches whose confidence suffices; what lies further apart than ``radius`` pixels is dropped."""
        if len(query.keypoints) == 0 or len(reference.keypoints) == 0:
            return Matches(query.keypoints[:0], reference.keypoints[:0], query.scores[:0])
        query, reference = _best(query), _best(reference)
        partner, confidence = self._run(
            _normalized(query)[None], _normalized(reference)[None], query.descriptors[None], reference.descriptors[None]
        )
        i = np.nonzero(confidence[0] > self._min_confidence)[0]
        j = partner[0][i]
        if radius is not None:
            near = np.linalg.norm(query.keypoints[i] - reference.keypoints[j], axis=1) <= radius
            i, j = i[near], j[near]
        return Matches(query.keypoints[i], reference.keypoints[j], np.clip(confidence[0][i], 0.0, 1.0))


class KeypointAttentionMatcher:
    """Keypoints that one pair of networks finds and describes, matched by attention: what the backends share.

    Args:
        extraction: finds and describes keypoints.
        matching: says which correspond.
        refine: see :class:`~geo_nav.matching.dense_extraction.DenseExtraction`.
    """

    def __init__(
        self, extraction: DenseExtraction, matching: AttentionMatching, refine: Refinement | None = None
    ) -> None:
        self._extraction, self._matching, self._refine = extraction, matching, refine

    def extract(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None) -> Features:
        """See :class:`~geo_nav.matching.Matcher`."""
        return self._extraction(image, mask, self._refine)

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """See :class:`~geo_nav.matching.Matcher`."""
        return self._matching(query, reference, radius)


def _best(features: Features) -> Features:
    """The first of the features, which are the best."""
    if len(features.keypoints) <= _MOST_KEYPOINTS:
        return features
    return replace(
        features,
        keypoints=features.keypoints[:_MOST_KEYPOINTS],
        descriptors=features.descriptors[:_MOST_KEYPOINTS],
        scores=features.scores[:_MOST_KEYPOINTS],
    )


def _normalized(features: Features) -> npt.NDArray[np.float32]:
    """(N, 2) keypoints from the picture's centre, in halves of its longer side."""
    size = np.array(features.size, np.float32)
    return np.asarray((features.keypoints - size / 2) / (size.max() / 2), np.float32)
