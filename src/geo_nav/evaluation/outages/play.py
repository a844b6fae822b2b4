"""Plays a journey into fusion and notes what comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.metrics import nees, rms
from geo_nav.evaluation.outages.items import Delivery, Imu
from geo_nav.evaluation.outages.journey import FRAME, Journey
from geo_nav.fusion import Fusion, FusionConfig, FusionError, NavigationState, NavState, UpdateInfo
from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector

Array = npt.NDArray[np.float64]

UPDATE_EVERY = 0.05
"""Of the journey's time, s."""
_STATUS_EVERY = 0.1


@dataclass(eq=False)
class Trace:
    """What came out of a run; times are true ones.

    Attributes:
        times: of the scored states, s.
        errors: (6,) each, true pose minus estimate, ROS order, m and rad.
        covariances: (6, 6) each, told.
        states: (time, state, reason) whenever the status was asked.
        refusals: reasons why fixes and tracks were not used, without their numbers, and how often.
        raised: errors raised by a call, and how often.
        restarts: (time, how) whenever a state was found or given up.
        rebuilds: (time, exception).
    """

    times: list[float] = field(default_factory=list)
    errors: list[Array] = field(default_factory=list)
    covariances: list[Array] = field(default_factory=list)
    states: list[tuple[float, NavigationState, str]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    restarts: list[tuple[float, str]] = field(default_factory=list)
    rebuilds: list[tuple[float, str]] = field(default_factory=list)

    def between(self, begin: float, end: float) -> Scores:
        """The states scored from ``begin`` to before ``end``, s."""
        t = np.array(self.times)
        inside = (t >= begin) & (t < end)
        return Scores(
            t[inside],
            np.array(self.errors).reshape(-1, 6)[inside],
            np.array(self.covariances).reshape(-1, 6, 6)[inside],
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """N scored states.

    Attributes:
        times: (N,) s.
        errors: (N, 6) m and rad.
        covariances: (N, 6, 6).
    """

    times: Array
    errors: Array
    covariances: Array

    def without(self, spans: Iterable[tuple[float, float]]) -> Scores:
        """Those outside some times, s."""
        keep = np.ones(len(self.times), dtype=bool)
        for begin, end in spans:
            keep &= (self.times < begin) | (self.times >= end)
        return Scores(self.times[keep], self.errors[keep], self.covariances[keep])

    @property
    def distances(self) -> Array:
        """(N,) 3D, m."""
        return np.asarray(np.linalg.norm(self.errors[:, :3], axis=1))

    @property
    def rms(self) -> float:
        """3D, m; NaN of nothing."""
        return rms(self.distances)

    @property
    def largest(self) -> float:
        """3D, m; NaN of nothing."""
        return float(self.distances.max()) if len(self.times) else float("nan")

    @property
    def sigmas(self) -> Array:
        """(N,) told 3D 1 sigma, the root of the trace, m."""
        return np.asarray(np.sqrt(np.trace(self.covariances[:, :3, :3], axis1=1, axis2=2)))

    @property
    def position_nees(self) -> Array:
        """(N,) squared Mahalanobis distance of the position (3 dimensions)."""
        return nees(self.errors[:, :3], self.covariances[:, :3, :3])

    @property
    def pose_nees(self) -> Array:
        """(N,) the same of the pose (6 dimensions)."""
        return nees(self.errors, self.covariances)


class Player:
    """One vehicle's fusion, and what is noted of it.

    Args:
        config: of fusion.
        T_base_camera: mounting.
        status: whether the status is asked ten times a second.
    """

    def __init__(self, config: FusionConfig, T_base_camera: Pose, status: bool = True) -> None:
        self._config, self._mounting, self._status = config, T_base_camera, status
        self.trace = Trace()
        self.fusion = self.new()
        self._status_due = -np.inf

    @classmethod
    def of(cls, journey: Journey, status: bool = True) -> Player:
        """For a journey."""
        return cls(journey.config, journey.T_base_camera, status)

    def new(self) -> Fusion:
        """A fusion as after a start of the node."""
        return Fusion(self._config, FRAME, self._mounting)

    def give(self, item: Delivery) -> NavState | None:
        """Hand an item in; score the state where there is a truth beside it."""
        try:
            state = item.give(self.fusion)
        except FusionError as error:
            self.trace.raised[wordy(str(error))] += 1
            return None
        if isinstance(item, Imu):
            self._note(item, state)
        return state

    def update(self, now: float) -> UpdateInfo:
        """One step of the worker at a true time, s."""
        info = self.fusion.update()
        for outcome in info.fixes:
            if not outcome.used:
                self.trace.refusals[f"{outcome.kind}: {wordy(outcome.reason)}"] += 1
        if info.started:
            self.trace.restarts.append((now, info.started))
        if info.rebuilt:
            self.trace.rebuilds.append((now, info.rebuilt))
        return info

    def play(self, items: Iterable[Delivery], each: Callable[[Player, float], object] = lambda *_: None) -> Trace:
        """All items in their order, an update every 50 ms of their time.

        Args:
            items: in order of arrival.
            each: called after every update with this and the true time, s.
        """
        due = -np.inf
        for item in items:
            if item.arrival >= due:
                self.update(item.arrival)
                each(self, item.arrival)
                due = item.arrival + UPDATE_EVERY
            self.give(item)
        return self.trace

    def _note(self, item: Imu, state: NavState | None) -> None:
        if state is not None and item.truth is not None:
            self.trace.times.append(item.arrival)
            self.trace.errors.append(error_vector(state.T_map_base, item.truth))
            self.trace.covariances.append(state.pose_covariance)
        if self._status and item.arrival >= self._status_due:
            self._status_due = item.arrival + _STATUS_EVERY - 1e-9
            status = self.fusion.status()
            self.trace.states.append((item.arrival, status.state, status.reason))


def wordy(reason: str) -> str:
    """A reason without its numbers, so that alike ones can be counted."""
    words = [word for word in reason.replace(":", " ").split() if not any(c.isdigit() for c in word)]
    return " ".join(words).strip(" ,>").replace("  ", " ")
