import numpy as np
import pytest

from geo_nav.matching import MatchingError
from geo_nav.matching.features import eroded_mask, grey_image, keypoint_budget, spread_selection


def test_selection_spreads_over_the_picture() -> None:
    rng = np.random.default_rng(0)
    crowd = rng.uniform(0, 64, (500, 2))
    others = rng.uniform(0, 640, (500, 2))
    xy = np.concatenate([crowd, others]).astype(np.float32)
    scores = np.concatenate([np.full(500, 2.0), np.full(500, 1.0)]).astype(np.float32)
    kept = spread_selection(xy, scores, (640, 640), 300)
    assert len(kept) == len(set(kept.tolist())) == 300
    # By score alone all 300 would lie in one cell; its fair share is 3 of 100 cells, threefold.
    assert (kept < 500).sum() == 9
    assert kept[0] < 500


def test_selection_keeps_all_when_few() -> None:
    scores = np.array([0.1, 0.9, 0.5], np.float32)
    assert spread_selection(np.zeros((3, 2), np.float32), scores, (64, 64), 10).tolist() == [1, 2, 0]


def test_budget_follows_the_size() -> None:
    assert keypoint_budget((480, 640), 4000.0, 8192) == 1229
    assert keypoint_budget((2000, 3000), 4000.0, 8192) == 8192


def test_holes_of_a_mask_grow() -> None:
    mask = np.ones((40, 40), bool)
    mask[20, 20] = False
    inner = eroded_mask(mask, (40, 40), 3)
    assert inner is not None
    assert (~inner).sum() == 49
    assert inner[0].all()


@pytest.mark.parametrize("shape", [(40, 40, 4), (40,), (10, 100)])
def test_bad_pictures_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(MatchingError, match="picture"):
        grey_image(np.zeros(shape, np.uint8))
    with pytest.raises(MatchingError, match="uint8"):
        grey_image(np.zeros((40, 40), np.float32))  # type: ignore[arg-type]
