"""Errors of one set at one interval, over all its logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geo_nav.evaluation.inertial.estimators import BATCH, CAUSAL, OURS
from geo_nav.evaluation.inertial.protocol import Outcome
from geo_nav.evaluation.metrics import nees, rms

LIMIT = 1.5
"""Ours is to be within this multiple of the batch optimum."""


@dataclass(frozen=True)
class Score:
    """Errors of an estimator at the scored fixes of all logs.

    Attributes:
        number: of fixes scored.
        horizontal_rms: m.
        rms: 3D, m.
        percentile_95: 3D, m.
        largest: 3D, m.
        nees: mean normalised squared error a dimension (1 is honest), the fix's own covariance included; NaN
            without a covariance.
    """

    number: int
    horizontal_rms: float
    rms: float
    percentile_95: float
    largest: float
    nees: float


@dataclass(frozen=True)
class Row:
    """One set at one interval.

    Attributes:
        name: of the set.
        interval: between the fixes given, s.
        logs: how many.
        given: fixes given over all logs.
        refused: by the gate of ours.
        rebuilds: of ours' graph.
        scores: by estimator; an estimator that failed in a log has none.
        failures: in words.
    """

    name: str
    interval: float
    logs: int
    given: int
    refused: int
    rebuilds: int
    scores: dict[str, Score]
    failures: tuple[str, ...]

    @property
    def best_causal(self) -> str:
        """The estimator of the least 3D RMS that sees only the past."""
        return min((n for n in CAUSAL if n in self.scores), key=lambda n: self.scores[n].rms)

    @property
    def to_batch(self) -> float:
        """Ours' 3D RMS as a multiple of the batch optimum's; NaN without one."""
        return self.scores[OURS].rms / self.scores[BATCH].rms if BATCH in self.scores else float("nan")


def row(name: str, interval: float, outcomes: Sequence[Outcome]) -> Row:
    """The errors of all logs of a set together.

    Args:
        name: of the set.
        interval: s.
        outcomes: one for each log, at least one.
    """
    scores = {}
    for estimator in (*CAUSAL, BATCH):
        tracks = [o.tracks[estimator] for o in outcomes if estimator in o.tracks]
        if len(tracks) < len(outcomes):
            continue
        errors = np.vstack([t.errors for t in tracks])
        distance = np.linalg.norm(errors, axis=1)
        covariances = [t.covariances for t in tracks if t.covariances is not None]
        honest = float(nees(errors, np.vstack(covariances)).mean()) / 3.0 if covariances else float("nan")
        scores[estimator] = Score(
            number=len(errors),
            horizontal_rms=rms(np.linalg.norm(errors[:, :2], axis=1)),
            rms=rms(distance),
            percentile_95=float(np.percentile(distance, 95)),
            largest=float(distance.max()),
            nees=honest,
        )
    return Row(
        name=name,
        interval=interval,
        logs=len(outcomes),
        given=sum(len(o.given) for o in outcomes),
        refused=sum(o.status.fixes_refused for o in outcomes),
        rebuilds=sum(o.status.graph_rebuilds for o in outcomes),
        scores=scores,
        failures=tuple(text for o in outcomes for text in o.failures.values()),
    )
