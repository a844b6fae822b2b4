"""The levels of the diagnostics, by the rules of docs/live.md, and the names that aggregators group by."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from geo_nav.fusion import Fusion, FusionConfig
from geo_nav.fusion.types import NavigationState
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.nodes.diagnostics import CameraHealth, FusionHealth, SiteHealth
from geo_nav.registration import AbsolutePose, Status
from registration_site import synthetic_site

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)


class Camera:
    """A camera of 10 Hz, of whose frames every fifth is registered, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.health = CameraHealth(lambda: self.now)

    def run(self, seconds: float, status: Status | None) -> None:
        for k in range(round(10 * seconds)):
            self.now += 0.1
            self.health.offered()
            if status is not None and k % 5 == 0:
                self.health.registered(AbsolutePose(self.now, status, "why", milliseconds={"total": 80.0}))

    def said(self) -> DiagnosticStatus:
        return self.health.status("geo_nav: camera_registration")


def values(entry: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in entry.values}


def test_camera_that_registers_is_ok_and_its_rates_are_told() -> None:
    camera = Camera()
    camera.run(20.0, Status.ACCEPTED)
    said = camera.said()
    assert (said.level, said.hardware_id) == (OK, "geo_nav")
    assert said.message == "20 of 20 frames accepted in 10 s"
    told = values(said)
    assert float(told["frames/s"]) == pytest.approx(10.0, abs=0.2)
    assert float(told["registered/s"]) == pytest.approx(2.0, abs=0.11)
    assert float(told["passed over/s"]) == pytest.approx(8.0, abs=0.2)
    assert (told["registration ms (median)"], told["verdict accepted"]) == ("80", "40")


def test_camera_warns_when_most_frames_are_refused_and_says_why() -> None:
    camera = Camera()
    camera.run(10.0, Status.ACCEPTED)
    camera.run(4.0, Status.FEW_INLIERS)
    assert camera.said().level == OK
    camera.run(2.0, Status.FEW_INLIERS)
    said = camera.said()
    assert said.level == WARN
    assert said.message.endswith("last refusal few_inliers: why")
    assert values(said)["verdict few_inliers"] == "12"
    assert float(values(said)["seconds since accepted"]) == pytest.approx(6.4)


def test_camera_whose_frames_never_come_to_a_verdict_is_an_error() -> None:
    camera = Camera()
    camera.run(9.0, None)
    assert camera.said().level == OK
    camera.run(2.0, None)
    assert camera.said().level == ERROR


def test_silent_camera_is_stale() -> None:
    camera = Camera()
    camera.run(3.0, Status.ACCEPTED)
    camera.now += 4.0
    assert camera.said().level == OK
    camera.now += 2.0
    said = camera.said()
    assert said.level == STALE
    assert said.message == "no frame from the camera for 6 s"


def test_fusion_has_the_level_of_its_state_and_is_stale_without_imu() -> None:
    report = Fusion(FusionConfig(), LocalFrame(47.0, 8.0, 400.0), Pose.identity()).status()
    health = FusionHealth()
    levels = {}
    for k, state in enumerate(NavigationState):
        said = health.status("geo_nav: fusion", replace(report, state=state, imu_samples=k + 1))
        levels[state.name] = said.level
        assert said.message.startswith(f"{state.name}: ")
    assert levels == {"INITIALIZING": WARN, "TRACKING": OK, "COASTING": WARN, "LOST": ERROR, "RELOCALIZING": ERROR}
    tracking = replace(report, state=NavigationState.TRACKING, imu_samples=100)
    assert [health.status("geo_nav: fusion", tracking).level for _ in range(3)] == [OK, OK, STALE]
    fed = health.status("geo_nav: fusion", replace(tracking, imu_samples=101))
    assert fed.level == OK
    assert health.waiting("geo_nav: fusion", "the site is missing").level == WARN


def test_site_server_warns_as_long_as_its_last_view_failed() -> None:
    health = SiteHealth(synthetic_site(), "/maps/site.yaml")
    said = health.status("uav1/geo_nav: site_server")
    assert (said.level, said.hardware_id) == (OK, "uav1/geo_nav")
    assert values(said)["size (m)"].startswith("240 x 240 x ")
    health.rendered("no OpenGL")
    said = health.status("geo_nav: site_server")
    assert (said.level, values(said)["views failed"]) == (WARN, "1")
    assert "no OpenGL" in said.message
    health.rendered()
    assert health.status("geo_nav: site_server").level == OK
    assert values(said)["triangles"] == str(synthetic_site().triangles)
