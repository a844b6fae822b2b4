"""Which tracked frames enter the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.correlation import Correlation, inflation
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.intake import FixOutcome
from geo_nav.fusion.relative import RelativePose

_EARLY = 1e-3
"""A track may come this much before it is due, s: frames do not come at exactly even times."""


class TrackGate:
    """Rate, order and agreement with the IMU.

    Args:
        config: settings.
        imu: the samples.
        model: preintegration.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel) -> None:
        self._config = config
        self._imu = imu
        self._model = model
        self._last = -math.inf
        self._reference = -math.inf
        self._factor = 1.0
        self._correlation = Correlation(config.min_state_spacing, config.lag)

    def clear(self) -> None:
        """Forget which track was the last."""
        self._last = self._reference = -math.inf
        self._factor = 1.0
        self._correlation.clear()

    def judge(
        self, window: GraphWindow, tracks: Sequence[RelativePose], newest: float
    ) -> tuple[list[RelativePose], list[FixOutcome]]:
        """The tracks to use, and what became of all that were judged; those that are not due are in neither.

        Args:
            window: the graph.
            tracks: in order of their stamps.
            newest: stamp of the newest state that there will be, s.
        """
        c = self._config
        tau = c.fix_correlation_time
        oldest = max(window.states[0].stamp, newest - c.lag + c.min_state_spacing)
        used: dict[float, RelativePose] = {}
        outcomes: dict[float, FixOutcome] = {}
        refused: list[FixOutcome] = []
        for track in tracks:
            # The frame on which a new registration's tracks catch up may be in the graph already: that is no fault.
            if track.stamp <= self._last and track.reference_stamp <= self._reference:
                reason = f"not newer than the last track, {self._last:.3f} s"
                refused.append(FixOutcome(track.stamp, track.kind, False, reason))
            elif track.reference_stamp < oldest:
                reason = f"too old: its reference lies {newest - track.reference_stamp:.2f} s behind the newest state"
                refused.append(FixOutcome(track.stamp, track.kind, False, reason))
            elif track.stamp - max(self._last + c.track_spacing, track.reference_stamp + c.min_state_spacing) > -_EARLY:
                placed, distance = self._compared(window, track)
                limit = float(chi2.ppf(c.gate_probability, 6))
                if not distance <= limit:
                    reason = f"disagrees with the IMU: chi-square {distance:.1f} > {limit:.1f}"
                    refused.append(FixOutcome(track.stamp, track.kind, False, reason, distance, 6, tau))
                    continue
                self._last = track.stamp
                used[track.reference_stamp] = placed.inflated(self._correlation_factor(track.reference_stamp))
                outcomes[track.reference_stamp] = FixOutcome(track.stamp, track.kind, True, "", distance, 6, tau)
        return list(used.values()), [*refused, *outcomes.values()]

    def _correlation_factor(self, reference: float) -> float:
        """What the covariance of a registration's motions grows by.

        A motion carries the part of its registration's error that does not cancel, and errors of successive
        registrations are correlated.
        """
        if reference != self._reference:
            self._factor = inflation(self._correlation.take("track", reference), self._config.fix_correlation_time)
            self._reference = reference
        return self._factor

    def _compared(self, window: GraphWindow, track: RelativePose) -> tuple[RelativePose, float]:
        """The track by the reference's state, and its squared Mahalanobis distance to the motion that the IMU predicts
        from there.
        """
        reference = window.predict(track.reference_stamp, track.walks)
        track = track.with_imu(self._imu).placed(reference)
        segments = self._imu.segments(track.reference_stamp, track.stamp)
        error, covariance = track.innovation(reference, segments, self._model)
        return track, float(error @ np.linalg.solve(covariance, error))
