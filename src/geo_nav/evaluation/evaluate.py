"""A recorded run against its truth: everything that the table, `summary.json` and the report say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.bag import read_run
from geo_nav.evaluation.config import EvaluationConfig
from geo_nav.evaluation.dead_reckoning import StartState, integrate_imu
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.fixes import FixStatistics, ScoredFix, fix_statistics, longest_gap, score_fixes
from geo_nav.evaluation.integrity import (
    InnovationStatistics,
    ProtectionLevels,
    innovations,
    levels_at,
    protection,
    state_shares,
)
from geo_nav.evaluation.metrics import (
    Consistency,
    ErrorStatistics,
    PoseErrors,
    consistency,
    error_statistics,
    pose_errors,
)
from geo_nav.evaluation.recording import Recording
from geo_nav.evaluation.relative_error import DELTAS, RelativeError, relative_error
from geo_nav.evaluation.segments import Segment, path_edges, segments, time_edges
from geo_nav.evaluation.timing import Timing, clocks_agree, timing
from geo_nav.evaluation.trajectory import TimedPoses

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RunEvaluation:
    """What a run was worth, from the GPS cut to its end.

    Attributes:
        recording: the run.
        config: the settings.
        begin: stamp of the GPS cut, s.
        end: last stamp that truth and odometry share, s.
        errors: geo_nav's, at its own rate (or at the score stamps).
        sigma: (N, 6) its claimed 1 sigma at those stamps, m and rad.
        statistics: of these errors.
        consistency: of errors and covariance.
        imu_only: the IMU-only trajectory; None where no IMU was recorded.
        imu_only_errors: of it; None with it.
        imu_only_statistics: of them; None with it.
        fixes: the frames tried in the outage (at score stamps), beside truth.
        fix_statistics: of them.
        timing: rates and latencies.
        relative: RPE over each of :data:`~geo_nav.evaluation.relative_error.DELTAS`.
        by_time: the run in parts of `segment_seconds`.
        by_path: the run in parts of `segment_metres` of true path.
        levels: (N, 4) protection levels at the errors' stamps, m; see :func:`~geo_nav.evaluation.integrity.levels_at`.
        protection: whether each level held.
        states: share of the time in each state, by its name.
        innovations: of each kind of measurement, as the filter told them.
        first_fix_after_cut_s: first accepted fix after the GPS cut; NaN without any.
        first_fix_after_start_s: first accepted fix after the recording's begin; NaN without any.
    """

    recording: Recording
    config: EvaluationConfig
    begin: float
    end: float
    errors: PoseErrors
    sigma: Array
    statistics: ErrorStatistics
    consistency: Consistency
    imu_only: TimedPoses | None
    imu_only_errors: PoseErrors | None
    imu_only_statistics: ErrorStatistics | None
    fixes: list[ScoredFix]
    fix_statistics: FixStatistics
    timing: Timing
    relative: list[RelativeError]
    by_time: list[Segment]
    by_path: list[Segment]
    levels: Array
    protection: dict[str, ProtectionLevels]
    states: dict[str, float]
    innovations: dict[str, InnovationStatistics]
    first_fix_after_cut_s: float
    first_fix_after_start_s: float


def evaluate_run(run_dir: Path, config: EvaluationConfig | None = None, info: Path | None = None) -> RunEvaluation:
    """Reads a run and scores it.

    Args:
        run_dir: folder with `bag/` and, optionally, `run.json`.
        config: the settings; defaults when None.
        info: another `run.json`, as `geo-nav make-bag` writes.

    Raises:
        EvaluationError: the run cannot be read, has no truth, or nothing in it can be scored.
    """
    return evaluate_recording(read_run(run_dir, info), config)


def evaluate_recording(recording: Recording, config: EvaluationConfig | None = None) -> RunEvaluation:
    """Scores a run that has been read; see :func:`evaluate_run`."""
    config = config or EvaluationConfig()
    truth, poses = recording.truth, recording.odometry.poses
    if len(truth) < 2:
        raise EvaluationError(
            f"{recording.run_dir} has no truth: record a topic with 'truth' in its name, or name a topic (under "
            "'topics') or a file ('truth') in run.json"
        )
    if len(poses) < 2:
        raise EvaluationError(f"{recording.run_dir} holds {len(poses)} usable odometry message(s): nothing to score")
    begin, end = recording.gps_cut, float(min(truth.stamps[-1], poses.stamps[-1]))
    if end <= begin:
        raise EvaluationError(f"the run ends {begin - end:.1f} s before GPS was cut: nothing to score")
    stamps = _scored_stamps(recording, begin, end)
    errors = _errors_at(stamps, poses, recording, config)
    covariances = recording.odometry.covariances[_nearest(poses.stamps, errors.stamps)]
    imu_only = _imu_only(recording, begin, config)
    imu_only_errors = _errors_at(stamps, imu_only, recording, config) if imu_only else None
    fixes = _scored_fixes(recording, begin, end, config)
    travelled = truth.select((truth.stamps >= begin) & (truth.stamps <= end))
    path = travelled.length
    levels = levels_at(recording.status, errors.stamps)
    same_clock = clocks_agree(recording.odometry, config.max_latency)
    return RunEvaluation(
        recording=recording,
        config=config,
        begin=begin,
        end=end,
        errors=errors,
        sigma=np.sqrt(np.maximum(np.diagonal(covariances, axis1=1, axis2=2), 0.0)),
        statistics=error_statistics(errors, path),
        consistency=consistency(errors, covariances + _truth_covariances(recording, errors.stamps)),
        imu_only=imu_only,
        imu_only_errors=imu_only_errors,
        imu_only_statistics=error_statistics(imu_only_errors, path) if imu_only_errors else None,
        fixes=fixes,
        fix_statistics=fix_statistics(
            fixes,
            _camera_frames(recording, fixes, begin, end),
            longest_gap(np.array([f.stamp for f in recording.fixes if f.accepted]), begin, end),
            config.false_fix_distance,
            same_clock,
        ),
        timing=timing(recording.odometry, recording.imu.stamps, begin, end, same_clock),
        relative=[
            relative_error(poses.at(errors.stamps), errors.truth, delta, unit, recording.truth_has_orientation)
            for delta, unit in DELTAS
        ],
        by_time=segments(
            errors, fixes, travelled, time_edges(begin, end, config.segment_seconds), config.false_fix_distance
        ),
        by_path=segments(
            errors,
            fixes,
            travelled,
            path_edges(travelled, begin, end, config.segment_metres),
            config.false_fix_distance,
        ),
        levels=levels,
        protection=protection(errors, levels),
        states=state_shares(recording.status, begin, end),
        innovations=innovations(recording.status, begin, end),
        first_fix_after_cut_s=_first_fix(recording, begin),
        first_fix_after_start_s=_first_fix(recording, _start(recording)),
    )


def _first_fix(recording: Recording, begin: float) -> float:
    """Time to the first accepted fix, s."""
    return min((f.stamp - begin for f in recording.fixes if f.accepted and f.stamp >= begin), default=float("nan"))


def _start(recording: Recording) -> float:
    """The first stamp of odometry, IMU or camera, s (a status that precedes a simulated clock has stamp 0)."""
    tracks = (recording.odometry.poses.stamps, recording.imu.stamps, recording.camera_stamps)
    return min(float(stamps[0]) for stamps in tracks if len(stamps))


def _truth_covariances(recording: Recording, stamps: Array) -> Array:
    """(N, 6, 6) the truth's own covariance, of its position; zero where it tells none."""
    out = np.zeros((len(stamps), 6, 6))
    if recording.truth_sigma is not None:
        for k in range(3):
            out[:, k, k] = np.interp(stamps, recording.truth.stamps, recording.truth_sigma[:, k]) ** 2
    return out


def _truth_gap(recording: Recording, config: EvaluationConfig) -> float:
    return config.max_truth_gap if recording.truth_has_orientation else config.max_position_gap


def _scored_stamps(recording: Recording, begin: float, end: float) -> Array:
    """Those that are named, else the odometry's; positions alone, of a GPS, are too few to interpolate between."""
    named = recording.info.score_stamps
    if named is not None:
        stamps = np.unique(np.array(named, dtype=np.float64))
    else:
        stamps = (recording.odometry.poses if recording.truth_has_orientation else recording.truth).stamps
    return stamps[(stamps >= begin) & (stamps <= end)]


def _errors_at(stamps: Array, estimate: TimedPoses, recording: Recording, config: EvaluationConfig) -> PoseErrors:
    truth = recording.truth
    both = truth.covers(stamps, _truth_gap(recording, config)) & estimate.covers(stamps, config.max_estimate_gap)
    return pose_errors(estimate.at(stamps[both]), truth.at(stamps[both]), recording.truth_has_orientation)


def _nearest(stamps: Array, wanted: Array) -> npt.NDArray[np.intp]:
    right = np.clip(np.searchsorted(stamps, wanted), 1, len(stamps) - 1)
    nearer_left = wanted - stamps[right - 1] < stamps[right] - wanted
    return np.asarray(right - nearer_left, dtype=np.intp)


def _imu_only(recording: Recording, begin: float, config: EvaluationConfig) -> TimedPoses | None:
    """The IMU alone, from geo_nav's own pose and velocity at the cut: the start that geo_nav had."""
    odometry, imu = recording.odometry, recording.imu
    T_base_imu = recording.transforms.lookup("base_link", imu.frame_id)
    R = np.eye(3) if T_base_imu is None else T_base_imu.rotation
    k = max(int(np.searchsorted(odometry.poses.stamps, begin, side="right")) - 1, 0)
    stamp = float(odometry.poses.stamps[k])
    if not (len(imu.stamps) > 1 and imu.stamps[0] <= stamp < imu.stamps[-1]):
        return None
    info = recording.info
    start = StartState(
        stamp,
        odometry.poses.positions[k],
        odometry.poses.quaternions[k],
        odometry.velocities[k],
        np.array(info.accelerometer_bias or np.zeros(3)),
        np.array(info.gyroscope_bias or np.zeros(3)),
    )
    gravity, earth_rate = _earth(recording, config)
    return integrate_imu(start, imu.stamps, imu.acceleration @ R.T, imu.angular_velocity @ R.T, gravity, earth_rate)


def _earth(recording: Recording, config: EvaluationConfig) -> tuple[Array, Array | None]:
    """Gravity and the Earth's rotation in `map`, by the same model that fusion has."""
    if recording.origin is None:
        return np.array([0.0, 0.0, -config.gravity]), None
    # GTSAM takes a while to load, and whoever only reads bags has no use for it.
    from geo_nav.fusion.config import FusionConfig
    from geo_nav.fusion.imu_model import ImuModel

    model = ImuModel(FusionConfig(), recording.origin)
    return model.gravity(np.zeros(3)), model.earth_rate()


def _scored_fixes(recording: Recording, begin: float, end: float, config: EvaluationConfig) -> list[ScoredFix]:
    fixes = [fix for fix in recording.fixes if begin <= fix.stamp <= end]
    if recording.info.score_stamps is not None:
        named = np.array(recording.info.score_stamps)
        fixes = [f for f in fixes if len(named) and np.abs(named - f.stamp).min() <= config.stamp_tolerance]
    return score_fixes(
        fixes,
        recording.truth,
        recording.T_base_camera,
        _truth_gap(recording, config),
        recording.truth_sigma,
        recording.truth_has_orientation,
    )


def _camera_frames(recording: Recording, fixes: list[ScoredFix], begin: float, end: float) -> int:
    """Frames sent in the judged time; those tried were sent for sure, should `camera_info` have been lost."""
    if recording.info.score_stamps is not None:
        return len(_scored_stamps(recording, begin, end))
    if recording.info.camera_frames is not None:
        return max(recording.info.camera_frames, len(fixes))
    sent = recording.camera_stamps
    tried = np.array([s.fix.stamp for s in fixes])
    return len(np.unique(np.round(np.concatenate([sent[(sent >= begin) & (sent <= end)], tried]), 6)))
