import numpy as np
import pytest

from fusion_helpers import CONFIG
from geo_nav.fusion.adaptation import NoiseAdaptation, widened
from geo_nav.fusion.belief import Belief


@pytest.mark.parametrize("dimension", [3, 6])
def test_honest_fixes_leave_the_noise_alone(dimension):
    adaptation = NoiseAdaptation()
    rng = np.random.default_rng(1)
    grown = [adaptation.observe(d, dimension, 1.0) for d in rng.chisquare(dimension, 300)]
    assert grown == [1.0] * 300
    assert adaptation.scale == 1.0


def test_noise_grows_until_the_fixes_agree_and_comes_down_again():
    # What lies between fix and prediction is five times the noise that is told.
    adaptation = NoiseAdaptation()
    rng = np.random.default_rng(2)
    for d in rng.chisquare(3, 60):
        adaptation.observe(d * (5.0 / adaptation.scale) ** 2, 3, 1.0)
    assert 3.0 < adaptation.scale < 9.0
    for d in rng.chisquare(3, 300):
        adaptation.observe(d / adaptation.scale**2, 3, 1.0)
    assert adaptation.scale == 1.0


def test_errors_that_are_alike_count_once():
    quick, slow = NoiseAdaptation(), NoiseAdaptation()
    for _ in range(5):
        quick.observe(9.0, 3, 1.0)
        slow.observe(9.0, 3, 0.05)
    assert quick.scale > 1.0
    assert slow.scale == 1.0


def test_widened_covariance_keeps_its_correlations_and_its_limits():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(15, 15)) * 0.002
    belief = Belief(0.0, None, None, root @ root.T)
    wide = widened(belief, 1e6, CONFIG).covariance
    before, after = (np.sqrt(np.diag(P)) for P in (belief.covariance, wide))
    np.testing.assert_allclose(wide / np.outer(after, after), belief.covariance / np.outer(before, before))
    np.testing.assert_allclose(after[3:6], 1000.0 * before[3:6])
    assert after[:3].max() == pytest.approx(0.5)
    assert after[12:].max() == pytest.approx(CONFIG.gyroscope_bias_sigma)
    assert (after >= before).all()
