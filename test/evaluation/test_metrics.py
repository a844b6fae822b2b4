import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.metrics import consistency, error_statistics, pose_errors
from geo_nav.evaluation.trajectory import TimedPoses


def random_path(seed: int, count: int = 300) -> TimedPoses:
    rng = np.random.default_rng(seed)
    stamps = np.cumsum(rng.uniform(0.01, 0.2, count))
    return TimedPoses(stamps, np.cumsum(rng.normal(0, 1, (count, 3)), axis=0), Rotation.random(count, rng).as_quat())


def perturbed(path: TimedPoses, seed: int, metres: float, radians: float) -> TimedPoses:
    rng = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(rng.normal(0, radians, (len(path), 3)))
    return TimedPoses(
        path.stamps, path.positions + rng.normal(0, metres, (len(path), 3)), (turn * path.rotations).as_quat()
    )


def test_statistics_of_a_hand_made_error():
    stamps = np.arange(4.0)
    truth = TimedPoses(
        stamps, np.column_stack([stamps * 250.0, 0 * stamps, 0 * stamps]), np.tile([0, 0, 0, 1.0], (4, 1))
    )
    errors = np.array([[3.0, 4.0, 0.0], [0, 0, 0], [0, 0, -2.0], [0, 3.0, 4.0]])
    turned = Rotation.from_rotvec(np.radians([[0, 0, d] for d in (10.0, 0.0, 0.0, -10.0)])).as_quat()
    s = error_statistics(pose_errors(TimedPoses(stamps, truth.positions + errors, turned), truth))
    assert s.samples == 4
    assert s.rms_3d_m == pytest.approx(np.sqrt((25 + 0 + 4 + 25) / 4))
    assert s.mean_3d_m == pytest.approx(3.0)
    assert s.median_3d_m == pytest.approx(3.5)
    assert s.max_3d_m == pytest.approx(5.0)
    assert s.final_3d_m == pytest.approx(5.0)
    assert s.rms_horizontal_m == pytest.approx(np.sqrt((25 + 9) / 4))
    assert s.rms_vertical_m == pytest.approx(np.sqrt((4 + 16) / 4))
    assert s.r95_horizontal_m == pytest.approx(np.percentile([5, 0, 0, 3], 95))
    assert s.distance_m == pytest.approx(750.0)
    assert s.drift_per_km_m == pytest.approx(5.0 / 0.75)
    assert s.rms_rotation_deg == pytest.approx(np.sqrt(50.0))
    assert s.max_rotation_deg == pytest.approx(10.0)
    assert s.rms_heading_deg == pytest.approx(np.sqrt(50.0))


def test_heading_error_wraps():
    pose = lambda degrees: TimedPoses(  # noqa: E731
        np.array([0.0]), np.zeros((1, 3)), Rotation.from_rotvec([[0, 0, np.radians(degrees)]]).as_quat()
    )
    errors = pose_errors(pose(179.0), pose(-179.0))
    assert np.degrees(errors.heading[0]) == pytest.approx(-2.0)


def test_ape_agrees_with_evo():
    """evo (GPL) is a tool beside, used by this test alone."""
    metrics = pytest.importorskip("evo.core.metrics")
    trajectory = pytest.importorskip("evo.core.trajectory")
    truth = random_path(1)
    estimate = perturbed(truth, 2, metres=2.0, radians=0.05)
    ours = error_statistics(pose_errors(estimate, truth))

    def evo(path):
        wxyz = np.roll(path.quaternions, 1, axis=1)
        return trajectory.PoseTrajectory3D(path.positions, wxyz, path.stamps)

    position = metrics.APE(metrics.PoseRelation.translation_part)
    position.process_data((evo(truth), evo(estimate)))
    expected = position.get_all_statistics()
    assert ours.rms_3d_m == pytest.approx(expected["rmse"], abs=1e-6)
    assert ours.mean_3d_m == pytest.approx(expected["mean"], abs=1e-6)
    assert ours.median_3d_m == pytest.approx(expected["median"], abs=1e-6)
    assert ours.max_3d_m == pytest.approx(expected["max"], abs=1e-6)
    angle = metrics.APE(metrics.PoseRelation.rotation_angle_deg)
    angle.process_data((evo(truth), evo(estimate)))
    assert ours.rms_rotation_deg == pytest.approx(angle.get_all_statistics()["rmse"], abs=1e-6)
    assert ours.max_rotation_deg == pytest.approx(angle.get_all_statistics()["max"], abs=1e-6)
    assert ours.distance_m == pytest.approx(evo(truth).path_length, abs=1e-6)


def test_nees_is_one_for_honest_errors_and_four_for_sigmas_half_as_large():
    rng = np.random.default_rng(3)
    truth = random_path(4, 20_000)
    A = rng.normal(0, 1, (6, 6))
    covariance = (A @ A.T + np.eye(6)) * np.outer([1, 1, 1, 0.01, 0.01, 0.01], [1, 1, 1, 0.01, 0.01, 0.01])
    e = rng.multivariate_normal(np.zeros(6), covariance, len(truth))
    estimate = TimedPoses(
        truth.stamps, truth.positions + e[:, :3], (Rotation.from_rotvec(e[:, 3:]) * truth.rotations).as_quat()
    )
    errors = pose_errors(estimate, truth)
    honest = consistency(errors, np.tile(covariance, (len(truth), 1, 1)))
    assert honest.nees_pose == pytest.approx(1.0, abs=0.02)
    assert honest.nees_position == pytest.approx(1.0, abs=0.03)
    assert honest.inside_3_sigma == pytest.approx((0.9973,) * 3, abs=0.002)
    proud = consistency(errors, np.tile(covariance / 4.0, (len(truth), 1, 1)))
    assert proud.nees_pose == pytest.approx(4.0, abs=0.08)
    assert proud.inside_3_sigma == pytest.approx((0.866,) * 3, abs=0.015)


def test_consistency_leaves_out_covariances_that_are_none():
    truth = random_path(5, 4)
    errors = pose_errors(perturbed(truth, 6, 1.0, 0.01), truth)
    covariances = np.zeros((4, 6, 6))
    assert np.isnan(consistency(errors, covariances).nees_pose)
    covariances[0] = np.diag([1.0, 1, 1, 1e-4, 1e-4, 1e-4])
    covariances[1] = np.nan
    expected = float(np.sum(errors.position[0] ** 2) / 3.0)
    assert consistency(errors, covariances).nees_position == pytest.approx(expected)


def test_refuses_stamps_that_differ_and_nothing_to_score():
    a = random_path(7, 5)
    b = TimedPoses(a.stamps + 0.001, a.positions, a.quaternions)
    with pytest.raises(EvaluationError, match="same stamps"):
        pose_errors(a, b)
    nothing = TimedPoses(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 4)))
    with pytest.raises(EvaluationError, match="nothing can be scored"):
        error_statistics(pose_errors(nothing, nothing))
