"""Exposure times of photographs whose tags are cut to whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

from geo_nav.evaluation.errors import EvaluationError

Array = npt.NDArray[np.float64]

_LEAST_SPACING = 0.02
_FORMATS = ("%Y:%m:%d %H:%M:%S", "%Y:%m:%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> float:
    """An EXIF time (``2014:10:19 13:20:51``) in seconds; it names no time zone, so UTC is taken.

    Raises:
        EvaluationError: it is not a time.
    """
    for pattern in _FORMATS:
        try:
            return datetime.strptime(text.strip(), pattern).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise EvaluationError(f"'{text}' is not an EXIF time (2014:10:19 13:20:51)")


def exposure_times(tags: npt.ArrayLike) -> Array:
    """Times that the tags allow and that change their rhythm as little as possible.

    EXIF has whole seconds: a camera that fires every 2.1 s is tagged 2, 2, 2, 3 … s apart, and a path laid through such
    times would jerk. Any time within the tag's second is possible; of those the ones with the least total change of
    the interval are taken (least sum of absolute second differences, a linear programme), so that a pause between
    two series does not bend either of them. Tags with fractions are taken as they are.

    Args:
        tags: (N,) seconds, increasing or equal.

    Returns:
        (N,) seconds, strictly increasing.

    Raises:
        EvaluationError: the tags go back in time, or more photographs share a second than fit into it.
    """
    t = np.asarray(tags, dtype=np.float64)
    if (np.diff(t) < 0).any():
        raise EvaluationError("the photographs' times go back: sort them by time")
    if (t % 1.0 != 0).any():
        if (np.diff(t) <= 0).any():
            raise EvaluationError("two photographs have the same time")
        return t
    n = len(t)
    if n < 3:
        return t + 0.5
    steps = np.diff(np.eye(n), axis=0)
    changes = np.diff(steps, axis=0)
    slack = np.eye(n - 2)
    # Unknowns: the times since the first tag, and for each change of the interval a bound of its size to minimise.
    constraints = np.block([[changes, -slack], [-changes, -slack], [-steps, np.zeros((n - 1, n - 2))]])
    limits = np.concatenate([np.zeros(2 * (n - 2)), np.full(n - 1, -_LEAST_SPACING)])
    bounds = [*((float(tag), float(tag) + 1.0) for tag in t - t[0]), *((0.0, np.inf) for _ in range(n - 2))]
    cost = np.concatenate([np.zeros(n), np.ones(n - 2)])
    solution = linprog(cost, A_ub=constraints, b_ub=limits, bounds=bounds, method="highs")
    if solution.x is None:
        raise EvaluationError(f"more photographs share a second than fit into it: {solution.message}")
    times: Array = solution.x[:n] + t[0]
    return times
