"""What became of the queries, and what is told of many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.registration import AbsolutePose, Status
from geo_nav.registration.gates import squared_mahalanobis

FALSE_ACCEPT = 5.0
"""An accepted pose that is further than this from the truth is false, metres."""
RADII = (0.5, 1.0, 5.0)
"""Shares of the queries are told within these errors, metres."""

_NAN = float("nan")


@dataclass(frozen=True)
class QueryResult:
    """What became of one query.

    Attributes:
        name: of the picture.
        draw: number of the random prior, from 0.
        prior_error_m: distance of the prior from the truth; NaN where the picture was taken nowhere on this site.
        prior_error_deg: its angle.
        status: the verdict.
        reason: the verdict in words.
        matches: that could be lifted.
        inliers: of those.
        reprojection_rms: pixels.
        error_m: of the pose's position; NaN without a pose, or without a truth.
        error_deg: of its rotation.
        nees: normalised estimation error squared, 6 degrees of freedom: 6 on average where the covariance is honest.
        sigma_m: 1 sigma of the position, root of the mean over the axes.
        error_sigmas: of the position, in sigmas along the direction in which it is worst (Mahalanobis distance).
        log10_false_alarms: see :class:`~geo_nav.registration.AbsolutePose`.
        milliseconds: of each stage.
    """

    name: str
    draw: int
    prior_error_m: float
    prior_error_deg: float
    status: str
    reason: str
    matches: int
    inliers: int
    reprojection_rms: float
    error_m: float
    error_deg: float
    nees: float
    sigma_m: float
    error_sigmas: float = _NAN
    log10_false_alarms: float = _NAN
    milliseconds: dict[str, float] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether it passed the gates."""
        return self.status == Status.ACCEPTED

    @property
    def is_false_accept(self) -> bool:
        """Whether it passed the gates with a wrong pose."""
        return self.accepted and not self.error_m <= FALSE_ACCEPT

    def at_limit(self, limit: float) -> QueryResult:
        """The verdict with another limit on log10 of the false alarms than the (higher) one it was made with."""
        if not self.accepted or self.log10_false_alarms <= limit:
            return self
        return replace(
            self,
            status=str(Status.FEW_INLIERS),
            reason=f"{self.inliers} inliers of {self.matches} matches could be chance: log10 of the expected false "
            f"alarms is {self.log10_false_alarms:.1f}, {limit:.1f} at most",
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are not there are null."""
        return {key: finite(value) for key, value in asdict(self).items()}

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> QueryResult:
        """The inverse of :meth:`as_dict`."""
        values: dict[str, Any] = {f.name: content[f.name] for f in fields(QueryResult)}
        known: dict[str, Any] = {key: _NAN if value is None else value for key, value in values.items()}
        return QueryResult(**known)


def score(name: str, draw: int, prior: Pose, found: AbsolutePose, truth: Pose | None) -> QueryResult:
    """A registration against the truth; None where the picture shows no place of the site."""
    error_m = error_deg = nees = sigma = sigmas = _NAN
    pose, covariance = found.T_map_camera_levelled, found.levelled_covariance
    if pose is not None and covariance is not None:
        sigma = float(np.sqrt(np.trace(covariance[:3, :3]) / 3.0))
        if truth is not None:
            error_m = pose.distance_to(truth)
            error_deg = math.degrees(pose.angle_to(truth))
            nees = squared_mahalanobis(pose, truth, covariance)
            offset = error_vector(pose, truth)[:3]
            sigmas = float(np.sqrt(offset @ np.linalg.pinv(covariance[:3, :3], hermitian=True) @ offset))
    return QueryResult(
        name=name,
        draw=draw,
        prior_error_m=_NAN if truth is None else prior.distance_to(truth),
        prior_error_deg=_NAN if truth is None else math.degrees(prior.angle_to(truth)),
        status=str(found.status),
        reason=found.reason,
        matches=found.matches,
        inliers=found.inliers,
        reprojection_rms=found.reprojection_rms,
        error_m=error_m,
        error_deg=error_deg,
        nees=nees,
        sigma_m=sigma,
        error_sigmas=sigmas,
        log10_false_alarms=found.log10_false_alarms,
        milliseconds=dict(found.milliseconds),
    )


@dataclass(frozen=True)
class Tally:
    """Many queries.

    Attributes:
        queries: at least one.
    """

    queries: tuple[QueryResult, ...]

    @property
    def accepted(self) -> tuple[QueryResult, ...]:
        """Those that passed the gates."""
        return tuple(q for q in self.queries if q.accepted)

    @property
    def false_accepts(self) -> int:
        """Number accepted with an error above :data:`FALSE_ACCEPT`."""
        return sum(q.is_false_accept for q in self.queries)

    def within(self, radius: float) -> float:
        """Share of all queries accepted within ``radius`` metres of the truth."""
        return sum(q.error_m <= radius for q in self.accepted) / len(self.queries)

    def median(self, attribute: str) -> float:
        """Median of a number of the accepted queries; NaN where none is."""
        values = [float(getattr(q, attribute)) for q in self.accepted]
        return float(np.median(values)) if values else _NAN

    def largest(self, attribute: str) -> float:
        """Greatest of a number of the accepted queries; NaN where none is."""
        return max((float(getattr(q, attribute)) for q in self.accepted), default=_NAN)

    @property
    def mean_nees(self) -> float:
        """Mean NEES of the accepted queries, false ones left out; divided by 6, 1 is honest."""
        values = [q.nees for q in self.accepted if not q.is_false_accept]
        return float(np.mean(values)) if values else _NAN

    def stage_medians(self) -> dict[str, float]:
        """Median milliseconds of each stage over the queries that ran it."""
        stages: dict[str, list[float]] = {}
        for query in self.queries:
            for stage, spent in query.milliseconds.items():
                stages.setdefault(stage, []).append(spent)
        return {stage: float(np.median(spent)) for stage, spent in stages.items()}

    def summary(self) -> dict[str, Any]:
        """The numbers of a table's row."""
        return {
            "queries": len(self.queries),
            "accepted": len(self.accepted),
            "false_accepts": self.false_accepts,
            "false_accept_m": FALSE_ACCEPT,
            **{f"within_{radius:g}_m": self.within(radius) for radius in RADII},
            "median_error_m": self.median("error_m"),
            "median_error_deg": self.median("error_deg"),
            "largest_error_m": self.largest("error_m"),
            "largest_error_sigmas": self.largest("error_sigmas"),
            "median_inliers": self.median("inliers"),
            "mean_nees_per_dof": self.mean_nees / 6.0,
            "median_milliseconds": self.stage_medians(),
        }


def finite(value: Any) -> Any:
    """A value for JSON: NaN and infinities, which it does not know, become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value
