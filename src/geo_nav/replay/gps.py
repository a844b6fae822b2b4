"""Which GPS fixes of a bag the navigation gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geo_nav.replay.errors import ReplayError

TAKEOVER_FIXES = 3
"""Registered frames after which the camera navigates, and GPS of the start is withheld."""

TAKEOVER_SECONDS = 60.0
"""It is withheld so long after the first TRACKING at the latest, s."""


class GpsUse(StrEnum):
    """What GPS is for."""

    NEVER = "never"
    """Truth only."""
    START = "start"
    """Until the camera has taken over; without a camera until the first TRACKING."""
    UNTIL = "until"
    """For some seconds."""
    ALWAYS = "use"


@dataclass(frozen=True)
class GpsPlan:
    """When GPS is used.

    Attributes:
        use: for what.
        seconds: of ``UNTIL``, from the begin of the bag, s.
    """

    use: GpsUse
    seconds: float = 0.0

    def __str__(self) -> str:
        """As :func:`gps_plan` reads it."""
        return f"until:{self.seconds:g}" if self.use is GpsUse.UNTIL else str(self.use)


def gps_plan(text: str) -> GpsPlan:
    """The plan in words.

    Args:
        text: ``never``, ``start``, ``use`` (always) or ``until:SECONDS``.

    Raises:
        ReplayError: it is none of these.
    """
    if text in (GpsUse.NEVER, GpsUse.START, GpsUse.ALWAYS):
        return GpsPlan(GpsUse(text))
    word, _, number = text.partition(":")
    try:
        seconds = float(number)
    except ValueError:
        seconds = -1.0
    if word != "until" or not 0.0 < seconds < float("inf"):
        raise ReplayError(f"when GPS is used is said by truth, never, start, use or until:SECONDS, not '{text}'")
    return GpsPlan(GpsUse.UNTIL, seconds)


class GpsSwitch:
    """Lets GPS fixes through, or withholds them.

    Args:
        plan: when.
        begin: first receive time of the bag, ns.
        camera: whether the bag has frames to register, so that GPS of the start waits for these.

    Attributes:
        used: number of fixes let through.
        withheld: number of the others.
    """

    def __init__(self, plan: GpsPlan, begin: int, camera: bool) -> None:
        self._use = plan.use
        self._begin = begin
        self._end = begin + round(plan.seconds * 1e9)
        self._camera = camera
        self._tracking: int | None = None
        self._registered = 0
        self.used = self.withheld = 0
        self._last: int | None = None

    @property
    def seconds(self) -> float | None:
        """Of the bag, until which GPS has been let through; None where it has not, or is all along."""
        if self._last is None or self._use is GpsUse.ALWAYS:
            return None
        return (self._last + 1 - self._begin) * 1e-9

    def tracking(self, now: int) -> None:
        """Fusion is TRACKING, at a time of the bag, ns; the first time counts."""
        if self._tracking is None:
            self._tracking = now

    def registered(self) -> None:
        """A frame has been registered and accepted."""
        self._registered += 1

    def _starts(self, now: int) -> bool:
        if self._tracking is None:
            return True
        late = now - self._tracking >= TAKEOVER_SECONDS * 1e9
        return self._camera and self._registered < TAKEOVER_FIXES and not late

    def lets_through(self, received: int) -> bool:
        """Whether a fix of this receive time (ns) is for the navigation; it is counted."""
        through = (
            self._use is GpsUse.ALWAYS
            or (self._use is GpsUse.START and self._starts(received))
            or (self._use is GpsUse.UNTIL and received < self._end)
        )
        self.used += through
        self.withheld += not through
        if through:
            self._last = received
        return through
