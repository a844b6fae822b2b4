"""The decisions around the graph: start, gate, give up, rebuild."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
import numpy.typing as npt

from geo_nav.fusion.adaptation import widened
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.bootstrap import Bootstrap, Start, thinned
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.gate import Gate, Verdicts
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.intake import FixOutcome, Intake
from geo_nav.fusion.measurements import Attitude, GpsFix, Measurement, PoseFix
from geo_nav.fusion.relative import RelativePose
from geo_nav.fusion.sensors.standstill import StandstillDetector
from geo_nav.fusion.track_gate import TrackGate

Array = npt.NDArray[np.float64]

_MOTION_FIXES = 4
"""GPS fixes that a start without an attitude takes at least."""


@dataclass(frozen=True)
class Counts:
    """Counters and facts for the status; all since the construction."""

    used: int = 0
    refused: int = 0
    too_old: int = 0
    tracks_used: int = 0
    tracks_refused: int = 0
    rebuilds: int = 0
    rivals: int = 0
    last_fix: float = float("nan")
    waiting_for: str = "waiting for IMU samples"


@dataclass
class Result:
    """What one update did."""

    solved: bool = False
    fixes: list[FixOutcome] = field(default_factory=list)
    rebuilt: str = ""
    started: str = ""


class Estimator:
    """Runs the graph window. Only :meth:`request`, :meth:`counts` and :meth:`count_refused_tracks` may be called beside
    :meth:`update`.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel, intake: Intake) -> None:
        self._config = config
        self._imu = imu
        self._model = model
        self._intake = intake
        self._bootstrap = Bootstrap(config, imu, model)
        self._window: GraphWindow | None = None
        self._candidates: list[Measurement] = []
        self._gate = Gate(config, imu, model)
        self._excess = 1.0
        self._lock = Lock()
        self._requested: tuple[Belief, float, str] | None = None
        self._counts = Counts()
        self._refusal = self._failure = ""
        self._tracks = TrackGate(config, imu, model)
        self._standstill = StandstillDetector(config, imu, model)
        self.anchor: Belief | None = None

    def counts(self) -> Counts:
        """The counters now."""
        with self._lock:
            return self._counts

    def _count(self, **changes: object) -> None:
        with self._lock:
            self._counts = replace(self._counts, **changes)  # type: ignore[arg-type]

    def count_refused_tracks(self, number: int) -> None:
        """So many more tracks that could not be used."""
        with self._lock:
            self._counts = replace(self._counts, tracks_refused=self._counts.tracks_refused + number)

    def request(self, belief: Belief, last_fix: float, name: str) -> None:
        """Start from a belief at the next update that has IMU there."""
        with self._lock:
            self._requested = (belief, last_fix, name)

    def interrupt(self, newest: Belief) -> None:
        """The IMU's time has jumped: try to go on from the newest belief, and forget what waits."""
        self._drop()
        self._intake.clear()
        span = self._imu.span
        if span is None or newest.stamp > span[0]:
            self._count(waiting_for="the IMU's time went back: waiting for fixes")
            return
        with self._lock:
            if self._requested is None:
                self._requested = (newest, self._counts.last_fix, "the state before the jump of the IMU's time")

    def _drop(self) -> None:
        self._window = None
        self.anchor = None
        self._candidates.clear()
        self._gate.clear()
        self._excess = 1.0
        self._tracks.clear()
        self._standstill.clear()

    def update(self) -> Result:
        """Decide on every queued fix, and solve."""
        result = Result()
        span = self._imu.span
        if span is None:
            return result
        queued, lost = self._intake.take(span[1], self._config.lag)
        result.fixes += lost
        try:
            self._decide(queued, span, result)
        except Exception as error:  # GTSAM has failed where there is no window to fall back on
            self._abandon(queued, error, result)
        return result

    def _decide(self, queued: list[Measurement | RelativePose], span: tuple[float, float], result: Result) -> None:
        tracks = [m for m in queued if isinstance(m, RelativePose)]
        measurements = [self._with_imu(m, span) for m in queued if not isinstance(m, RelativePose)]
        self._serve_request(span, result)
        if self._window is None:
            early: list[Measurement | RelativePose] = [*tracks, *(m for m in measurements if not m.is_fix)]
            result.fixes += [FixOutcome(m.stamp, m.kind, False, "there is no state yet") for m in early]
            self._start_from_fixes([m for m in measurements if m.is_fix], span, result)
        else:
            assert self.anchor is not None
            measurements = sorted([*measurements, *self._standstill.find(self.anchor)], key=lambda m: m.stamp)
            self._step(self._window, measurements, tracks, span[1], result)

    def _abandon(self, queued: Sequence[Measurement | RelativePose], error: Exception, result: Result) -> None:
        """Give the window up; the next update tries once to go on from the last good state, or fixes start anew."""
        # A rebuild that has failed counts already.
        rebuilds = self._counts.rebuilds + (not result.rebuilt)
        result.rebuilt = f"{result.rebuilt}; {error!r}" if result.rebuilt else repr(error)
        result.solved = False
        anchor = self.anchor
        self._drop()
        self._count(rebuilds=rebuilds, waiting_for=f"the graph has failed: {error}")
        if anchor is not None:
            self.request(anchor, self._counts.last_fix, "the last good state")
        reason = "lost when the graph failed"
        decided = {(o.stamp, o.kind) for o in result.fixes}
        result.fixes = [replace(o, used=False, reason=reason) if o.used else o for o in result.fixes]
        result.fixes += [FixOutcome(m.stamp, m.kind, False, reason) for m in queued if (m.stamp, m.kind) not in decided]

    def _with_imu(self, measurement: Measurement, span: tuple[float, float]) -> Measurement:
        """With what it takes from the IMU; what is older than that will be too old for the graph, too."""
        return measurement if measurement.stamp < span[0] else measurement.with_imu(self._imu)

    # ------------------------------------------------------------------ start

    def _serve_request(self, span: tuple[float, float], result: Result) -> None:
        with self._lock:
            if self._requested is None or self._requested[0].stamp > span[1]:
                return
            (belief, last_fix, name), self._requested = self._requested, None
        resumed = self._resumed(belief, span[0])
        if resumed is None:
            gap = span[0] - belief.stamp
            limit = self._config.checkpoint_max_age
            result.started = f"{name} is refused: {gap:.1f} s older than the IMU, more than {limit:g} s"
            self._refusal = f"; {result.started}"
            return
        if resumed is not belief:
            # Nobody knows how the vehicle has turned meanwhile, but its AHRS may.
            attitude = self._intake.attitude(resumed.stamp, span[1])
            if attitude is not None:
                resumed = resumed.propagated(self._imu.segments(resumed.stamp, attitude.stamp), self._model)
                resumed = resumed.with_attitude(attitude.rotation, attitude.covariance)
        self._begin(resumed, last_fix, result, f"started from {name}")

    def _resumed(self, belief: Belief, first_imu: float) -> Belief | None:
        """A belief brought to where the IMU begins; None where that is too long after it."""
        gap = first_imu - belief.stamp
        if gap <= 0.0:
            return belief
        if gap > self._config.checkpoint_max_age:
            return None
        return belief.bridged(first_imu, self._model)

    def _begin(self, belief: Belief, last_fix: float, result: Result, how: str) -> None:
        self._drop()
        self._window = GraphWindow(self._config, self._imu, self._model, belief)
        self.anchor = belief
        self._count(last_fix=last_fix, waiting_for="")
        self._refusal = ""
        result.solved = True
        result.started = how

    def _start_from_fixes(self, fixes: list[Measurement], span: tuple[float, float], result: Result) -> None:
        c = self._config
        kept = max(span[0], span[1] - max(c.start_window, c.start_motion_window))
        self._candidates = sorted((m for m in [*self._candidates, *fixes] if m.stamp >= kept), key=lambda m: m.stamp)
        oldest = max(span[0], span[1] - c.start_window)
        self._failure = ""
        recent = [m for m in self._candidates if m.stamp >= oldest]
        poses = [m for m in recent if isinstance(m, PoseFix)]
        attitude = self._intake.attitude(oldest, span[1])
        start = self._solve_start(poses, None, c.start_fixes, c.start_seconds)
        if start is None and attitude is not None:
            start = self._solve_start(recent, attitude, c.start_gps_fixes, c.start_gps_seconds)
        if start is None and fixes:
            positions = thinned([m for m in self._candidates if isinstance(m, GpsFix)])
            start = self._solve_start(positions, None, max(_MOTION_FIXES, c.start_gps_fixes), c.start_gps_seconds)
        if start is not None:
            self._adopt(start, self._candidates, result)
            return
        gps = len(recent) - len(poses)
        have = f"{len(poses)} of {c.start_fixes} absolute poses, or {gps} of {c.start_gps_fixes} GPS fixes"
        given = "no attitude, and the motion does not show the heading" if attitude is None else "with attitude"
        self._count(waiting_for=f"waiting for fixes that agree: {have}, {given}{self._refusal}{self._failure}")

    def _solve_start(
        self, fixes: Sequence[Measurement], attitude: Attitude | None, least: int, span: float
    ) -> Start | None:
        if len(fixes) < least:
            return None
        try:
            return self._bootstrap.solve(fixes, attitude, least, span)
        except Exception as error:  # GTSAM raises several kinds for a batch that cannot be solved; more fixes may help
            self._failure = f"; a start from {len(fixes)} fixes failed: {type(error).__name__}"
            return None

    def _adopt(self, start: Start, considered: list[Measurement], result: Result) -> None:
        """Begin from a start, and say what became of the fixes that were looked at."""
        used = {id(m) for m in start.used}
        for m in considered:
            reason = "" if id(m) in used else "not used for the start: disagrees, or follows one too closely"
            result.fixes.append(FixOutcome(m.stamp, m.kind, id(m) in used, reason))
        self._count(used=self._counts.used + len(used))
        self._begin(start.belief, start.belief.stamp, result, f"started from {len(used)} fixes")

    # ------------------------------------------------------------------ the running graph

    def _step(
        self,
        window: GraphWindow,
        measurements: list[Measurement],
        tracks: list[RelativePose],
        newest_imu: float,
        result: Result,
    ) -> None:
        """Gate the measurements and the tracks, put them in, solve."""
        verdicts = Verdicts()
        used = verdicts.used
        try:
            self._judge(window, measurements, verdicts, result)
            newest = max([window.states[-1].stamp, *(m.stamp for m in used), *(t.stamp for t in tracks)])
            motions, outcomes = self._tracks.judge(window, tracks, newest)
            result.fixes += outcomes
            taken = sum(o.used for o in outcomes)
            self.count_refused_tracks(len(outcomes) - taken)
            stamp = max([window.states[-1].stamp, *(m.stamp for m in used), *(t.stamp for t in motions)])
            spacing = self._config.max_state_spacing
            idle = [stamp + spacing] if newest_imu - stamp >= spacing else []
            if used or motions or idle:
                self._solve(window, used, idle, motions, verdicts.reweighed)
                result.solved = True
                self._fade(window, used, verdicts.excess, result)
            self._count(tracks_used=self._counts.tracks_used + taken)
        except Exception as error:  # whatever GTSAM raises: the window starts anew, the run goes on
            used = self._rebuild(used, error, result)
        fixes = [m for m in used if m.is_fix]
        if fixes:
            self._gate.opposition.answer(fixes)
            last_fix = max([self._counts.last_fix, *(m.stamp for m in fixes)])
            self._count(used=self._counts.used + len(fixes), last_fix=last_fix)
        self._reconsider(newest_imu, result)
        opposition = self._gate.opposition
        if opposition.failure:
            failure, opposition.failure = f"the rival state has failed: {opposition.failure}", ""
            result.rebuilt = f"{result.rebuilt}; {failure}" if result.rebuilt else failure

    def _judge(self, window: GraphWindow, measurements: list[Measurement], verdicts: Verdicts, result: Result) -> None:
        try:
            self._gate.judge(window, measurements, verdicts)
        finally:
            result.fixes += verdicts.outcomes
            self._count(
                refused=self._counts.refused + verdicts.refused,
                too_old=self._counts.too_old + verdicts.too_old,
                rivals=self._gate.opposition.fixes,
            )

    def _solve(
        self,
        window: GraphWindow,
        measurements: list[Measurement],
        idle: list[float],
        tracks: Sequence[RelativePose] = (),
        reweighed: Sequence[Measurement] = (),
    ) -> None:
        window.update(measurements, idle, tracks, reweighed)
        anchor = window.newest()
        try:
            np.linalg.cholesky(anchor.covariance)  # what a window that starts from here will need
        except np.linalg.LinAlgError:
            raise FusionError("the covariance of the solution is not positive definite") from None
        if not np.isfinite(anchor.nav.position()).all() or not np.isfinite(anchor.covariance).all():
            raise FusionError("the solution is not finite")
        self.anchor = anchor

    def _fade(self, window: GraphWindow, used: list[Measurement], excess: float, result: Result) -> None:
        """Go on from the newest fix with a wider covariance where the fixes say that it was too narrow.

        It waits for a fix that is the newest of all: what lies behind that one would be lost.
        """
        self._excess *= excess
        newest = max((m.stamp for m in used if m.is_fix), default=-math.inf)
        if self._excess == 1.0 or newest < self._counts.last_fix:
            return
        try:
            belief = widened(window.predict(newest), self._excess, self._config)
            self._window = GraphWindow(self._config, self._imu, self._model, belief)
            self.anchor = self._window.newest()
        except Exception as error:  # GTSAM raises several kinds; the window is good as it was
            self._window = window
            result.rebuilt = f"the covariance could not be widened: {error!r}"
        self._excess = 1.0

    def _rebuild(self, fixes: list[Measurement], error: Exception, result: Result) -> list[Measurement]:
        """A new window from the last good state, with the fixes since; without them, should they be what fails.

        Returns:
            The fixes that are in the new window.
        """
        result.rebuilt = f"{type(error).__name__}: {error}"
        self._count(rebuilds=self._counts.rebuilds + 1)
        span = self._imu.span
        base = self._resumed(self.anchor, span[0]) if self.anchor and span else None
        kept = [m for m in fixes if base and m.stamp >= base.stamp]
        if base is None:
            self._drop()
            self._count(waiting_for="the last good state is too old: waiting for fixes")
        else:
            kept = self._rebuild_from(base, kept, result)
        lost = {(m.stamp, m.kind) for m in fixes if m not in kept}
        # The references of the tracks lie before the new window.
        result.fixes = [
            replace(o, used=False, reason="lost when the graph was rebuilt")
            if o.used and ((o.stamp, o.kind) in lost or o.kind == "track")
            else o
            for o in result.fixes
        ]
        return kept

    def _rebuild_from(self, base: Belief, fixes: list[Measurement], result: Result) -> list[Measurement]:
        result.solved = True
        for attempt in (fixes, []):
            self._window = GraphWindow(self._config, self._imu, self._model, base)
            self.anchor = base
            if not attempt:
                break
            try:
                self._solve(self._window, attempt, [])
                return attempt
            except Exception as again:  # then without the fixes
                result.rebuilt += f"; with the fixes again {type(again).__name__}: {again}"
        return []

    def _reconsider(self, newest_imu: float, result: Result) -> None:
        """Give the state up for its rival where that is borne out, see :mod:`geo_nav.fusion.rival`."""
        if self.anchor is None:
            return
        horizontal = float(np.sqrt(np.linalg.eigvalsh(self.anchor.pose_covariance[:2, :2])[-1]))
        lost_from = self._counts.last_fix + self._config.lost_after
        succession = self._gate.opposition.successor(
            newest_imu, -math.inf if horizontal > self._config.lost_sigma else lost_from
        )
        if succession is None:
            return
        rival, belief = succession
        self._drop()
        self._window, self.anchor = rival.window, belief
        self._gate.overthrown()
        self._count(used=self._counts.used + rival.hits, last_fix=rival.last, rivals=0)
        result.solved = True
        result.started = (
            f"state given up for {rival.hits} fixes over {rival.last - rival.first:.0f} s that contradict it"
        )
