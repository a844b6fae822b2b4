"""The run that is exported: its tracks in the wanted stretch, at the wanted rate, in `map` and geodetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation import EvaluationConfig, EvaluationError
from geo_nav.evaluation.evaluate import evaluate_recording
from geo_nav.evaluation.fixes import ScoredFix, score_fixes
from geo_nav.evaluation.recording import OdometryTrack, Recording
from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.export.errors import ExportError
from geo_nav.export.options import ExportOptions
from geo_nav.fusion.types import NavigationState

Array = npt.NDArray[np.float64]

_UNIX = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 (Python 3.10 has no datetime.UTC)


@dataclass(frozen=True, eq=False)
class ExportRun:
    """A recorded run and what of it is wanted.

    Attributes:
        recording: the run.
        options: what is wanted.
        notes: what is left out, and why, in words; grows while formats are written.
    """

    recording: Recording
    options: ExportOptions
    notes: list[str] = field(default_factory=list)

    @property
    def window(self) -> tuple[float, float]:
        """First and last stamp that are wanted, seconds."""
        begin = float(self.recording.odometry.poses.stamps[0])
        return begin + self.options.begin, begin + self.options.end

    @property
    def inputs(self) -> list[Path]:
        """The bags that went in, where the run was made from bags."""
        return [Path(path) for path in self.recording.info.inputs]

    @property
    def truth_gap(self) -> float:
        """Longest time between two true poses that is interpolated, seconds."""
        config = EvaluationConfig()
        return config.max_truth_gap if self.recording.truth_has_orientation else config.max_position_gap

    def wants(self, part: str, there: bool) -> bool:
        """Whether a part is to be written.

        Args:
            part: its name.
            there: whether the run has it.

        Raises:
            ExportError: it was named, and the run does not have it.
        """
        if part in self.options.parts and not there:
            raise ExportError(f"{self.recording.run_dir} has no {part} between these times")
        return there and part in (self.options.parts or (part,))

    def estimate(self, default_rate: float | None) -> OdometryTrack | None:
        """geo_nav's output; None where it is not wanted.

        Args:
            default_rate: Hz, where the options name none; None for as recorded.

        Raises:
            ExportError: it was named, and nothing of it lies in the stretch.
        """
        track = self.recording.odometry
        stamps = self._stamps(track.poses, default_rate, EvaluationConfig().max_estimate_gap)
        if not self.wants("estimate", len(stamps) > 0):
            return None
        nearest = _nearest(track.poses.stamps, stamps)
        velocities = np.column_stack([np.interp(stamps, track.poses.stamps, track.velocities[:, k]) for k in range(3)])
        return OdometryTrack(track.poses.at(stamps), track.received[nearest], velocities, track.covariances[nearest])

    def truth(self, default_rate: float | None) -> TimedPoses | None:
        """The truth; None where there is none or it is not wanted. See :meth:`estimate`."""
        truth = self.recording.truth
        stamps = self._stamps(truth, default_rate, self.truth_gap)
        return truth.at(stamps) if self.wants("truth", len(stamps) > 0) else None

    def scored(self) -> tuple[TimedPoses, TimedPoses] | None:
        """Estimate and truth at the very stamps that `summary.json` is made of; None where nothing can be scored.

        Raises:
            ExportError: it was named, and nothing can be scored.
        """
        try:
            stamps = self._scored_stamps
        except EvaluationError as error:
            if "scored" in self.options.parts:
                raise ExportError(str(error)) from error
            return None
        stamps = stamps[self._inside(stamps)]
        if not self.wants("scored", len(stamps) > 0):
            return None
        return self.recording.odometry.poses.at(stamps), self.recording.truth.at(stamps)

    def fixes(self) -> list[ScoredFix]:
        """Every frame in the stretch that registration tried, beside the truth; empty where they are not wanted."""
        inside = self._inside(np.array([fix.stamp for fix in self.recording.fixes], dtype=np.float64))
        chosen = [fix for fix, keep in zip(self.recording.fixes, inside, strict=True) if keep]
        if not self.wants("fixes", len(chosen) > 0):
            return []
        return score_fixes(
            chosen,
            self.recording.truth,
            self.recording.T_base_camera,
            self.truth_gap,
            self.recording.truth_sigma,
            self.recording.truth_has_orientation,
        )

    def gps(self) -> Array:
        """(N, 4) stamp (s), latitude, longitude (degrees), ellipsoidal height (m); empty where it is not wanted."""
        gps = self.recording.gps[self._inside(self.recording.gps[:, 0])]
        return gps if self.wants("gps", len(gps) > 0) else gps[:0]

    def states(self, stamps: Array) -> list[NavigationState]:
        """The state of navigation last published at each stamp (N,); INITIALIZING before the first status."""
        status = self.recording.status
        last = np.searchsorted(status.stamps, stamps, side="right") - 1
        return [NavigationState(int(status.states[k])) if k >= 0 else NavigationState.INITIALIZING for k in last]

    def geodetic(self, positions: npt.ArrayLike) -> Array:
        """(N, 3) m in `map` → (N, 3) latitude, longitude (degrees, WGS84), height above the ellipsoid (m).

        Raises:
            ExportError: the run does not say where `map` lies.
        """
        if self.recording.origin is None:
            raise ExportError(
                f"{self.recording.run_dir} does not say where its map frame lies (no message on /geo_nav/site), so "
                "there are no geodetic coordinates"
            )
        points = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
        return np.column_stack(self.recording.origin.to_geodetic(points))

    @cached_property
    def _scored_stamps(self) -> Array:
        return evaluate_recording(self.recording).errors.stamps

    def _inside(self, stamps: Array) -> npt.NDArray[np.bool_]:
        begin, end = self.window
        return (stamps >= begin) & (stamps <= end)

    def _stamps(self, poses: TimedPoses, default_rate: float | None, max_gap: float) -> Array:
        """Stamps of a trajectory in the stretch: whole multiples of the rate's period in UTC, or as recorded."""
        rate = self.options.rate or default_rate
        stamps = poses.stamps
        if rate is not None and len(stamps):
            grid = np.arange(np.ceil(stamps[0] * rate), np.floor(stamps[-1] * rate) + 1) / rate
            stamps = grid[poses.covers(grid, max_gap)]
        return stamps[self._inside(stamps)]

    @property
    def title(self) -> str:
        """Of the run, for people."""
        return self.recording.info.name or self.recording.run_dir.resolve().name


def utc(stamp: float) -> datetime:
    """Seconds since 1970 → UTC, to the microsecond."""
    return _UNIX + timedelta(seconds=stamp)


def _nearest(stamps: Array, wanted: Array) -> npt.NDArray[np.intp]:
    """(M,) index of the nearest of ``stamps`` (N,) to each wanted one."""
    right = np.searchsorted((stamps[1:] + stamps[:-1]) / 2.0, wanted)
    return np.asarray(right, dtype=np.intp)


def thinned(stamps: Array, period: float) -> npt.NDArray[np.intp]:
    """Indices of stamps (N,), increasing, that are at least a period apart, s; the first is among them."""
    chosen: list[int] = []
    for k, stamp in enumerate(stamps):
        if not chosen or stamp >= stamps[chosen[-1]] + period:
            chosen.append(k)
    return np.array(chosen, dtype=np.intp)
