"""The bag's time, the pictures that are made in it, and which GPS fixes are let through."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from geo_nav.replay.agenda import Agenda
from geo_nav.replay.config import ReplayConfig
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.gps import GpsPlan, GpsSwitch, GpsUse, gps_plan
from geo_nav.replay.pictures import PictureChoice
from geo_nav.replay.profile import Profile
from geo_nav.replay.warning_log import WarningLog

SECOND = 1_000_000_000


def test_actions_come_in_the_order_of_time_and_of_equal_times_in_their_own() -> None:
    agenda, done = Agenda(10), []
    agenda.at(30, lambda: done.append(("c", agenda.now)))
    agenda.at(20, lambda: done.append(("a", agenda.now)))
    agenda.at(20, lambda: agenda.at(5, lambda: done.append(("late", agenda.now))))
    agenda.at(20, lambda: done.append(("b", agenda.now)))
    agenda.after(1.0, lambda: done.append(("far", agenda.now)))
    agenda.run_until(25)
    assert done == [("a", 20), ("b", 20), ("late", 20)]
    assert agenda.now == 25
    agenda.run_until(2 * SECOND)
    assert done[3:] == [("c", 30), ("far", SECOND + 10)]


def test_gps_plans() -> None:
    assert [gps_plan(text).use for text in ("never", "start", "use")] == [GpsUse.NEVER, GpsUse.START, GpsUse.ALWAYS]
    assert str(gps_plan("until:12.5")) == "until:12.5"
    for text in ("until:0", "until:x", "until:inf", "sometimes", ""):
        with pytest.raises(ReplayError, match="until:SECONDS"):
            gps_plan(text)


def test_gps_is_withheld_by_plan_and_counted() -> None:
    stamps = [10 * SECOND, 11 * SECOND, 13 * SECOND]

    def let_through(plan: str, tracking_after: int = 99) -> list[bool]:
        switch = GpsSwitch(gps_plan(plan), 10 * SECOND, camera=False)
        through = []
        for k, stamp in enumerate(stamps):
            if k == tracking_after:
                switch.tracking(stamp)
            through.append(switch.lets_through(stamp))
        assert (switch.used, switch.withheld) == (sum(through), len(through) - sum(through))
        return through

    assert let_through("never") == [False, False, False]
    assert let_through("use") == [True, True, True]
    assert let_through("use", tracking_after=0) == [True, True, True]
    assert let_through("until:2.5") == [True, True, False]
    assert let_through("start") == [True, True, True]
    assert let_through("start", tracking_after=1) == [True, False, False]


def test_gps_of_the_start_waits_for_the_camera_but_not_for_ever() -> None:
    takes_over = GpsSwitch(gps_plan("start"), 0, camera=True)
    assert takes_over.lets_through(SECOND)
    takes_over.tracking(SECOND)
    for k in range(2, 5):
        assert takes_over.lets_through(k * SECOND)
        takes_over.registered()
    assert not takes_over.lets_through(5 * SECOND)
    assert takes_over.seconds == pytest.approx(4.0, abs=1e-6)

    never = GpsSwitch(gps_plan("start"), 0, camera=True)
    never.tracking(SECOND)
    never.tracking(30 * SECOND)  # the first time counts
    assert never.lets_through(60 * SECOND)
    assert not never.lets_through(61 * SECOND)


def test_until_when_gps_was_used_makes_a_plan_that_lets_the_same_through() -> None:
    stamps = [1_750_000_000_123_456_789 + k * 200_000_001 for k in range(50)]
    first = GpsSwitch(gps_plan("start"), stamps[0], camera=False)
    through = []
    for k, stamp in enumerate(stamps):
        if k == 20:
            first.tracking(stamp)
        through.append(first.lets_through(stamp))
    assert first.seconds is not None
    again = GpsSwitch(GpsPlan(GpsUse.UNTIL, first.seconds), stamps[0], camera=False)
    assert [again.lets_through(stamp) for stamp in stamps] == through
    assert GpsSwitch(gps_plan("use"), 0, camera=False).seconds is None


def test_pictures_are_few_and_of_every_refusal() -> None:
    choice = PictureChoice(ReplayConfig(picture_seconds=2.0, pictures=5, refused_pictures=2), seconds=100.0)
    wanted = [k for k in range(200) if choice.wanted(k * SECOND // 2, "accepted")]
    assert wanted == [0, 40, 80, 120, 160]  # 20 s apart: 5 of them over 100 s
    refused = [choice.wanted(200 * SECOND, status) for status in ("few_inliers", "no_model", *["few_inliers"] * 3)]
    assert refused == [True, True, True, False, False]
    none = PictureChoice(ReplayConfig(pictures=0, refused_pictures=0), seconds=10.0)
    assert not any(none.wanted(0, status) for status in ("accepted", "few_inliers"))


def test_a_stage_does_not_count_the_stages_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 10.0, 11.0, 15.0, 17.0, 20.0])
    clock = SimpleNamespace(perf_counter=lambda: next(ticks), process_time=lambda: 0.0)
    monkeypatch.setattr("geo_nav.replay.profile.time", clock)
    profile = Profile()
    with profile("outer"), profile("inner"):
        pass
    profile.add("of another thread", 1.0)
    resources = profile.resources()
    assert resources["by_stage"] == {"inner": 4.0, "outer": 3.0, "of another thread": 1.0}
    assert list(resources["by_stage"]) == ["inner", "outer", "of another thread"]  # the longest first
    assert resources["wall_seconds"] == 20.0
    assert resources["peak_rss_mb"] > 10.0


def test_warnings_are_counted_by_what_they_are_about() -> None:
    log = WarningLog()

    def fail(text: str) -> None:
        raise ReplayError(text)

    for text in ("first", "second"):
        assert log.guarded("/imu", fail, text) is None
    assert log.guarded("/imu", lambda: 1 / 0) is None
    assert log.guarded("/imu", lambda: 7) == 7
    assert log.lines() == ["/imu: first (first of 2 times)", "/imu: ZeroDivisionError: division by zero"]
