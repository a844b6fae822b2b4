"""Which tracked frames enter the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.correlation import inflation
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.intake import FixOutcome
from geo_nav.fusion.relative import RelativePose


class TrackGate:
    """Rate, order and agreement with the IMU.

    Which motion of a reference stays in the graph does not depend on the order of arrival: the time since the reference
    is divided into intervals of ``track_spacing``, and it is the earliest frame of the latest interval.

    Args:
        config: settings.
        imu: the samples.
        model: preintegration.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel) -> None:
        self._config = config
        self._imu = imu
        self._model = model
        self._tracks: dict[float, RelativePose] = {}
        self._left = -math.inf

    def clear(self) -> None:
        """Forget which tracks were used."""
        self._tracks.clear()
        self._left = -math.inf

    def judge(
        self, window: GraphWindow, tracks: Sequence[RelativePose], newest: float
    ) -> tuple[list[RelativePose], list[FixOutcome]]:
        """The tracks to use, and what became of all that were judged; those that are not due are in neither.

        A track that was used before is given again where one from a reference before its own has come since: of two
        that err together, the later weighs less.

        Args:
            window: the graph.
            tracks: in order of their stamps.
            newest: stamp of the newest state that there will be, s.
        """
        c = self._config
        tau = c.fix_correlation_time
        oldest = max(window.states[0].stamp, newest - c.lag + c.min_state_spacing)
        changed: set[float] = set()
        outcomes: dict[float, FixOutcome] = {}
        refused: list[FixOutcome] = []
        for track in tracks:
            reference = track.reference_stamp
            known = self._tracks.get(reference)
            before = known.stamp if known else -math.inf
            if track.stamp == before or self._interval(reference, track.stamp) < self._interval(reference, before):
                reason = f"not newer than the last track from there, {before:.3f} s"
                refused.append(FixOutcome(track.stamp, track.kind, False, reason))
            elif reference < oldest:
                reason = f"too old: its reference lies {newest - reference:.2f} s behind the newest state"
                refused.append(FixOutcome(track.stamp, track.kind, False, reason))
            elif self._is_due(reference, track.stamp, before):
                placed, distance = self._compared(window, track)
                limit = float(chi2.ppf(c.gate_probability, 6))
                if not distance <= limit:
                    reason = f"disagrees with the IMU: chi-square {distance:.1f} > {limit:.1f}"
                    refused.append(FixOutcome(track.stamp, track.kind, False, reason, distance, 6, tau))
                    continue
                self._tracks[reference] = placed
                changed |= {reference, self._follower(reference)}
                outcomes[reference] = FixOutcome(track.stamp, track.kind, True, "", distance, 6, tau)
        self._left = max([self._left, *(known for known in self._tracks if known < oldest)])
        self._tracks = {known: track for known, track in self._tracks.items() if known >= oldest}
        used = [track.inflated(self._factor(known)) for known, track in self._tracks.items() if known in changed]
        return used, [*refused, *outcomes.values()]

    def _interval(self, reference: float, stamp: float) -> float:
        """Number of the interval that a frame lies in; even times of frames fall into the middle of it."""
        return -math.inf if math.isinf(stamp) else math.floor((stamp - reference) / self._config.track_spacing + 0.5)

    def _is_due(self, reference: float, stamp: float, before: float) -> bool:
        if stamp - reference < self._config.min_state_spacing:
            return False
        return stamp < before or self._interval(reference, stamp) > self._interval(reference, before)

    def _follower(self, reference: float) -> float:
        """The next reference of which there is a track; infinite for none."""
        return min((known for known in self._tracks if known > reference), default=math.inf)

    def _factor(self, reference: float) -> float:
        """What the covariance of a reference's motion grows by.

        Motions from references that follow one another see the same ground with the same flow, and where the origin is
        not known carry their references' errors.
        """
        before = max((known for known in self._tracks if known < reference), default=self._left)
        interval = max(reference - before, self._config.min_state_spacing)
        return inflation(interval, self._config.fix_correlation_time)

    def _compared(self, window: GraphWindow, track: RelativePose) -> tuple[RelativePose, float]:
        """The track by the reference's state, and its squared Mahalanobis distance to the motion that the IMU predicts
        from there.
        """
        reference = window.predict(track.reference_stamp, track.walks)
        track = track.with_imu(self._imu).placed(reference, self._config.gate_probability)
        segments = self._imu.segments(track.reference_stamp, track.stamp)
        error, covariance = track.innovation(reference, segments, self._model)
        return track, float(error @ np.linalg.solve(covariance, error))
