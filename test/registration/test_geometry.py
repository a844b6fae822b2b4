import numpy as np
import pytest

from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.registration import RegistrationConfig, RegistrationError
from geo_nav.registration.alignment import tolerances
from geo_nav.registration.covariance import resection_covariance
from geo_nav.registration.gimbal import gimbal_from_rotation, rotation_from_gimbal
from geo_nav.registration.linearization import moved, point_jacobian, pose_jacobian, project
from geo_nav.registration.loss import sharpness
from geo_nav.registration.resection import refine, resect
from geo_nav.site import ModelError
from registration_site import camera, truth_pose


def scene(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the true pose and the points on rolling ground that they show."""
    view = camera()
    pixels = rng.uniform(0, [640, 480], (n, 2))
    depth = 90.0 + rng.uniform(-8, 8, n)
    return pixels, truth_pose().transform(view.rays(pixels) * depth[:, None])


def test_jacobians_equal_differences() -> None:
    view, pose = camera(), truth_pose()
    _, points = scene(np.random.default_rng(0), 20)
    analytic = pose_jacobian(view, pose, points)
    by_point = point_jacobian(view, pose, points)
    step = 1e-5
    for k in range(6):
        delta = np.zeros(6)
        delta[k] = step
        numeric = (project(view, moved(pose, delta), points) - project(view, moved(pose, -delta), points)) / (2 * step)
        np.testing.assert_allclose(analytic[:, :, k], numeric, rtol=1e-4, atol=1e-4)
    for k in range(3):
        delta = np.eye(3)[k] * step
        numeric = (project(view, pose, points + delta) - project(view, pose, points - delta)) / (2 * step)
        np.testing.assert_allclose(by_point[:, :, k], numeric, rtol=1e-4, atol=1e-4)


def test_moved_is_the_error_of_ros_covariances() -> None:
    delta = np.array([1.0, -2.0, 3.0, 0.02, -0.03, 0.4])
    np.testing.assert_allclose(error_vector(truth_pose(), moved(truth_pose(), delta)), delta, atol=1e-9)


def test_project_agrees_with_the_camera() -> None:
    _, points = scene(np.random.default_rng(1), 10)
    seen = truth_pose().inverse().transform(points)
    np.testing.assert_allclose(project(camera(), truth_pose(), points), camera().project(seen), atol=1e-9)
    behind = truth_pose().transform(np.array([[0.0, 0.0, -5.0]]))
    assert np.isnan(project(camera(), truth_pose(), behind)).all()


@pytest.mark.parametrize("outliers", [0.3, 0.8])
def test_resection_survives_outliers(outliers: float) -> None:
    rng = np.random.default_rng(5)
    pixels, points = scene(rng, 300)
    noisy = pixels + rng.normal(0, 0.7, pixels.shape)
    false = rng.uniform(size=300) < outliers
    noisy[false] = rng.uniform(0, [640, 480], (false.sum(), 2))
    found = resect(noisy, points + np.array([4e5, 5e6, 0.0]), camera(), tolerance=2.5)
    assert found is not None
    expected = Pose(truth_pose().rotation, truth_pose().translation + np.array([4e5, 5e6, 0.0]))
    assert found.T_map_camera.distance_to(expected) < 0.3
    assert (found.inliers & ~false).sum() > 0.95 * (~false).sum()
    assert (found.inliers & false).sum() <= 3


def test_resection_gives_up_on_noise_and_lines() -> None:
    rng = np.random.default_rng(6)
    pixels, points = scene(rng, 40)
    found = resect(rng.uniform(0, [640, 480], (40, 2)), points, camera(), 2.5)
    assert found is None or found.inliers.sum() < 10
    line = np.linspace([0, 0, 0], [10, 10, 0], 30)
    resect(np.linspace([0, 0], [600, 400], 30), line, camera(), 2.5)
    assert resect(pixels[:4], points[:4], camera(), 2.5) is None


def matching_covariance(pose: Pose, points: np.ndarray, residuals: np.ndarray, tolerance: float) -> np.ndarray:
    parts = resection_covariance(camera(), pose, points, residuals, tolerance, ModelError(np.zeros(3)))
    assert parts is not None
    assert not parts[1].any()
    return parts[0]


def test_covariance_is_that_of_many_resections() -> None:
    rng = np.random.default_rng(7)
    pixels, points = scene(rng, 250)
    errors, predicted = [], []
    for _ in range(150):
        noisy = pixels + rng.normal(0, 0.8, pixels.shape)
        found = resect(noisy, points, camera(), tolerance=10.0)
        assert found is not None
        errors.append(error_vector(found.T_map_camera, truth_pose()))
        predicted.append(matching_covariance(found.T_map_camera, points, found.residuals, 10.0))
    nees = [e @ np.linalg.solve(c, e) for e, c in zip(errors, predicted, strict=True)]
    # 6 for an ideal one; the design effect is never below 1 and noisy, which widens it.
    assert 3.0 < np.mean(nees) < 7.0


def test_residuals_that_err_together_widen_the_covariance() -> None:
    rng = np.random.default_rng(8)
    pixels, points = scene(rng, 600)
    errors, ratios, nees = [], [], []
    for _ in range(40):
        # Each ninth of the ground is shifted as a whole, as a seam of the orthophoto does.
        cell = (pixels / [213.4, 160.1]).astype(int) @ [1, 3]
        shifted = pixels + rng.normal(0, 1.5, (9, 2))[cell] + rng.normal(0, 0.3, pixels.shape)
        found = resect(shifted, points, camera(), tolerance=20.0)
        assert found is not None
        covariance = matching_covariance(found.T_map_camera, points, found.residuals, 20.0)
        jacobian = pose_jacobian(camera(), found.T_map_camera, points).reshape(-1, 6)
        naive = np.linalg.inv(jacobian.T @ jacobian) * (found.residuals**2).mean()
        error = error_vector(found.T_map_camera, truth_pose())
        ratios.append(np.trace(covariance[:3, :3]) / np.trace(naive[:3, :3]))
        nees.append([error @ np.linalg.solve(naive, error), error @ np.linalg.solve(covariance, error)])
        errors.append(error)
    naive_nees, honest_nees = np.mean(nees, axis=0) / 6.0
    assert naive_nees > 15.0
    assert np.median(ratios) > 8.0
    assert honest_nees < naive_nees / 8.0


def test_matches_that_scatter_widen_the_covariance_and_lose_their_sharpness() -> None:
    rng = np.random.default_rng(11)
    pixels, points = scene(rng, 400)
    errors, nees, sharp = [], [], []
    for _ in range(30):
        # Weakly localised keypoints: twice as wide as the tolerance expects, and half of them chance.
        scattered = pixels + rng.normal(0, 3.0, pixels.shape)
        scattered[::2] = rng.uniform(0, [640, 480], scattered[::2].shape)
        found = resect(scattered, points, camera(), tolerance=3.0)
        assert found is not None
        error = error_vector(found.T_map_camera, truth_pose())
        inliers = found.inliers
        jacobian = pose_jacobian(camera(), found.T_map_camera, points[inliers]).reshape(-1, 6)
        naive = np.linalg.inv(jacobian.T @ jacobian) * (found.residuals[inliers] ** 2).mean()
        covariance = matching_covariance(found.T_map_camera, points, found.residuals, 3.0)
        nees.append([error @ np.linalg.solve(naive, error), error @ np.linalg.solve(covariance, error)])
        errors.append(error)
        in_tolerances = found.residuals / 3.0
        sharp.append(sharpness(in_tolerances[np.linalg.norm(in_tolerances, axis=1) < 3.0]))
    naive_nees, honest_nees = np.mean(nees, axis=0) / 6.0
    assert naive_nees > 5.0
    assert 0.2 < honest_nees < 2.5
    assert np.median(sharp) < 0.4


def test_sharpness_is_one_where_all_agree_and_none_where_they_are_even() -> None:
    rng = np.random.default_rng(12)
    assert sharpness(np.zeros((10, 2))) == pytest.approx(1.0)
    radius, angle = 3.0 * np.sqrt(rng.uniform(0, 1, 20000)), rng.uniform(0, 2 * np.pi, 20000)
    even = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    assert abs(sharpness(even)) < 0.02
    assert sharpness(rng.normal(0, 1.0 / 2.45, (20000, 2))) == pytest.approx(0.246, abs=0.01)
    assert sharpness(np.zeros((0, 2))) == 0.0


@pytest.mark.parametrize(
    ("view", "wider"),
    [("few", 3.0), ("corner", 1.5), ("flat", 1.0)],
)
def test_a_degenerate_view_says_so_along_its_weak_direction(view: str, wider: float) -> None:
    """Few points, one corner, flat ground from straight above: large where little is known, and honest there."""
    rng = np.random.default_rng(13)
    pose = Pose(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 90.0])) if view == "flat" else truth_pose()
    low, high, count = {"few": (0.0, 1.0, 12), "corner": (0.0, 0.25, 120), "flat": (0.0, 1.0, 120)}[view]
    nees, weakest, whole = [], [], []
    for _ in range(120):
        pixels = rng.uniform([640 * low, 480 * low], [640 * high, 480 * high], (count, 2))
        depth = np.full(count, 90.0) if view == "flat" else 90.0 + rng.uniform(-8, 8, count)
        rays = camera().rays(pixels)
        points = pose.transform(rays * depth[:, None])
        seen = pixels + rng.normal(0, 0.8, pixels.shape)
        found = refine(seen, points, camera(), pose, 5.0)
        assert found is not None
        covariance = matching_covariance(found.T_map_camera, points, found.residuals, 5.0)
        error = error_vector(found.T_map_camera, pose)
        nees.append(error @ np.linalg.solve(covariance, error) / 6.0)
        weakest.append(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
        full_pixels, full = scene(rng, 120)
        solved = refine(full_pixels + rng.normal(0, 0.8, full_pixels.shape), full, camera(), truth_pose(), 5.0)
        assert solved is not None
        usual = matching_covariance(solved.T_map_camera, full, solved.residuals, 5.0)
        whole.append(np.sqrt(np.linalg.eigvalsh(usual[:3, :3])[-1]))
    assert 0.3 < np.mean(nees) < 1.5
    assert np.median(weakest) > wider * np.median(whole)
    if view == "flat":
        # A tilt and a shift look alike: the two are known together only.
        correlation = covariance[0, 4] / np.sqrt(covariance[0, 0] * covariance[4, 4])
        assert abs(correlation) > 0.95


def test_points_on_a_line_leave_the_pose_open() -> None:
    points = np.linspace([0, 0, 0], [40, 40, 0], 50)
    exact = ModelError(np.zeros(3))
    assert resection_covariance(camera(), truth_pose(), points, np.zeros((50, 2)), 3.0, exact) is None


@pytest.mark.parametrize(
    ("angles", "forward", "up_of_picture"),
    [
        ((0.0, -90.0, 0.0), (0, 0, -1), (0, 1, 0)),
        ((90.0, -90.0, 0.0), (0, 0, -1), (1, 0, 0)),
        ((90.0, 0.0, 0.0), (1, 0, 0), (0, 0, 1)),
        ((0.0, 0.0, 90.0), (0, 1, 0), (1, 0, 0)),
    ],
)
def test_gimbal_angles(
    angles: tuple[float, float, float], forward: tuple[int, ...], up_of_picture: tuple[int, ...]
) -> None:
    rotation = rotation_from_gimbal(*np.radians(angles))
    np.testing.assert_allclose(rotation[:, 2], forward, atol=1e-12)
    np.testing.assert_allclose(-rotation[:, 1], up_of_picture, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0)


def test_gimbal_round_trip() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        angles = rng.uniform([0, -1.5, -3], [6.28, 1.5, 3])
        np.testing.assert_allclose(gimbal_from_rotation(rotation_from_gimbal(*angles)), angles, atol=1e-9)
    assert gimbal_from_rotation(rotation_from_gimbal(1.2, -np.pi / 2, 0.0))[0] == pytest.approx(1.2)
    with pytest.raises(RegistrationError, match="pitch"):
        rotation_from_gimbal(0.0, -2.0, 0.0)


def street(rng: np.random.Generator) -> tuple[Pose, np.ndarray, np.ndarray]:
    """A camera that looks along a street: pixels and points, the first 60 on the ground near by, 60 far down it."""
    pose = Pose(np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]), np.array([0.0, 0.0, 2.0]))
    near = rng.uniform([0, 330], [640, 480], (60, 2))
    far = rng.uniform([200, 150], [440, 250], (60, 2))
    pixels = np.concatenate([near, far])
    depth = np.concatenate([rng.uniform(4, 10, 60), rng.uniform(50, 70, 60)])
    return pose, pixels, pose.transform(camera().rays(pixels) * depth[:, None])


def test_the_tolerance_follows_the_distance() -> None:
    pose, _, points = street(np.random.default_rng(20))
    config = RegistrationConfig(pixel_sigma=1.0, inlier_sigmas=2.0)
    found = tolerances(camera(), pose, points, ModelError(np.full(3, 0.15)), config)
    at = (points - pose.translation)[:, 1]
    seen = 0.15 * camera().fx / at
    # A point off the axis moves with its depth too, hence a little more.
    assert (found >= 2.0 * np.hypot(1.0, seen) - 1e-9).all()
    assert (found[60:] < 2.0 * np.hypot(1.0, 1.3 * seen[60:])).all()
    assert found[:60].min() > 3.0 * found[60:].max()
    behind = tolerances(camera(), pose, pose.transform(np.array([[0.0, 0.0, -5.0]])), ModelError(np.ones(3)), config)
    assert behind == pytest.approx(2.0)


def test_near_ground_does_not_loosen_the_far_end_of_a_street() -> None:
    """An error of the model moves what is near by many pixels: each match counts by its own tolerance."""
    error = ModelError(np.full(3, 0.15))
    own, common = [], []
    for seed in range(20):
        rng = np.random.default_rng([21, seed])
        pose, pixels, points = street(rng)
        modelled = points + rng.normal(0.0, 0.15, points.shape)
        seen = pixels + rng.normal(0.0, 0.7, pixels.shape)
        each = tolerances(camera(), pose, modelled, error, RegistrationConfig(pixel_sigma=0.7))
        start = Pose(pose.rotation, pose.translation + np.array([0.2, -0.3, 0.1]))
        for tolerance, errors in ((each, own), (float(np.sqrt((each**2).mean())), common)):
            found = refine(seen, modelled, camera(), start, tolerance)
            assert found is not None
            errors.append(found.T_map_camera.angle_to(pose))
    assert np.median(own) < 0.5 * np.median(common)
    # A false match at the far end, off by what is usual near by, agrees with the common tolerance only.
    seen[60] += [0.0, 15.0]
    strict, loose = (refine(seen, modelled, camera(), pose, t) for t in (each, float(np.sqrt((each**2).mean()))))
    assert strict is not None
    assert loose is not None
    assert not strict.inliers[60]
    assert loose.inliers[60]


def test_a_lone_match_that_draws_the_pose_is_doubted() -> None:
    """A cluster and one false match at the rim, which the pose follows: its residual is small, its error is covered."""
    before, after = [], []
    for seed in range(40):
        rng = np.random.default_rng([22, seed])
        pixels = np.concatenate([rng.uniform([150, 280], [450, 460], (24, 2)), [[540.0, 30.0]]])
        points = truth_pose().transform(camera().rays(pixels) * (90.0 + rng.uniform(-6, 6, 25))[:, None])
        seen = pixels + rng.normal(0, 0.6, pixels.shape)
        seen[-1] += [5.0, -7.0]
        # Six more matches disagree with anything: a quarter are false.
        wrong = rng.uniform(0, [640, 480], (6, 2))
        seen = np.concatenate([seen, wrong])
        points = np.concatenate([points, points[:6]])
        drawn = refine(seen[:25], points[:25], camera(), truth_pose(), 40.0)
        assert drawn is not None
        found = refine(seen, points, camera(), drawn.T_map_camera, 4.0)
        assert found is not None
        if not found.inliers[24]:
            continue
        parts = resection_covariance(
            camera(), found.T_map_camera, points, found.residuals, 4.0, ModelError(np.zeros(3)), support=40.0
        )
        agreeing = found.inliers.copy()
        alone = matching_covariance(found.T_map_camera, points[agreeing], found.residuals[agreeing], 4.0)
        assert parts is not None
        error = error_vector(found.T_map_camera, truth_pose())[:3]
        before.append(error @ np.linalg.solve(alone[:3, :3], error) / 3.0)
        after.append(error @ np.linalg.solve(parts[0][:3, :3], error) / 3.0)
    assert len(before) > 10
    assert np.mean(before) > 4.0
    assert np.mean(after) < min(3.0, 0.5 * np.mean(before))


def test_a_pose_that_rests_on_one_part_of_the_picture_is_open() -> None:
    rng = np.random.default_rng(23)
    pose = truth_pose()
    spread = rng.uniform(0, [640, 480], (200, 2))
    corner = rng.uniform([500, 20], [620, 100], (200, 2))
    widened = []
    for pixels in (spread, corner):
        points = pose.transform(camera().rays(pixels) * (90.0 + rng.uniform(-6, 6, 200))[:, None])
        residuals = rng.normal(0, 0.6, pixels.shape)
        exact = ModelError(np.zeros(3))
        plain, doubted = (
            resection_covariance(camera(), pose, points, residuals, 3.0, exact, wrong_part=p) for p in (0.0, 0.08)
        )
        if doubted is not None and plain is not None:
            widened.append(np.sqrt(np.trace(doubted[0][:3, :3]) / np.trace(plain[0][:3, :3])))
    assert len(widened) == 1
    assert 1.05 < widened[0] < 1.5
