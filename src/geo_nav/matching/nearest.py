"""Mutual nearest neighbours of descriptors, guided by how far apart two corresponding pixels can lie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo_nav.matching.protocol import Features, Matches

_ROWS = 256
"""Query features compared at a time: bounds the memory, and narrows the band of the picture that is searched."""
_FORBIDDEN = np.float32(-2.0)
"""Similarity of a pair that lies too far apart; below any cosine."""


def mutual_nearest(
    query: Features, reference: Features, radius: float | None, max_ratio: float = 1.0, min_similarity: float = -1.0
) -> Matches:
    """Pairs that are each other's nearest, among those that lie near enough in the picture.

    Descriptors have unit length, so that the cosine orders them as their distance does. With ``radius`` the
    second nearest of the ratio test (Lowe 2004) is sought within it too: a repeated structure outside of what the
    prior allows does not cost the match.

    Args:
        query: features of the camera frame.
        reference: features of the rendered view.
        radius: pixels; None compares all with all.
        max_ratio: largest ratio of the nearest to the second nearest descriptor distance; 1 does not test.
        min_similarity: least cosine.
    """
    n, m = len(query.keypoints), len(reference.keypoints)
    if n == 0 or m == 0:
        return _matches(query, reference, np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32))
    order_q = np.argsort(query.keypoints[:, 1], kind="stable")
    order_r = np.argsort(reference.keypoints[:, 1], kind="stable")
    xy_q, xy_r = query.keypoints[order_q], reference.keypoints[order_r]
    descriptors_q, descriptors_r = query.descriptors[order_q], reference.descriptors[order_r]

    nearest = np.zeros(n, int)
    best = np.full(n, _FORBIDDEN, np.float32)
    second = np.full(n, _FORBIDDEN, np.float32)
    back_nearest = np.full(m, -1)
    back_best = np.full(m, _FORBIDDEN, np.float32)
    for start in range(0, n, _ROWS):
        rows = slice(start, min(start + _ROWS, n))
        low, high = 0, m
        if radius is not None:
            low = int(np.searchsorted(xy_r[:, 1], xy_q[rows.start, 1] - radius))
            high = int(np.searchsorted(xy_r[:, 1], xy_q[rows.stop - 1, 1] + radius, side="right"))
        if low >= high:
            continue
        similarity = descriptors_q[rows] @ descriptors_r[low:high].T
        if radius is not None:
            dx = xy_q[rows, None, 0] - xy_r[None, low:high, 0]
            dy = xy_q[rows, None, 1] - xy_r[None, low:high, 1]
            similarity[dx * dx + dy * dy > np.float32(radius * radius)] = _FORBIDDEN
        column = similarity.argmax(axis=0)
        column_best = similarity[column, np.arange(high - low)]
        better = column_best > back_best[low:high]
        back_best[low:high][better] = column_best[better]
        back_nearest[low:high][better] = column[better] + start
        index = np.arange(similarity.shape[0])
        row = similarity.argmax(axis=1)
        nearest[rows], best[rows] = row + low, similarity[index, row]
        similarity[index, row] = _FORBIDDEN
        second[rows] = similarity.max(axis=1)

    kept = (back_nearest[nearest] == np.arange(n)) & (best > _FORBIDDEN) & (best >= min_similarity)
    # |a - b|² = 2 - 2 cos for unit vectors; a lone candidate (second forbidden) passes the ratio test.
    # The floor, float32's resolution, lets twins of the same descriptor fail the test.
    distance, runner_up = np.maximum(2.0 - 2.0 * best, 1e-6), np.maximum(2.0 - 2.0 * second, 1e-6)
    kept &= (second == _FORBIDDEN) | (distance <= max_ratio**2 * runner_up)
    return _matches(query, reference, order_q[kept], order_r[nearest[kept]], np.clip(best[kept], 0.0, 1.0))


def _matches(
    query: Features,
    reference: Features,
    i: npt.NDArray[np.intp],
    j: npt.NDArray[np.intp],
    scores: npt.NDArray[np.float32],
) -> Matches:
    return Matches(query.keypoints[i], reference.keypoints[j], scores.astype(np.float32))
