import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.registration.covariance import resection_covariance
from geo_nav.registration.gravity import levelled
from geo_nav.registration.linearization import moved, project
from geo_nav.registration.resection import refine
from geo_nav.rendering import Camera
from geo_nav.site import ModelError

HEIGHT = 200.0
THRESHOLD = 3.0
EXACT = ModelError(np.zeros(3))
CAMERA = Camera(640, 480, 550.0, 550.0, 319.5, 239.5)
DOWN = Pose(np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), np.array([40.0, -30.0, HEIGHT]))


def flat_ground(rng: np.random.Generator, count: int) -> np.ndarray:
    return DOWN.translation + np.column_stack([rng.uniform(-90, 90, (count, 2)), np.full(count, -HEIGHT)])


def open_tilt() -> np.ndarray:
    """A pose whose place is known to 0.2 m if only its tilt were: over flat ground both go together."""
    lever = np.zeros((6, 2))
    lever[0, 1], lever[1, 0], lever[3, 0], lever[4, 1] = -HEIGHT, HEIGHT, 1.0, 1.0
    return lever @ lever.T * np.radians(1.5) ** 2 + np.diag([0.2**2, 0.2**2, 0.5**2, 1e-8, 1e-8, 1e-5])


def test_a_known_vertical_finds_the_place_and_says_how_well() -> None:
    rng = np.random.default_rng(3)
    covariance = open_tilt()
    tilt, heading = np.radians(0.2), np.radians(25.0)
    prior_covariance = np.diag([50.0**2, 50.0**2, 20.0**2, tilt**2, tilt**2, heading**2])
    before, after, nees = [], [], []
    for _ in range(300):
        found = moved(DOWN, -rng.multivariate_normal(np.zeros(6), covariance))
        # The prior's heading is far off: its error is about the vertical, the tilt's about the camera's own axes.
        tilted = moved(DOWN, np.array([30.0, 20.0, 10.0, *rng.normal(0.0, tilt, 2), 0.0]))
        turn = Rotation.from_rotvec([0.0, 0.0, rng.normal(0.0, heading)]).as_matrix()
        prior = Pose(turn @ tilted.rotation, tilted.translation)
        pose, claimed = levelled(found, covariance, prior, prior_covariance)
        error = error_vector(pose, DOWN)
        before.append(found.distance_to(DOWN))
        after.append(pose.distance_to(DOWN))
        nees.append(error @ np.linalg.solve(claimed, error) / 6.0)
    assert np.median(before) > 4.0
    assert np.median(after) < 1.2
    assert 0.85 < np.mean(nees) < 1.15


def test_a_vague_vertical_changes_nothing() -> None:
    found = moved(DOWN, np.array([3.0, -2.0, 1.0, 0.02, 0.01, 0.1]))
    pose, claimed = levelled(found, open_tilt(), DOWN, np.eye(6) * 1e6)
    assert pose.distance_to(found) < 1e-3
    np.testing.assert_allclose(claimed, open_tilt(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("support", "shared"), [(96.0, 1.0), (0.0, 1.0), (96.0, 0.0), (0.0, 0.0)])
def test_matches_that_shift_alike_are_allowed_for(support: float, shared: float) -> None:
    rng = np.random.default_rng(5)
    nees = []
    for _ in range(60):
        points = flat_ground(rng, 80)
        # Edges lit from another side: each is displaced by itself, and all together, by as much.
        sigma = 0.4
        displaced = points + sigma * np.column_stack([rng.normal(size=(80, 2)) + rng.normal(size=2), np.zeros(80)])
        pixels = project(CAMERA, DOWN, displaced)
        solved = refine(pixels, points, CAMERA, DOWN, THRESHOLD)
        assert solved is not None
        pose, residuals = solved.T_map_camera, solved.residuals
        parts = resection_covariance(CAMERA, pose, points, residuals, THRESHOLD, EXACT, support=support, shared=shared)
        assert parts is not None
        error = error_vector(pose, DOWN)
        nees.append(error @ np.linalg.solve(parts[0], error) / 6.0)
    if shared > 0.0:
        assert 0.3 < np.mean(nees) < 1.3
    else:
        assert np.mean(nees) > 1.3
