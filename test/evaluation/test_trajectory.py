import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.trajectory import TimedPoses, read_tum, sorted_unique, write_tum


def line(stamps) -> TimedPoses:
    t = np.asarray(stamps, dtype=float)
    positions = np.column_stack([2.0 * t, -t, np.zeros_like(t)])
    return TimedPoses(t, positions, Rotation.from_rotvec(np.outer(0.5 * t, [0, 0, 1.0])).as_quat())


def test_interpolates_positions_linearly_and_orientations_at_constant_rate():
    at = line([0.0, 1.0, 3.0]).at([0.25, 2.0])
    np.testing.assert_allclose(at.positions, [[0.5, -0.25, 0.0], [4.0, -2.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(at.rotations.as_euler("ZYX")[:, 0], [0.125, 1.0], atol=1e-12)


def test_covers_knows_gaps_ends_and_exact_stamps():
    poses = line([0.0, 0.1, 2.0, 2.1])
    covered = poses.covers([-0.01, 0.0, 0.05, 1.0, 2.0, 2.05, 2.1, 2.2], max_gap=0.2)
    assert covered.tolist() == [False, True, True, False, True, True, True, False]
    assert line([]).covers([1.0], 1.0).tolist() == [False]
    assert line([1.0]).covers([1.0, 1.1], 1.0).tolist() == [True, False]


def test_refuses_a_time_outside_and_bad_numbers():
    with pytest.raises(EvaluationError, match="does not cover"):
        line([0.0, 1.0]).at([1.5])
    with pytest.raises(EvaluationError, match="must increase"):
        line([0.0, 0.0])
    with pytest.raises(EvaluationError, match="not finite"):
        TimedPoses(np.array([0.0]), np.array([[np.nan, 0, 0]]), np.array([[0, 0, 0, 1.0]]))
    with pytest.raises(EvaluationError, match="unit length"):
        TimedPoses(np.array([0.0]), np.zeros((1, 3)), np.zeros((1, 4)))


def test_length_is_that_of_the_path():
    assert line([0.0, 1.0, 2.0]).length == pytest.approx(2 * np.sqrt(5.0))


def test_sorted_unique_keeps_the_first_of_equal_stamps():
    assert sorted_unique(np.array([3.0, 1.0, 3.0, 2.0, 1.0])).tolist() == [1, 3, 0]


def test_tum_round_trip_keeps_nanoseconds_of_large_stamps(tmp_path):
    poses = line(np.array([0.0, 0.005, 0.01]))
    poses = TimedPoses(poses.stamps + 1_413_724_851.0, poses.positions, poses.quaternions)
    write_tum(tmp_path / "truth.csv", poses)
    back = read_tum(tmp_path / "truth.csv")
    np.testing.assert_allclose(back.stamps, poses.stamps, atol=1e-6, rtol=0)
    np.testing.assert_allclose(back.positions, poses.positions, atol=1e-6)
    np.testing.assert_allclose(back.quaternions, poses.quaternions, atol=1e-8)


def test_tum_says_what_is_wrong(tmp_path):
    (tmp_path / "bad").write_text("1 2 3\n")
    with pytest.raises(EvaluationError, match="eight numbers"):
        read_tum(tmp_path / "bad")
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_tum(tmp_path / "missing")
