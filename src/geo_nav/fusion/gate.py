"""What may enter the graph: chi-square gates, the rate of each kind, and what a contradiction leads to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from geo_nav.fusion.adaptation import NoiseAdaptation
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.correlation import Correlation, inflation
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.intake import FixOutcome
from geo_nav.fusion.measurements import GpsFix, Measurement, PoseFix
from geo_nav.fusion.rival import Opposition, log_likelihood
from geo_nav.fusion.spacing import Spacing

Array = npt.NDArray[np.float64]


_SCATTER_MEMORY = 10.0
"""Fixes of a kind over which the share of scattered ones is averaged."""

_SCATTERING = 0.15
"""A kind of which a larger share was refused and agreed with nothing gets no benefit of the doubt."""

_JAMMED = 0.5
"""Where a larger share was, the state may have followed some of them, and is left for a rival sooner."""


_FOLLOWED = 2.0
"""Innovations of fixes correlate no longer than this, s, even where their errors do: the state follows them."""


@dataclass
class Verdicts:
    """Of the measurements of one update.

    Attributes:
        used: those for the graph, weighted for the correlation of their errors.
        reweighed: those in the graph already that weigh less because of the new ones.
        outcomes: of all that were due.
        refused: fixes against the prediction.
        too_old: fixes behind the window.
        excess: what the variances of the state turn out to be too small by; mostly 1.
    """

    used: list[Measurement] = field(default_factory=list)
    reweighed: list[Measurement] = field(default_factory=list)
    outcomes: list[FixOutcome] = field(default_factory=list)
    refused: int = 0
    too_old: int = 0
    excess: float = 1.0


class Gate:
    """Judges measurements by the graph's prediction.

    Args:
        config: settings.
        imu: the samples.
        model: preintegration; its noise follows the fixes' innovations.

    Attributes:
        opposition: the state that refused fixes make.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel) -> None:
        self._config = config
        self._model = model
        self._spacing = Spacing(config.lag)
        self._correlation = Correlation(config.min_state_spacing, config.lag)
        self._adaptation = NoiseAdaptation()
        self._scatter: dict[str, float] = {}
        self._used: dict[tuple[str, float], Measurement] = {}
        self._last_pose = -math.inf
        self.opposition = Opposition(config, imu, model)

    def clear(self) -> None:
        """Another state begins; what was learnt of the IMU's noise stays."""
        self._spacing.clear()
        self._correlation.clear()
        self._scatter.clear()
        self._used.clear()
        self._last_pose = -math.inf
        self.opposition.clear()

    def overthrown(self) -> None:
        """The state was given up: the IMU is believed less."""
        if self._config.noise_adaptation:
            self._adaptation.overthrown()
        self._model.noise_scale = self._adaptation.scale

    def judge(self, window: GraphWindow, measurements: list[Measurement], verdicts: Verdicts) -> None:
        """Find the measurements that are due, not too old, and agree with the prediction by chi-square.

        Args:
            window: the graph; its exceptions pass through.
            measurements: in order of time.
            verdicts: to be filled, measurement by measurement.
        """
        newest = max([window.states[-1].stamp, *(m.stamp for m in measurements)])
        oldest = max(window.states[0].stamp, newest - self._config.lag + self._config.min_state_spacing)
        for m in measurements:
            if m.stamp < oldest:
                reason = f"too old: {newest - m.stamp:.2f} s behind the window"
                verdicts.outcomes.append(FixOutcome(m.stamp, m.kind, False, reason))
                verdicts.too_old += m.is_fix
            elif self._is_repeated(window, m) if m.is_fix else self._spacing.is_duplicate(m):
                reason = "duplicate: one of this stamp is in the graph"
                verdicts.outcomes.append(FixOutcome(m.stamp, m.kind, False, reason))
            elif m.is_fix or self._spacing.is_due(m):
                self._compare(window, m, verdicts)
        self._model.noise_scale = self._adaptation.scale

    def _is_repeated(self, window: GraphWindow, fix: Measurement) -> bool:
        """Whether the very same fix is in the graph; another of the same stamp may be another camera's."""
        known = self._used.get((fix.kind, fix.stamp))
        if known is None:
            return False
        belief = window.predict(fix.stamp, fix.walks)
        before, now = (m.placed(belief).innovation(belief)[0] for m in (known, fix))
        return bool(np.array_equal(before, now))

    def _compare(self, window: GraphWindow, m: Measurement, verdicts: Verdicts) -> None:
        """With the prediction at its stamp."""
        belief = window.predict(m.stamp, m.walks)
        error, covariance = m.placed(belief).innovation(belief)
        distance = float(error @ np.linalg.solve(covariance, error))
        limit = self._margin(m) ** 2 * float(chi2.ppf(self._config.gate_probability, len(error)))
        tau = m.correlation_time(self._config)
        if m.is_fix:
            reason = self._objection_to_fix(m, distance, limit, log_likelihood(error, covariance))
        else:
            reason = self._objection(m, distance, limit)
        verdicts.outcomes.append(FixOutcome(m.stamp, m.kind, not reason, reason, distance, len(error), tau))
        alone = False
        if not reason:
            interval = self._correlation.take(m.kind, m.stamp)
            verdicts.used.append(m.inflated(inflation(interval, tau)) if m.is_inflated else m)
            self._remember(m)
            if m.is_inflated:
                self._reweigh(m, tau, verdicts)
            self._spacing.take(m)
            if m.is_fix and self._config.noise_adaptation:
                followed = inflation(interval, min(tau, _FOLLOWED))
                verdicts.excess *= self._adaptation.observe(distance, len(error), 1.0 / followed)
        elif m.is_fix:
            alone = not self.opposition.take(m, belief, self._scatter.get(m.kind, 0.0) > _JAMMED)
            verdicts.refused += 1
        if m.is_fix:
            scatter = self._scatter.get(m.kind, 0.0)
            self._scatter[m.kind] = scatter + (float(bool(reason) and alone) - scatter) / _SCATTER_MEMORY

    def _reweigh(self, m: Measurement, tau: float, verdicts: Verdicts) -> None:
        """A late measurement takes from the weight of the one after it: the order of arrival must not matter."""
        follower = self._correlation.follower(m.kind, m.stamp)
        if tau > 0.0 and follower is not None and (m.kind, follower[0]) in self._used:
            verdicts.reweighed.append(self._used[m.kind, follower[0]].inflated(inflation(follower[1], tau)))

    def _remember(self, m: Measurement) -> None:
        if isinstance(m, PoseFix):
            self._last_pose = max(self._last_pose, m.stamp)
        self._used[m.kind, m.stamp] = m
        oldest = m.stamp - self._config.lag
        for old in [key for key in self._used if key[1] < oldest]:
            del self._used[old]

    def _margin(self, m: Measurement) -> float:
        """How many times the gate's radius a measurement may be off; more than one is the benefit of the doubt.

        GPS has none beside absolute poses: a site's model cannot be spoofed, and keeps the state right without it.
        """
        trusted = m.is_fix and self._scatter.get(m.kind, 0.0) <= _SCATTERING
        outranked = m.kind == GpsFix.kind and m.stamp - self._last_pose < self._config.coasting_after
        return self._config.gate_margin if trusted and not outranked else 1.0

    def _objection_to_fix(self, fix: Measurement, distance: float, limit: float, likelihood: float) -> str:
        """Why a fix is not used; empty where it is."""
        if not distance <= limit:
            return f"disagrees with the prediction: chi-square {distance:.1f} > {limit:.1f}"
        if self.opposition.claims(fix, likelihood):
            return f"agrees better with {self.opposition.fixes} refused before it than with the prediction"
        return ""

    def _objection(self, m: Measurement, distance: float, limit: float) -> str:
        """Why another measurement is not used; empty where it is."""
        if distance <= limit:
            self._spacing.agrees(m)
            return ""
        self._spacing.contradicts(m)
        if self._spacing.insists(m):
            return ""
        return f"disagrees with the prediction: chi-square {distance:.1f} > {limit:.1f}"
