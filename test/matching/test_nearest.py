import numpy as np
import pytest

from geo_nav.matching import Features
from geo_nav.matching.nearest import mutual_nearest


def features(rng: np.random.Generator, n: int, dimension: int = 16) -> Features:
    descriptors = rng.normal(size=(n, dimension))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    xy = rng.uniform(0, [640, 480], (n, 2))
    return Features(xy.astype(np.float32), descriptors.astype(np.float32), np.ones(n, np.float32), (640, 480))


def brute_force(a: Features, b: Features, radius: float | None, ratio: float) -> set[tuple[int, int]]:
    distance = np.linalg.norm(a.descriptors[:, None].astype(float) - b.descriptors[None], axis=2)
    if radius is not None:
        far = np.linalg.norm(a.keypoints[:, None].astype(float) - b.keypoints[None], axis=2) > radius
        distance[far] = np.inf
    pairs = set()
    for i in range(len(distance)):
        j = int(distance[i].argmin())
        best, second = np.sort(distance[i])[:2]
        if np.isfinite(best) and int(distance[:, j].argmin()) == i and best <= ratio * second:
            pairs.add((i, j))
    return pairs


@pytest.mark.parametrize("radius", [None, 200.0, 40.0])
@pytest.mark.parametrize("ratio", [1.0, 0.9])
def test_equals_brute_force(radius: float | None, ratio: float) -> None:
    rng = np.random.default_rng(3)
    a, b = features(rng, 700), features(rng, 600)
    found = mutual_nearest(a, b, radius, max_ratio=ratio)
    index_a = {tuple(xy): i for i, xy in enumerate(a.keypoints.tolist())}
    index_b = {tuple(xy): i for i, xy in enumerate(b.keypoints.tolist())}
    pairs = {
        (index_a[tuple(p)], index_b[tuple(q)])
        for p, q in zip(found.query.tolist(), found.reference.tolist(), strict=True)
    }
    expected = brute_force(a, b, radius, ratio)
    assert len(expected) > 20
    assert pairs == expected


def test_radius_recovers_what_a_twin_elsewhere_hides() -> None:
    rng = np.random.default_rng(1)
    a = features(rng, 50)
    # The reference holds every descriptor twice: at its place, and 300 px away.
    twice = np.concatenate([a.keypoints + 2, a.keypoints + 300]).astype(np.float32)
    b = Features(twice, np.concatenate([a.descriptors] * 2), np.ones(100, np.float32), (1000, 800))
    assert len(mutual_nearest(a, b, None, max_ratio=0.9)) == 0
    guided = mutual_nearest(a, b, 20.0, max_ratio=0.9)
    assert len(guided) == 50
    np.testing.assert_allclose(guided.reference - guided.query, 2.0, atol=1e-3)


def test_no_features_no_matches() -> None:
    rng = np.random.default_rng(2)
    none = features(rng, 0)
    assert len(mutual_nearest(none, features(rng, 5), None)) == 0
    assert len(mutual_nearest(features(rng, 5), none, 10.0)) == 0
