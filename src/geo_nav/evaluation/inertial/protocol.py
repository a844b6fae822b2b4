"""A fix every so many seconds; those in between are withheld and scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.batch import batch_positions
from geo_nav.evaluation.inertial.estimators import BATCH, CAUSAL, EKF, OURS, Estimator, Ours
from geo_nav.evaluation.inertial.record import Record
from geo_nav.evaluation.inertial.start import Start
from geo_nav.fusion import StatusReport

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plan:
    """Which fixes are given and which scored.

    Attributes:
        given: indices, in order of time.
        scored: indices; those not given, or, where the log has no more fixes than are given, all of them: each is
            then scored before it is given.
    """

    given: npt.NDArray[np.intp]
    scored: npt.NDArray[np.intp]

    @property
    def withheld(self) -> bool:
        """Whether no scored fix is ever given: the batch can be scored too."""
        return len(np.intersect1d(self.given, self.scored)) == 0


@dataclass(frozen=True, eq=False)
class Track:
    """An estimator's estimates at the scored fixes of one log.

    Attributes:
        stamps: (N,) s.
        positions: (N, 3) m.
        errors: (N, 3) estimate less fix, m.
        covariances: (N, 3, 3) of the difference (estimate's plus the fix's), m²; None where there is none.
    """

    stamps: Array
    positions: Array
    errors: Array
    covariances: Array | None


@dataclass(frozen=True, eq=False)
class Outcome:
    """One log at one interval.

    Attributes:
        record: the log's name.
        interval: s.
        tracks: by estimator.
        truth: (N, 3) the scored fixes, m.
        given: (K,) stamps of the fixes given, s.
        status: of ours at the end.
        failures: estimators that could not run, and why.
    """

    record: str
    interval: float
    tracks: dict[str, Track]
    truth: Array
    given: Array
    status: StatusReport
    failures: dict[str, str]


def _after(record: Record, start: Start) -> npt.NDArray[np.intp]:
    """Indices of the fixes after the start and before the last sample of the IMU."""
    stamps = record.fixes.stamps
    return np.flatnonzero((stamps > start.belief.stamp) & (stamps < record.imu.stamps[-1]))


def long_enough(record: Record, start: Start, interval: float) -> bool:
    """Whether a log goes on for two intervals after the start."""
    after = _after(record, start)
    return len(after) >= 3 and bool(record.fixes.stamps[after[-1]] - start.belief.stamp >= 2.0 * interval)


def plan(record: Record, start: Start, interval: float) -> Plan:
    """Fixes at least ``interval`` seconds after the one before, less half the spacing of the log's fixes.

    Raises:
        EvaluationError: the log is shorter than two intervals after the start.
    """
    if not long_enough(record, start, interval):
        raise EvaluationError(f"{record.name}: too short for a fix every {interval:g} s")
    stamps, after = record.fixes.stamps, _after(record, start)
    slack = float(np.median(np.diff(stamps))) / 2.0
    given, last = [], start.belief.stamp
    for index in after:
        if stamps[index] - last >= interval - slack:
            given.append(int(index))
            last = float(stamps[index])
    withheld = np.setdiff1d(after, given)
    # A stray fix between two given ones is no sample of the log.
    scored = withheld if len(withheld) >= len(given) else after
    return Plan(np.array(given, dtype=np.intp), scored)


def run_record(record: Record, start: Start, interval: float, tick: Callable[[str], None] = lambda _: None) -> Outcome:
    """Every estimator over one log.

    Args:
        record: log.
        start: of all of them.
        interval: s.
        tick: called with the name of each estimator when it is done.

    Raises:
        EvaluationError: the log is too short.
    """
    chosen = plan(record, start, interval)
    tracks: dict[str, Track] = {}
    failures: dict[str, str] = {}
    guesses: dict[str, dict[int, Any]] = {OURS: {}, EKF: {}}
    status: StatusReport | None = None
    for name, make in CAUSAL.items():
        estimator = make(record, start)
        tracks[name] = _causal(record, start, chosen, estimator, guesses.get(name, {}))
        if isinstance(estimator, Ours):
            status = estimator.fusion.status()
        tick(name)
    assert status is not None
    if chosen.withheld:
        try:
            solved = batch_positions(record, start, chosen.given, list(guesses.values()))
            positions = np.array([solved[i] for i in chosen.scored])
            tracks[BATCH] = _track(record, chosen, positions, None)
        except EvaluationError as error:
            failures[BATCH] = str(error)
    tick(BATCH)
    fixes = record.fixes
    return Outcome(
        record.name, interval, tracks, fixes.positions[chosen.scored], fixes.stamps[chosen.given], status, failures
    )


def _causal(record: Record, start: Start, chosen: Plan, estimator: Estimator, guesses: dict[int, Any]) -> Track:
    imu, fixes = record.imu, record.fixes
    given, scored = set(chosen.given.tolist()), set(chosen.scored.tolist())
    waiting = _after(record, start)
    positions, covariances, k = [], [], 0
    for sample in range(start.sample, len(imu.stamps)):
        estimator.imu(float(imu.stamps[sample]), imu.acceleration[sample], imu.angular_velocity[sample])
        while k < len(waiting) and sample + 1 < len(imu.stamps) and fixes.stamps[waiting[k]] < imu.stamps[sample + 1]:
            index = int(waiting[k])
            k += 1
            if index in scored:
                estimate = estimator.estimate().after(float(fixes.stamps[index] - imu.stamps[sample]))
                positions.append(estimate.position)
                covariances.append(estimate.covariance)
            guesses[index] = estimator.nav()
            if index in given:
                estimator.fix(index)
    return _track(record, chosen, np.array(positions), np.array(covariances))


def _track(record: Record, chosen: Plan, positions: Array, covariances: Array | None) -> Track:
    fixes = record.fixes
    joint = None if covariances is None else covariances + np.diag(fixes.sigmas**2)
    return Track(fixes.stamps[chosen.scored], positions, positions - fixes.positions[chosen.scored], joint)
