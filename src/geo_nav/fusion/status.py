"""The state machine of DESIGN.md §5, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from geo_nav.fusion.auxiliary import columns
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.consistency import Consistency
from geo_nav.fusion.intake import FixOutcome
from geo_nav.fusion.protection import ProtectionLevels
from geo_nav.fusion.tally import KindCount
from geo_nav.fusion.types import NavigationState


@dataclass(frozen=True)
class UpdateInfo:
    """What one :meth:`Fusion.update` did.

    Attributes:
        milliseconds: duration.
        solved: whether the graph changed.
        fixes: every fix that was decided on.
        rebuilt: the exception that made the window start anew, or ended a rival state; empty otherwise.
        started: how a state was found or given up in this update; empty otherwise.
    """

    milliseconds: float = 0.0
    solved: bool = False
    fixes: list[FixOutcome] = field(default_factory=list)
    rebuilt: str = ""
    started: str = ""


@dataclass(frozen=True)
class Calibration:
    """An auxiliary variable as it is known now.

    Attributes:
        value: of it, in its unit.
        sigma: 1 sigma of that.
        observable: whether the measurements have told more of it than was known at the start: half the sigma or less.
    """

    value: float
    sigma: float
    observable: bool


@dataclass(frozen=True)
class StatusReport:
    """The fields of `NavigationStatus.msg`.

    Attributes:
        stamp: of the newest state, s; nan before there is IMU.
        state: of the state machine.
        reason: in words.
        seconds_since_fix: since the newest fix used; nan before the first.
        horizontal_sigma: 1 sigma of the worse horizontal axis, m; nan before the start.
        vertical_sigma: m.
        heading_sigma: rad.
        fixes_used: absolute poses and GPS fixes in the graph since the start.
        fixes_refused: by the chi-square gate.
        fixes_too_old: older than the lag.
        tracks_used: motions of tracked frames in the graph since the start.
        tracks_refused: of those that were not: not finite, out of order, too old, or against the chi-square gate.
        imu_samples: accepted.
        imu_samples_refused: not finite, saturated, out of order or duplicate.
        graph_rebuilds: after an exception of the solver.
        update_milliseconds: median of the last graph updates.
        measurements: what has become of the measurements, by kind.
        consistency: whether their innovations are as large as the covariances say, by kind.
        levels: how far the position may be off.
        calibrations: the auxiliary variables that are being estimated, by name; those held fixed are not here.
    """

    stamp: float
    state: NavigationState
    reason: str
    seconds_since_fix: float
    horizontal_sigma: float
    vertical_sigma: float
    heading_sigma: float
    fixes_used: int
    fixes_refused: int
    fixes_too_old: int
    tracks_used: int
    tracks_refused: int
    imu_samples: int
    imu_samples_refused: int
    graph_rebuilds: int
    update_milliseconds: float
    measurements: dict[str, KindCount]
    consistency: dict[str, Consistency]
    levels: ProtectionLevels
    calibrations: dict[str, Calibration]


def calibrations(belief: Belief | None) -> dict[str, Calibration]:
    """The auxiliary variables of the last solution that calibrate a sensor, by name."""
    if belief is None:
        return {}
    sigmas = np.sqrt(np.diag(belief.covariance)[15:])
    return {
        walk.name: Calibration(belief.value(walk).item(), sigma, sigma <= 0.5 * walk.sigma)
        for walk, column in zip(belief.walks, columns(belief.walks), strict=True)
        if not walk.is_stationary
        for sigma in sigmas[column].tolist()
    }


def classify(
    config: FusionConfig,
    started: bool,
    waiting_for: str,
    seconds_since_fix: float,
    horizontal_sigma: float,
    rivals: int,
) -> tuple[NavigationState, str]:
    """The state and its reason.

    Args:
        config: thresholds.
        started: whether there is a state.
        waiting_for: what the start waits for, in words.
        seconds_since_fix: s.
        horizontal_sigma: m.
        rivals: number of refused fixes since the last one used.
    """
    if not started:
        return NavigationState.INITIALIZING, waiting_for
    lost = ""
    if seconds_since_fix > config.lost_after:
        lost = f"no fix used for {seconds_since_fix:.0f} s (limit {config.lost_after:g} s)"
    elif not horizontal_sigma <= config.lost_sigma:
        lost = f"horizontal sigma {horizontal_sigma:.0f} m (limit {config.lost_sigma:g} m)"
    if lost and rivals > 0:
        return NavigationState.RELOCALIZING, f"{lost}; {rivals} fixes disagree with the state and are being verified"
    if lost:
        return NavigationState.LOST, lost
    disagree = f"; {rivals} fixes since then refused" if rivals else ""
    if seconds_since_fix > config.coasting_after:
        return NavigationState.COASTING, f"no fix used for {seconds_since_fix:.1f} s{disagree}"
    return NavigationState.TRACKING, f"last fix {seconds_since_fix:.1f} s ago{disagree}"
