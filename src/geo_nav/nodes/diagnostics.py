"""The health of the nodes → `diagnostic_msgs`; the rules of the levels are in docs/live.md."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from statistics import median
from threading import Lock
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from geo_nav.fusion import StatusReport
from geo_nav.fusion.types import NavigationState
from geo_nav.registration import AbsolutePose
from geo_nav.site import SiteModel

WINDOW = 10.0
"""Seconds over which rates are taken and frames are judged."""

SILENCE = 5.0
"""Seconds without a camera frame after which the camera is stale."""

_SILENT_REPORTS = 2
"""Reports of fusion without a new IMU sample after which it is stale."""

_STATE_LEVELS = {
    NavigationState.INITIALIZING: DiagnosticStatus.WARN,
    NavigationState.TRACKING: DiagnosticStatus.OK,
    NavigationState.COASTING: DiagnosticStatus.WARN,
    NavigationState.LOST: DiagnosticStatus.ERROR,
    NavigationState.RELOCALIZING: DiagnosticStatus.ERROR,
}


def diagnostic(level: bytes, name: str, text: str, values: dict[str, Any]) -> DiagnosticStatus:
    """One entry; its hardware is what stands before the first colon of the name, the namespace."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    hardware = name.partition(":")[0]
    return DiagnosticStatus(level=level, name=name, message=text, hardware_id=hardware, values=pairs)


class CameraHealth:
    """What becomes of the camera's frames. Thread-safe.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self._begin = clock()
        self._frames: deque[float] = deque()
        self._tracked: deque[float] = deque()
        self._registered: deque[tuple[float, bool, float]] = deque()
        self._last_frame = self._begin
        self._verdicts: Counter[str] = Counter()
        self._refusal = "none so far"
        self._accepted_at: float | None = None

    def offered(self) -> None:
        """A frame came from the camera."""
        with self._lock:
            self._last_frame = self._clock()
            self._frames.append(self._last_frame)

    def registered(self, result: AbsolutePose) -> None:
        """A frame was registered: accepted or refused."""
        with self._lock:
            now = self._clock()
            self._registered.append((now, result.accepted, result.milliseconds.get("total", 0.0)))
            self._verdicts[str(result.status)] += 1
            if result.accepted:
                self._accepted_at = now
            else:
                self._refusal = f"{result.status}: {result.reason}"

    def tracked(self) -> None:
        """The tie points were found again in a frame."""
        with self._lock:
            self._tracked.append(self._clock())

    def status(self, name: str) -> DiagnosticStatus:
        """The entry of the camera node.

        STALE: no frame for five seconds. ERROR: none of ten seconds' frames came as far as a verdict. WARN: most of
        those that did were refused. OK: else.

        Args:
            name: of the entry.
        """
        with self._lock:
            now = self._clock()
            self._forget(now)
            level, text = self._level(now)
            return diagnostic(level, name, text, self._values(now))

    def _forget(self, now: float) -> None:
        for times in (self._frames, self._tracked):
            while times and times[0] < now - WINDOW:
                times.popleft()
        while self._registered and self._registered[0][0] < now - WINDOW:
            self._registered.popleft()

    def _level(self, now: float) -> tuple[bytes, str]:
        silent = now - self._last_frame
        if silent > SILENCE:
            return DiagnosticStatus.STALE, f"no frame from the camera for {silent:.0f} s"
        if not self._registered:
            if now - self._begin < WINDOW:
                return DiagnosticStatus.OK, "no frame registered yet"
            return DiagnosticStatus.ERROR, f"frames come, but none was registered for {WINDOW:.0f} s"
        accepted = sum(good for _, good, _ in self._registered)
        text = f"{accepted} of {len(self._registered)} frames accepted in {WINDOW:.0f} s"
        if 2 * accepted < len(self._registered):
            return DiagnosticStatus.WARN, f"{text}; last refusal {self._refusal}"
        return DiagnosticStatus.OK, text

    def _values(self, now: float) -> dict[str, Any]:
        span = min(WINDOW, max(now - self._begin, 1.0))
        took = [ms for _, _, ms in self._registered]
        fixed = "never" if self._accepted_at is None else f"{now - self._accepted_at:.1f}"
        return {
            "frames/s": f"{len(self._frames) / span:.1f}",
            "registered/s": f"{len(self._registered) / span:.2f}",
            "passed over/s": f"{max(len(self._frames) - len(self._registered), 0) / span:.1f}",
            "tracked/s": f"{len(self._tracked) / span:.1f}",
            "registration ms (median)": f"{median(took):.0f}" if took else "-",
            "seconds since accepted": fixed,
            "last refusal": self._refusal,
            **{f"verdict {verdict}": count for verdict, count in sorted(self._verdicts.items())},
        }


class FusionHealth:
    """Whether fusion knows where it is, and whether it is fed."""

    def __init__(self) -> None:
        self._samples = -1
        self._silent = 0

    def waiting(self, name: str, reason: str) -> DiagnosticStatus:
        """The entry before there is a graph."""
        return diagnostic(DiagnosticStatus.WARN, name, reason, {})

    def status(self, name: str, report: StatusReport) -> DiagnosticStatus:
        """The entry of fusion.

        STALE: no IMU sample since the status before the last. OK: TRACKING. WARN: INITIALIZING, COASTING. ERROR: LOST,
        RELOCALIZING.

        Args:
            name: of the entry.
            report: of fusion, now; asked for at a steady rate.
        """
        self._silent = self._silent + 1 if report.imu_samples == self._samples else 0
        self._samples = report.imu_samples
        level, text = _STATE_LEVELS[report.state], f"{report.state.name}: {report.reason}"
        if self._silent >= _SILENT_REPORTS:
            level, text = DiagnosticStatus.STALE, f"no IMU samples come any more; before that {text}"
        levels = report.levels
        values = {
            "horizontal sigma (m)": f"{report.horizontal_sigma:.2f}",
            "vertical sigma (m)": f"{report.vertical_sigma:.2f}",
            "horizontal protection level 95 % (m)": f"{levels.horizontal_95:.2f}",
            "vertical protection level 95 % (m)": f"{levels.vertical_95:.2f}",
            "fixes used": report.fixes_used,
            "fixes refused": report.fixes_refused,
            "fixes too old": report.fixes_too_old,
            "tracks used": report.tracks_used,
            "tracks refused": report.tracks_refused,
            "IMU samples": report.imu_samples,
            "IMU samples refused": report.imu_samples_refused,
            "graph rebuilds": report.graph_rebuilds,
        }
        return diagnostic(level, name, text, values)


class SiteHealth:
    """The site model, and how its service fares.

    Args:
        site: that is served.
        descriptor: path of its site.yaml.
    """

    def __init__(self, site: SiteModel, descriptor: str) -> None:
        low, high = site.bounds
        self._values = {
            "site": site.name,
            "descriptor": descriptor,
            "triangles": site.triangles,
            "size (m)": " x ".join(f"{side:.0f}" for side in high - low),
            "sigma east north up (m)": " ".join(f"{sigma:.2f}" for sigma in site.error.sigma),
        }
        self._rendered = 0
        self._failed = 0
        self._problem = ""

    def rendered(self, problem: str = "") -> None:
        """A view was asked for; ``problem`` is why it was not delivered, empty if it was."""
        self._rendered += not problem
        self._failed += bool(problem)
        self._problem = problem

    def status(self, name: str) -> DiagnosticStatus:
        """The entry of the site server. WARN: the last view that was asked for could not be rendered. OK: else.

        Args:
            name: of the entry.
        """
        values = {**self._values, "views rendered": self._rendered, "views failed": self._failed}
        if self._problem:
            return diagnostic(DiagnosticStatus.WARN, name, f"the last view was not rendered: {self._problem}", values)
        return diagnostic(DiagnosticStatus.OK, name, f"serving '{self._values['site']}'", values)
