"""Everything that can go wrong, once each, in a flight of three minutes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.outages.items import Delivery, Gps, Imu, Registered, Tracked, clock_shifted
from geo_nav.evaluation.outages.journey import Journey, JourneyOptions
from geo_nav.evaluation.outages.laws import FRAME_RATE
from geo_nav.evaluation.outages.play import Player, Trace
from geo_nav.fusion import NavigationState
from geo_nav.fusion.graph import GraphWindow

Array = npt.NDArray[np.float64]
Items = Sequence[Delivery]

DURATION = 180.0
"""Of the flight, s."""
SEED = 11
BEGIN = 90.0
"""Faults begin here, s."""

_IMU_RATE = 100.0
_SETTLED = 30.0
_LAST = 30.0
"""The end of the flight, over which the error afterwards is counted, s."""
_NEAR = 5.0
"""An error below this counts as settled, m."""
_QUIET_END = 2.0
"""Fixes and tracks of the last seconds are left out everywhere, so that what comes late still arrives, s."""
_JUDGED_UNTIL = DURATION - 5.0
"""States are looked at until here, s."""
_AWAY = np.array([70.0, -70.0, 14.0])
"""A false place, 100 m off, m."""
_CHECKPOINT_EVERY = 0.5
_DOWN = 2.0
"""A killed node is back after this, s."""


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes:
        name: of it.
        end: it is over then, s; it begins at :data:`BEGIN`.
        spoil: what it does to the items.
        options: changes of the journey.
        around: a context for the run.
        each: made anew for a run; called after every update with the player and the time.
        begin: of it, s.
    """

    name: str
    end: float
    spoil: Callable[[Items, np.random.Generator], Items] = lambda items, _: items
    options: dict[str, Any] = field(default_factory=dict)
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    each: Callable[[], Callable[[Player, float], object]] = lambda: lambda *_: None
    begin: float = BEGIN


# ---------------------------------------------------------------------- the IMU


def _nan_imu(items: Items, _: np.random.Generator) -> Items:
    """Every second sample of ten seconds, never one that is scored."""
    bad, out = True, list[Delivery]()
    for item in items:
        if isinstance(item, Imu) and BEGIN <= item.arrival < BEGIN + 10.0:
            bad = not bad
            item = replace(item, acceleration=np.full(3, np.nan)) if bad else item
        out.append(item)
    return out


def _saturated(items: Items, _: np.random.Generator) -> Items:
    """0.3 s in each of ten seconds."""
    return [
        replace(item, acceleration=np.array([0.0, 0.0, 200.0]))
        if isinstance(item, Imu) and BEGIN <= item.arrival < BEGIN + 10.0 and (item.arrival - BEGIN) % 1.0 < 0.295
        else item
        for item in items
    ]


def _imu_gap(seconds: float) -> Callable[[Items, np.random.Generator], Items]:
    def spoil(items: Items, _: np.random.Generator) -> Items:
        return [i for i in items if not (isinstance(i, Imu) and BEGIN <= i.arrival < BEGIN + seconds)]

    return spoil


def _clock(seconds: float) -> Callable[[Items, np.random.Generator], Items]:
    """All sensors share the clock that jumps; what was measured before keeps its stamp."""

    def spoil(items: Items, _: np.random.Generator) -> Items:
        return [clock_shifted(i, seconds) if i.stamp >= BEGIN else i for i in items]

    return spoil


# ---------------------------------------------------------------------- fixes


def _nan_fixes(items: Items, _: np.random.Generator) -> Items:
    """The covariance of every second, the stamp of the others, for ten seconds."""
    bad, out = 0, list[Delivery]()
    for item in items:
        if isinstance(item, Registered) and BEGIN <= item.stamp < BEGIN + 10.0:
            bad += 1
            nothing = np.full((6, 6), np.nan)
            item = replace(item, covariance=nothing) if bad % 2 else replace(item, stamp=float("nan"))
        out.append(item)
    return out


def _twice(items: Items, _: np.random.Generator) -> Items:
    """Everything twice for twenty seconds."""
    return [i for item in items for i in (item,) * (2 if BEGIN <= item.arrival < BEGIN + 20.0 else 1)]


def _shuffled(*kinds: type[Delivery]) -> Callable[[Items, np.random.Generator], Items]:
    """The whole flight's, each late by up to a second more."""

    def spoil(items: Items, rng: np.random.Generator) -> Items:
        return _by_arrival(
            replace(i, arrival=i.arrival + rng.uniform(0.0, 1.0)) if isinstance(i, kinds) else i for i in items
        )

    return spoil


def _late(seconds: float) -> Callable[[Items, np.random.Generator], Items]:
    """The fixes and tracks of twenty seconds, by so much."""

    def spoil(items: Items, _: np.random.Generator) -> Items:
        return _by_arrival(
            replace(i, arrival=i.arrival + seconds)
            if isinstance(i, Registered | Tracked) and BEGIN <= i.stamp < BEGIN + 20.0
            else i
            for i in items
        )

    return spoil


def _false_place(every: int, count: int = 20) -> Callable[[Items, np.random.Generator], Items]:
    """Every so many frames only; so many fixes in a row from one false place, and no honest one among them."""

    def spoil(items: Items, _: np.random.Generator) -> Items:
        out, false = list[Delivery](), 0
        for item in items:
            if isinstance(item, Registered):
                if round(item.stamp * FRAME_RATE) % every:
                    continue
                if item.stamp >= BEGIN and false < count:
                    false += 1
                    item = item.displaced(_AWAY)
            out.append(item)
        return out

    return spoil


def _scattered(items: Items, rng: np.random.Generator) -> Items:
    """Three in ten of a minute's fixes, each somewhere else, 20 to 150 m off."""

    def perhaps(item: Delivery) -> Delivery:
        if not isinstance(item, Registered) or not BEGIN <= item.stamp < BEGIN + 60.0 or rng.random() >= 0.3:
            return item
        direction = rng.normal(size=3) * [1.0, 1.0, 0.3]
        return item.displaced(rng.uniform(20.0, 150.0) * direction / np.linalg.norm(direction))

    return [perhaps(item) for item in items]


# ---------------------------------------------------------------------- GPS


def _gps_drifts(rate: float) -> Callable[[Items, np.random.Generator], Items]:
    """Spoofed: a minute long the position slides away, m/s; then it is honest again."""

    def spoil(items: Items, _: np.random.Generator) -> Items:
        return [
            replace(i, position=i.position + (i.stamp - BEGIN) * rate * np.array([0.8, 0.6, 0.0]))
            if isinstance(i, Gps) and BEGIN <= i.stamp < BEGIN + 60.0
            else i
            for i in items
        ]

    return spoil


def _gps_jammed(items: Items, rng: np.random.Generator) -> Items:
    """Half a minute of positions that scatter by 50 m and claim what they always did."""
    return [
        replace(i, position=i.position + rng.normal(0.0, 50.0, 3))
        if isinstance(i, Gps) and BEGIN <= i.stamp < BEGIN + 30.0
        else i
        for i in items
    ]


def _gps_lost(items: Items, _: np.random.Generator) -> Items:
    return [i for i in items if not (isinstance(i, Gps) and BEGIN <= i.stamp < BEGIN + 30.0)]


# ---------------------------------------------------------------------- the process


def _solver_fails(times: int) -> Callable[[], AbstractContextManager[object]]:
    """So many solves in a row raise."""

    @contextmanager
    def around() -> Iterator[None]:
        solve, left = GraphWindow.update, times

        def failing(window: GraphWindow, *args: Any, **kwargs: Any) -> None:
            nonlocal left
            if left > 0 and window.states[-1].stamp >= BEGIN:
                left -= 1
                raise RuntimeError("IndeterminateLinearSystemException (injected)")
            solve(window, *args, **kwargs)

        with patch.object(GraphWindow, "update", failing):
            yield

    return around


def _down(items: Items, _: np.random.Generator) -> Items:
    """Nobody listens while the node is down."""
    return [i for i in items if not BEGIN <= i.arrival < BEGIN + _DOWN]


def _killed(with_checkpoint: bool) -> Callable[[], Callable[[Player, float], object]]:
    """A new process, from the last checkpoint of the old one."""

    def make() -> Callable[[Player, float], object]:
        written, due, dead = "", 0.0, False

        def each(player: Player, now: float) -> None:
            nonlocal written, due, dead
            if now >= BEGIN and not dead:
                dead = True
                player.fusion = player.new()
                if with_checkpoint:
                    player.fusion.restore(json.loads(written))
            elif now >= due and (checkpoint := player.fusion.checkpoint()) is not None:
                due, written = now + _CHECKPOINT_EVERY, json.dumps(checkpoint)

        return each

    return make


_GPS_ALL_THE_WAY = {"gps_until": DURATION}
_GPS_ALONE = {**_GPS_ALL_THE_WAY, "registrations": False}

FAULTS: tuple[Fault, ...] = (
    Fault("nothing", BEGIN),
    Fault("nothing, GPS beside registrations", BEGIN, options=_GPS_ALL_THE_WAY),
    Fault("nothing, GPS alone", BEGIN, options=_GPS_ALONE),
    Fault("every second IMU sample NaN for 10 s", BEGIN + 10.0, _nan_imu),
    Fault("IMU saturated, 0.3 s of each of 10 s", BEGIN + 10.0, _saturated),
    Fault("IMU silent for 0.5 s", BEGIN + 0.5, _imu_gap(0.5)),
    Fault("IMU silent for 2 s", BEGIN + 2.0, _imu_gap(2.0)),
    Fault("IMU silent for 10 s", BEGIN + 10.0, _imu_gap(10.0)),
    Fault("clock jumps forward by 30 s", BEGIN, _clock(30.0)),
    Fault("clock jumps back by 30 s", BEGIN, _clock(-30.0)),
    Fault("fixes with NaN covariance or stamp for 10 s", BEGIN + 10.0, _nan_fixes),
    Fault("everything twice for 20 s", BEGIN + 20.0, _twice),
    Fault("fixes shuffled by up to 1 s, the whole flight", DURATION, _shuffled(Registered), begin=0.0),
    Fault("fixes and tracks shuffled by up to 1 s", DURATION, _shuffled(Registered, Tracked), begin=0.0),
    Fault("fixes and tracks of 20 s late by 3 s", BEGIN + 20.0, _late(3.0)),
    Fault("fixes and tracks of 20 s late by 12 s", BEGIN + 20.0, _late(12.0)),
    Fault("20 false fixes, one place 100 m off, at 5 Hz", BEGIN + 4.0, _false_place(1)),
    Fault("20 false fixes, one place 100 m off, at 1 Hz", BEGIN + 20.0, _false_place(5)),
    Fault("3 in 10 fixes of a minute false, 20 to 150 m", BEGIN + 60.0, _scattered),
    Fault("GPS spoofed beside registrations, drifts by 0.5 m/s", BEGIN + 60.0, _gps_drifts(0.5), _GPS_ALL_THE_WAY),
    Fault("GPS spoofed alone, drifts by 0.5 m/s", BEGIN + 60.0, _gps_drifts(0.5), _GPS_ALONE),
    Fault("GPS jammed beside registrations, 50 m for 30 s", BEGIN + 30.0, _gps_jammed, _GPS_ALL_THE_WAY),
    Fault("GPS jammed alone, 50 m for 30 s", BEGIN + 30.0, _gps_jammed, _GPS_ALONE),
    Fault("GPS lost for 30 s alone", BEGIN + 30.0, _gps_lost, _GPS_ALONE),
    Fault("GTSAM raises once", BEGIN, around=_solver_fails(1)),
    Fault("GTSAM raises twice in a row", BEGIN, around=_solver_fails(2)),
    Fault("killed, back after 2 s from its checkpoint", BEGIN + _DOWN, _down, each=_killed(True)),
    Fault("killed, back after 2 s without a checkpoint", BEGIN + _DOWN, _down, each=_killed(False)),
)


def run_fault(fault: Fault) -> dict[str, Any]:
    """One row; JSON, the keys as in the table."""
    journey = Journey(JourneyOptions("aerial", "mems", SEED, DURATION, _IMU_RATE, gaps=False, **fault.options))
    rng = np.random.default_rng([SEED, 90])
    items = [
        i for i in journey.items() if not (isinstance(i, Registered | Tracked) and i.stamp > DURATION - _QUIET_END)
    ]
    player = Player.of(journey)
    with fault.around():
        trace = player.play(fault.spoil(items, rng), fault.each())
    status, final = player.fusion.status(), player.fusion.state()
    verdicts = {k: v for k, v in player.fusion.imu_verdicts.items() if k != "accepted"}
    during = trace.between(fault.begin, max(fault.end, fault.begin + 5.0))
    after = trace.between(DURATION - _LAST, DURATION)
    return {
        "begin_s": fault.begin,
        "end_s": fault.end,
        "before_rms_m": trace.between(_SETTLED, BEGIN).rms,
        "during_largest_m": during.largest,
        "after_largest_m": trace.between(fault.end, DURATION).largest,
        "last_rms_m": after.rms,
        "last_nees": float(after.position_nees.mean() / 3.0) if len(after.times) else None,
        "passed": _passed(trace, fault),
        "tracking_after_s": _tracking_after(trace, fault.end),
        "settled_after_s": _settled_after(trace, fault.end),
        "imu_refused": verdicts,
        "fixes_used": status.fixes_used,
        "fixes_refused": status.fixes_refused,
        "fixes_too_old": status.fixes_too_old,
        "tracks_refused": status.tracks_refused,
        "rebuilds": status.graph_rebuilds,
        "refusals": dict(trace.refusals.most_common()),
        "raised": dict(trace.raised),
        "starts": [f"{t:.1f} s: {how}" for t, how in trace.restarts],
        "final_m": None if final is None else final.T_map_base.translation.tolist(),
        "series": {
            "seconds": np.round(trace.times, 2).tolist(),
            "error_m": np.round(np.linalg.norm(np.array(trace.errors).reshape(-1, 6)[:, :3], axis=1), 4).tolist(),
        },
    }


def _by_arrival(items: Iterator[Delivery]) -> list[Delivery]:
    return sorted(items, key=lambda item: item.arrival)


def _passed(trace: Trace, fault: Fault) -> list[dict[str, Any]]:
    """The states from the beginning of the fault on, in order, each with its length and its last reason."""
    seen = [s for s in trace.states if max(fault.begin, 3.0) <= s[0] < _JUDGED_UNTIL]
    out = []
    for state, group in groupby(seen, key=lambda s: s[1]):
        run = list(group)
        out.append({"state": state.name, "seconds": round(run[-1][0] - run[0][0] + 0.1, 1), "reason": run[-1][2]})
    return out


def _tracking_after(trace: Trace, end: float) -> float | None:
    """Seconds from the end of a fault until the state is TRACKING for good; None where it never is."""
    judged = [(t, state is NavigationState.TRACKING) for t, state, _ in trace.states if end <= t < _JUDGED_UNTIL]
    other = [t for t, is_tracking in judged if not is_tracking]
    tracking = [t for t, is_tracking in judged if is_tracking and t > max([end, *other])]
    if not other:
        return 0.0
    return round(tracking[0] - end, 1) if tracking else None


def _settled_after(trace: Trace, end: float) -> float | None:
    """Seconds from the end of a fault until the error stays below 5 m; None where it does not."""
    scores = trace.between(end, _JUDGED_UNTIL)
    far = scores.times[scores.distances >= _NEAR]
    near = scores.times[scores.times > (far[-1] if len(far) else end)]
    if not len(far):
        return 0.0
    return round(float(near[0]) - end, 1) if len(near) else None
