"""One moment of a running navigation as plain numbers: what `geo-nav monitor` prints, as a table or as JSON."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from geo_nav.fusion import Verdict
from geo_nav.nodes.conversion import pose_from_message
from geo_nav.nodes.monitor import SystemListener

STATUS_RATE = 2.0
"""Of `status`, Hz."""

_LEVELS = {
    DiagnosticStatus.OK: "OK",
    DiagnosticStatus.WARN: "WARN",
    DiagnosticStatus.ERROR: "ERROR",
    DiagnosticStatus.STALE: "STALE",
}
_SLOW = 0.9
"""Share of the expected rate below which a topic is slow."""

_SILENT = 3.0
"""Seconds without a message after which a topic is silent."""


@dataclass(frozen=True)
class Rate:
    """How often something comes.

    Attributes:
        hz: over the last seconds; None where nothing tells.
        expected: Hz; None where nothing is expected.
        age: seconds since the newest; None before the first, and where only a rate is told.
        latency: seconds from stamp to arrival here; None where the clocks differ.
    """

    hz: float | None
    expected: float | None = None
    age: float | None = None
    latency: float | None = None

    @property
    def slow(self) -> bool:
        """Whether it comes less often than expected."""
        return self.expected is not None and self.hz is not None and self.hz < _SLOW * self.expected


@dataclass(frozen=True)
class Snapshot:
    """What is known now; every value is None or empty where it has not been heard.

    Attributes:
        namespace: of the navigation.
        heard: whether its status has been heard in the last three seconds.
        elsewhere: other namespaces with a navigation.
        state: name of the state.
        reason: of it.
        geodetic: latitude (deg), longitude (deg), height above the ellipsoid (m).
        position: of `base_link` in `map`, m.
        heading: of the vehicle's x axis, degrees clockwise from north.
        speed: horizontal, m/s.
        climb: m/s.
        status: the numbers of `NavigationStatus.msg`, by their names.
        accepted: frames since the monitor began.
        refused: frames since then.
        refusals: the last of them, newest first: seconds ago, gate, reason.
        refused_by_graph: why fusion refused the last measurement that it did refuse, by kind.
        registration: milliseconds of the last registration, its matcher, matches, inliers and stages.
        rates: by topic, or by what is meant (IMU, camera frames, frames registered, frames tracked).
        consistency: NIS by kind of measurement: verdict, nis, low, high, number, refused share, reason.
        diagnostics: level and message by name.
        warnings: what needs attention, in words.
    """

    namespace: str
    heard: bool
    elsewhere: list[str]
    state: str
    reason: str
    geodetic: tuple[float, float, float] | None
    position: tuple[float, float, float] | None
    heading: float | None
    speed: float | None
    climb: float | None
    status: dict[str, float]
    accepted: int
    refused: int
    refusals: list[tuple[float, str, str]]
    refused_by_graph: dict[str, str]
    registration: dict[str, Any]
    rates: dict[str, Rate]
    consistency: dict[str, dict[str, Any]]
    diagnostics: dict[str, tuple[str, str]]
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        """For ``json.dumps``: not a number is null, infinite is the string ``inf``."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def snapshot(listener: SystemListener, imu_rate: float | None, camera_rate: float | None) -> Snapshot:
    """What a listener has heard so far.

    Args:
        listener: of the navigation.
        imu_rate: that is expected, Hz; None for none.
        camera_rate: the same of camera frames.
    """
    status = listener.status
    age = listener.arrivals["status"].age
    heard = age is not None and age < _SILENT
    rates = _rates(listener, imu_rate, camera_rate)
    diagnostics = {name: (_LEVELS[e.level], e.message) for name, e in sorted(listener.diagnostics.items())}
    consistency = {} if status is None else {c.kind: _consistency(c) for c in status.consistency}
    now = time.monotonic()
    fix = listener.fix
    return Snapshot(
        namespace=listener.namespace,
        heard=heard,
        elsewhere=[] if heard else listener.elsewhere(),
        state=listener.state,
        reason="" if status is None else status.reason,
        geodetic=None if fix is None else (fix.latitude, fix.longitude, fix.altitude),
        **_motion(listener),
        status=_numbers(status),
        accepted=listener.accepted,
        refused=listener.refused,
        refusals=[(now - at, gate, reason) for at, gate, reason in reversed(list(listener.refusals))],
        refused_by_graph=_refused_by_graph(listener),
        registration=_registration(listener),
        rates=rates,
        consistency=consistency,
        diagnostics=diagnostics,
        warnings=_warnings(rates, diagnostics, age),
    )


def _motion(listener: SystemListener) -> dict[str, Any]:
    odometry = listener.odometry
    if odometry is None:
        return {"position": None, "heading": None, "speed": None, "climb": None}
    pose = pose_from_message(odometry.pose.pose)
    linear = odometry.twist.twist.linear
    east, north, up = pose.rotation @ [linear.x, linear.y, linear.z]
    x, y, z = pose.translation.tolist()
    ahead = pose.rotation[:, 0]
    return {
        "position": (x, y, z),
        "heading": math.degrees(math.atan2(ahead[0], ahead[1])) % 360.0,
        "speed": math.hypot(east, north),
        "climb": float(up),
    }


def _numbers(status: Any) -> dict[str, float]:
    if status is None:
        return {}
    kinds = status.get_fields_and_field_types()
    return {name: getattr(status, name) for name, kind in kinds.items() if kind in ("float", "double", "uint32")}


def _refused_by_graph(listener: SystemListener) -> dict[str, str]:
    begin = f"{listener.namespace}: fusion: "
    entries = {name.removeprefix(begin): e for name, e in listener.diagnostics.items() if name.startswith(begin)}
    told = {kind: pair.value for kind, e in entries.items() for pair in e.values if pair.key == "last refusal"}
    return {kind: reason for kind, reason in sorted(told.items()) if reason}


def _registration(listener: SystemListener) -> dict[str, Any]:
    pose = listener.pose
    if pose is None:
        return {}
    return {
        "verdict": pose.gate,
        "milliseconds": pose.milliseconds,
        "stages": dict(zip(pose.stages, (float(ms) for ms in pose.stage_milliseconds), strict=False)),
        "matcher": pose.matcher,
        "matches": pose.matches,
        "inliers": pose.inliers,
    }


def _consistency(found: Any) -> dict[str, Any]:
    verdict = Verdict(found.verdict).name.lower() if found.verdict in list(Verdict) else str(found.verdict)
    names = ("nis", "low", "high", "variance_ratio", "number", "independent", "refused_share", "reason")
    return {"verdict": verdict, **{name: getattr(found, name) for name in names}}


def _rates(listener: SystemListener, imu: float | None, camera: float | None) -> dict[str, Rate]:
    entry = listener.diagnostics.get(f"{listener.namespace}: camera_registration")
    told = {} if entry is None else {pair.key: pair.value for pair in entry.values}
    expected = {"status": STATUS_RATE, "odometry": listener.imu_rate}
    rates = {
        "IMU": Rate(listener.imu_rate, imu),
        "camera frames": Rate(_number(told.get("frames/s")), camera),
        "frames registered": Rate(_number(told.get("registered/s"))),
        "frames tracked": Rate(_number(told.get("tracked/s"))),
    }
    for topic, arrivals in listener.arrivals.items():
        rates[topic] = Rate(arrivals.rate(), expected.get(topic), arrivals.age, arrivals.latency)
    return rates


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _warnings(rates: dict[str, Rate], diagnostics: dict[str, tuple[str, str]], age: float | None) -> list[str]:
    found = [] if age is None or age < _SILENT else [f"no status for {age:.0f} s: is the fusion node gone?"]
    found += [f"{level} {name}: {text}" for name, (level, text) in diagnostics.items() if level != "OK"]
    for name, rate in rates.items():
        if rate.slow and rate.hz is not None and rate.expected is not None:
            found.append(f"{name}: {rate.hz:.1f} Hz, {rate.expected:.1f} Hz expected")
        elif rate.expected is not None and name != "status" and rate.age is not None and rate.age > _SILENT:
            found.append(f"{name}: silent for {rate.age:.0f} s")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else str(float(value)) if math.isinf(value) else float(value)
    return value
