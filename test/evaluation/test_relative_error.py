import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.relative_error import relative_error
from geo_nav.evaluation.trajectory import TimedPoses


def flight(seed: int, count: int = 3000, step: float = 0.1) -> TimedPoses:
    """A smooth path at 15 m/s with turns of all axes, sampled evenly."""
    rng = np.random.default_rng(seed)
    stamps = 1_700_000_000.0 + step * np.arange(count)
    rates = np.cumsum(rng.normal(0, 0.02, (count, 3)), axis=0)
    rotations = Rotation.from_rotvec(0.3 * np.sin(rates))
    velocity = 15.0 * rotations.apply([1.0, 0.2, 0.1]) * (1.0 + 0.5 * np.sin(rates[:, :1]))
    return TimedPoses(stamps, np.cumsum(velocity * step, axis=0), rotations.as_quat())


def drifted(path: TimedPoses, seed: int) -> TimedPoses:
    rng = np.random.default_rng(seed)
    count = len(path)
    turn = Rotation.from_rotvec(np.cumsum(rng.normal(0, 0.002, (count, 3)), axis=0))
    walk = np.cumsum(rng.normal(0, 0.05, (count, 3)), axis=0) + rng.normal(0, 0.2, (count, 3))
    return TimedPoses(path.stamps, path.positions + walk, (turn * path.rotations).as_quat())


@pytest.mark.parametrize(("delta", "unit"), [(10.0, "m"), (100.0, "m"), (1.0, "s"), (5.0, "s")])
def test_rpe_agrees_with_evo(delta, unit):
    """evo (GPL) is a tool beside, used by tests alone; seconds are its frames where sampling is even."""
    metrics = pytest.importorskip("evo.core.metrics")
    trajectory = pytest.importorskip("evo.core.trajectory")
    step = 0.1
    truth = flight(1, step=0.01 if unit == "m" else step)
    estimate = drifted(truth, 2)
    ours = relative_error(estimate, truth, delta, unit)

    def evo(path):
        return trajectory.PoseTrajectory3D(path.positions, np.roll(path.quaternions, 1, axis=1), path.stamps)

    theirs = (delta, metrics.Unit.meters) if unit == "m" else (round(delta / step), metrics.Unit.frames)
    expected = {}
    for name, relation in (
        ("translation", metrics.PoseRelation.translation_part),
        ("rotation", metrics.PoseRelation.rotation_angle_deg),
    ):
        metric = metrics.RPE(relation, *theirs, pairs_from_reference=True)
        metric.process_data((evo(truth), evo(estimate)))
        expected[name] = metric.get_all_statistics()
        assert ours.pairs == len(metric.error) > 3
    assert ours.translation_rms_m == pytest.approx(expected["translation"]["rmse"], abs=1e-6)
    assert ours.translation_median_m == pytest.approx(expected["translation"]["median"], abs=1e-6)
    assert ours.translation_max_m == pytest.approx(expected["translation"]["max"], abs=1e-6)
    assert ours.rotation_rms_deg == pytest.approx(expected["rotation"]["rmse"], abs=1e-6)
    assert ours.rotation_max_deg == pytest.approx(expected["rotation"]["max"], abs=1e-6)


def test_a_scale_error_of_one_percent_is_a_tenth_of_a_metre_in_ten():
    stamps = np.arange(0.0, 100.0, 0.1)
    straight = np.column_stack([10.0 * stamps, 0 * stamps, 0 * stamps])
    facing = np.tile([0.0, 0.0, 0.0, 1.0], (len(stamps), 1))
    truth = TimedPoses(stamps, straight, facing)
    ours = relative_error(TimedPoses(stamps, 1.01 * straight, facing), truth, 10.0, "m")
    assert ours.pairs == 99
    assert ours.translation_rms_m == pytest.approx(0.1, abs=1e-9)
    assert ours.rotation_rms_deg == pytest.approx(0.0, abs=1e-9)
    blind = relative_error(TimedPoses(stamps, 1.01 * straight, facing), truth, 10.0, "m", has_orientation=False)
    assert blind.translation_rms_m == pytest.approx(0.1, abs=1e-9)
    assert np.isnan(blind.rotation_rms_deg)


def test_nothing_is_told_of_stretches_that_the_poses_are_too_sparse_or_too_few_for():
    sparse = flight(3, count=50, step=6.0)
    assert relative_error(sparse, sparse, 10.0, "m").pairs == 0
    assert np.isnan(relative_error(sparse, sparse, 1.0, "s").translation_rms_m)
    assert relative_error(sparse, sparse, 12.0, "s").pairs == 24
    short = flight(4, count=5)
    assert np.isnan(relative_error(short, short, 1000.0, "m").translation_rms_m)
    nothing = short.select(np.zeros(5, bool))
    assert relative_error(nothing, nothing, 1.0, "s").pairs == 0
