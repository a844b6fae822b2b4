"""Which registrations get a debug picture."""

from __future__ import annotations

from collections import Counter

from geo_nav.replay.config import ReplayConfig


class PictureChoice:
    """One now and then, and the first ones of every kind of refusal: enough for a gallery, whatever the bag's length.

    Args:
        config: of the replay.
        seconds: length of the bag, s.
    """

    def __init__(self, config: ReplayConfig, seconds: float) -> None:
        period = max(config.picture_seconds, seconds / config.pictures if config.pictures else 0.0)
        self._period = round(period * 1e9)
        self._left = config.pictures
        self._refused_pictures = config.refused_pictures
        self._refused: Counter[str] = Counter()
        self._due: int | None = None

    def wanted(self, now: int, status: str) -> bool:
        """Whether a registration gets one.

        Args:
            now: time of the bag, ns.
            status: its verdict.
        """
        if status != "accepted" and self._refused[status] < self._refused_pictures:
            self._refused[status] += 1
            return True
        if self._left == 0 or (self._due is not None and now < self._due):
            return False
        self._left -= 1
        self._due = now + self._period
        return True
