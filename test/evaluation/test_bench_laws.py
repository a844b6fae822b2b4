import math

import numpy as np
import pytest

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.bench.laws import LAWS, PriorErrorLaw, named_law
from geo_nav.evaluation.site_evaluation import parse_prior_error
from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from registration_site import truth_pose

SURVEYOR = PriorErrorLaw(30.0, math.radians(10.0), math.radians(3.0))
HEIGHT = 80.0


def errors(law: PriorErrorLaw, count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([error_vector(law.draw(truth_pose(), rng, HEIGHT), truth_pose()) for _ in range(count)])


@pytest.mark.parametrize("law", [SURVEYOR, *LAWS.values()], ids=["surveyor", *LAWS])
def test_a_law_has_the_covariance_it_tells(law: PriorErrorLaw) -> None:
    drawn = errors(law, 1500)
    ratio = drawn.std(axis=0) / np.sqrt(np.diag(law.covariance(HEIGHT)))
    np.testing.assert_allclose(ratio, 1.0, atol=0.07)
    assert np.linalg.norm(drawn[:, :2], axis=1).max() == pytest.approx(law.position, rel=0.02)


def test_height_errs_by_a_share_of_the_height_above_ground_or_by_a_third_of_the_position() -> None:
    wide, surveyor = (np.abs(errors(law, 1500)[:, 2]).max() for law in (LAWS["wide"], SURVEYOR))
    assert wide == pytest.approx(0.2 * HEIGHT, rel=0.01)
    assert surveyor == pytest.approx(10.0, rel=0.01)
    assert parse_prior_error("30,10,3") == SURVEYOR


def test_the_priors_are_those_of_the_issue() -> None:
    assert {name: (*np.round(law.limits, 9), law.height) for name, law in LAWS.items()} == {
        "tight": (5.0, 3.0, 1.0, 0.02),
        "wide": (50.0, 25.0, 5.0, 0.2),
    }


@pytest.mark.parametrize("numbers", [(-1.0, 0.0, 0.0), (1.0, math.nan, 0.0), (1.0, 0.0, 0.0, -0.1)])
def test_laws_that_are_none_are_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(EvaluationError, match="≥ 0"):
        PriorErrorLaw(*numbers)


def test_unknown_prior_is_named() -> None:
    with pytest.raises(EvaluationError, match="tight, wide"):
        named_law("loose")
    assert isinstance(LAWS["tight"].draw(truth_pose(), np.random.default_rng(1), HEIGHT), Pose)
