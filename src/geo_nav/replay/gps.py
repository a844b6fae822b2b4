"""Which GPS fixes of a bag the navigation gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geo_nav.replay.errors import ReplayError


class GpsUse(StrEnum):
    """What GPS is for."""

    NEVER = "never"
    """Truth only."""
    START = "start"
    """Until the first TRACKING."""
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

    Attributes:
        used: number of fixes let through.
        withheld: number of the others.
    """

    def __init__(self, plan: GpsPlan, begin: int) -> None:
        self._use = plan.use
        self._end = begin + round(plan.seconds * 1e9)
        self._tracking = False
        self.used = self.withheld = 0

    @property
    def waits_for_start(self) -> bool:
        """Whether the first TRACKING will end it, and has not come yet."""
        return self._use is GpsUse.START and not self._tracking

    def tracking(self) -> None:
        """Fusion is TRACKING."""
        self._tracking = True

    def lets_through(self, received: int) -> bool:
        """Whether a fix of this receive time (ns) is for the navigation; it is counted."""
        through = (
            self._use is GpsUse.ALWAYS or self.waits_for_start or (self._use is GpsUse.UNTIL and received < self._end)
        )
        self.used += through
        self.withheld += not through
        return through
