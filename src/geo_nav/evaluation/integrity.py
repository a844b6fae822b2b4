"""What the filter said of itself during a run: its states, its innovations, and whether its protection levels held."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.fixes import quantile
from geo_nav.evaluation.metrics import PoseErrors
from geo_nav.evaluation.recording import InnovationConsistency, StatusTrack

Array = npt.NDArray[np.float64]

LEVELS = ("horizontal_95", "horizontal_999", "vertical_95", "vertical_999")
"""Columns of :attr:`~geo_nav.evaluation.recording.StatusTrack.levels`."""


@dataclass(frozen=True)
class ProtectionLevels:
    """Whether one protection level held (integrity as in RTCA DO-229: the error may exceed it only with its risk).

    Attributes:
        samples: scored stamps at which the level was known.
        exceeded_share: of them, at which the error was greater; NaN without any. An honest 95 % level has at most 0.05.
        infinite_share: of them, at which the level was infinite, so that nothing was claimed.
        median_m: of the finite levels.
    """

    samples: int
    exceeded_share: float
    infinite_share: float
    median_m: float


@dataclass(frozen=True)
class InnovationStatistics:
    """One kind of measurement over a run.

    Attributes:
        nis_median: of what the status messages said; 1 is honest.
        verdict_share: of these messages by verdict.
        refused_share_last: of all measurements compared, at the end.
    """

    nis_median: float
    verdict_share: dict[str, float]
    refused_share_last: float


def state_shares(status: StatusTrack, begin: float, end: float) -> dict[str, float]:
    """Share of the time between two stamps in each state, by its name; each status counts until the next.

    What lies before the first status counts as none; empty where there is no status before the end.
    """
    from geo_nav.fusion.types import NavigationState

    edges = np.clip(np.append(status.stamps, end), begin, end)
    seconds: dict[str, float] = defaultdict(float)
    for state, duration in zip(status.states, np.diff(edges), strict=True):
        seconds[NavigationState(int(state)).name] += float(max(duration, 0.0))
    total = end - begin
    return {name: duration / total for name, duration in seconds.items() if duration > 0.0}


def levels_at(status: StatusTrack, stamps: Array) -> Array:
    """(N, 4) the protection levels last published at each stamp (:data:`LEVELS`), m; NaN before the first."""
    known = np.vstack([np.full(4, np.nan), status.levels])
    return np.asarray(known[np.searchsorted(status.stamps, stamps, side="right")])


def states_at(status: StatusTrack, stamps: Array) -> npt.NDArray[np.int64]:
    """(N,) the state last published at each stamp; -1 before the first."""
    known = np.concatenate([[-1], status.states])
    return np.asarray(known[np.searchsorted(status.stamps, stamps, side="right")], dtype=np.int64)


def protection(errors: PoseErrors, levels: Array) -> dict[str, ProtectionLevels]:
    """Each protection level against the errors.

    Args:
        errors: N errors.
        levels: (N, 4) at their stamps, see :func:`levels_at`.
    """
    vertical = np.abs(errors.position[:, 2])
    size = np.column_stack([errors.horizontal, errors.horizontal, vertical, vertical])
    out = {}
    for k, name in enumerate(LEVELS):
        level = levels[:, k]
        known = ~np.isnan(level)
        count = int(known.sum())
        out[name] = ProtectionLevels(
            samples=count,
            exceeded_share=float((size[known, k] > level[known]).mean()) if count else float("nan"),
            infinite_share=float(np.isinf(level[known]).mean()) if count else float("nan"),
            median_m=quantile(level[known], 0.5),
        )
    return out


def innovations(status: StatusTrack, begin: float, end: float) -> dict[str, InnovationStatistics]:
    """What the status messages between two stamps say of each kind of measurement."""
    told: dict[str, list[InnovationConsistency]] = {}
    for stamp, kinds in zip(status.stamps, status.consistency, strict=True):
        if begin <= stamp <= end:
            for kind, said in kinds.items():
                told.setdefault(kind, []).append(said)
    return {
        kind: InnovationStatistics(
            nis_median=quantile(np.array([s.nis for s in said]), 0.5),
            verdict_share={v: n / len(said) for v, n in Counter(s.verdict for s in said).most_common()},
            refused_share_last=said[-1].refused_share,
        )
        for kind, said in told.items()
    }
