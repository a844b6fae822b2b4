import numpy as np
import pytest

from geo_nav.geodesy.pose import error_vector
from geo_nav.registration import AbsolutePose, RegistrationError, Status, TiePoints
from geo_nav.registration.covariance import resection_covariance
from geo_nav.registration.resection import refine
from geo_nav.registration.site_error import Observation, estimate_model_error, observe, propagated
from geo_nav.site import ModelError, SiteError
from registration_site import camera, truth_pose

THRESHOLD = 20.0


def view(rng: np.random.Generator, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the true pose and the points on rolling ground that they show."""
    pixels = rng.uniform(0, [640, 480], (count, 2))
    depth = 90.0 + rng.uniform(-8, 8, count)
    return pixels, truth_pose().transform(camera().rays(pixels) * depth[:, None])


def displaced(points: np.ndarray, error: ModelError, rng: np.random.Generator) -> np.ndarray:
    """The points where an erroneous model has them."""
    distance = np.linalg.norm(points[:, None, :2] - points[None, :, :2], axis=2)
    root = np.linalg.cholesky(np.exp(-distance / error.correlation) + 1e-9 * np.eye(len(points)))
    return points + root @ rng.standard_normal(points.shape) * error.sigma


def fix(rng: np.random.Generator, error: ModelError, assumed: ModelError) -> AbsolutePose:
    pixels, points = view(rng)
    modelled = displaced(points, error, rng)
    seen = pixels + rng.normal(0, 0.5, pixels.shape)
    solved = refine(seen, modelled, camera(), truth_pose(), THRESHOLD)
    assert solved is not None
    parts = resection_covariance(camera(), solved.T_map_camera, modelled, solved.residuals, THRESHOLD, assumed)
    assert parts is not None
    ties = TiePoints(seen, modelled, np.ones(len(seen)), np.ones(len(seen)), camera())
    return AbsolutePose(0.0, Status.ACCEPTED, "", solved.T_map_camera, sum(parts), parts[1], tie_points=ties)


def observed(seed: int, count: int, error: ModelError, assumed: ModelError) -> list[Observation]:
    rng = np.random.default_rng(seed)
    return [observe(fix(rng, error, assumed), truth_pose()) for _ in range(count)]


def test_an_error_alike_everywhere_moves_the_pose_with_it() -> None:
    _, points = view(np.random.default_rng(0))
    shift = propagated(camera(), truth_pose(), points, 1.0, ModelError(np.array([0.5, 0.6, 2.0]), np.inf))
    np.testing.assert_allclose(shift, np.diag([0.25, 0.36, 4.0, 0.0, 0.0, 0.0]), atol=1e-6)


def test_an_error_that_changes_over_the_view_tilts_the_pose() -> None:
    _, points = view(np.random.default_rng(0))
    shift, bend = (
        propagated(camera(), truth_pose(), points, 1.0, ModelError(np.full(3, 0.3), length)) for length in (1e6, 40.0)
    )
    assert np.sqrt(np.diag(shift)[3:]).max() < np.radians(0.01)
    assert np.sqrt(np.diag(bend)[3:]).min() > np.radians(0.05)
    # A tilt of the model is a shift of the camera above it, so the position errs by more than the model does.
    assert np.sqrt(np.diag(bend)[:2]).max() > 0.35


def test_propagation_is_that_of_many_erroneous_models() -> None:
    error = ModelError(np.array([0.2, 0.2, 0.4]), 60.0)
    rng = np.random.default_rng(1)
    nees = []
    for _ in range(150):
        found = fix(rng, error, error)
        assert found.T_map_camera is not None
        assert found.covariance is not None
        miss = error_vector(found.T_map_camera, truth_pose())
        nees.append(miss @ np.linalg.solve(found.covariance, miss) / 6.0)
    assert 0.5 < np.mean(nees) < 1.2


def test_the_error_is_found_from_photographs_of_known_pose() -> None:
    truth = ModelError(np.array([0.3, 0.3, 0.5]), 80.0)
    wrong = ModelError(np.full(3, 0.02), 20.0)
    found = estimate_model_error(observed(2, 40, truth, wrong))
    assert 0.2 < found.sigma[0] < 0.45
    assert found.sigma[0] == found.sigma[1]
    assert 0.3 < found.sigma[2] < 0.9
    rng = np.random.default_rng(3)
    nees = []
    for _ in range(60):
        unseen = fix(rng, truth, found)
        assert unseen.T_map_camera is not None
        assert unseen.covariance is not None
        miss = error_vector(unseen.T_map_camera, truth_pose())
        nees.append(miss @ np.linalg.solve(unseen.covariance, miss) / 6.0)
    assert 0.6 < np.mean(nees) < 1.4


def test_a_model_without_error_is_told_so() -> None:
    found = estimate_model_error(observed(4, 15, ModelError(np.zeros(3), 50.0), ModelError(np.full(3, 0.3))))
    assert found.sigma.max() < 0.06


def test_what_tells_nothing_is_refused() -> None:
    with pytest.raises(RegistrationError, match="verdict is bad_input"):
        observe(AbsolutePose(0.0, Status.BAD_INPUT, "blank"), truth_pose())
    with pytest.raises(RegistrationError, match="4 registered photographs"):
        estimate_model_error(observed(5, 4, ModelError(np.zeros(3)), ModelError(np.zeros(3))))
    with pytest.raises(SiteError, match="sigma"):
        ModelError(np.array([0.1, -1.0, 0.1]))
    with pytest.raises(SiteError, match="alike"):
        ModelError(np.ones(3), 0.0)


def test_points_thinned_give_nearly_the_same() -> None:
    rng = np.random.default_rng(6)
    _, points = view(rng, 3000)
    error = ModelError(np.full(3, 0.3), 60.0)
    many, few = (propagated(camera(), truth_pose(), p, 1.0, error) for p in (points, points[:150]))
    np.testing.assert_allclose(np.diag(many), np.diag(few), rtol=0.35)
