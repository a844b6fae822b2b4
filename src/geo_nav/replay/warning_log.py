"""What went wrong in a replay and did not end it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from geo_nav import GeoNavError


class WarningLog:
    """Counts warnings, where a node's log would repeat them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._texts: dict[str, str] = {}

    def add(self, text: str, key: str) -> None:
        """A warning; of those with the same key the first text is kept."""
        self._counts[key] += 1
        self._texts.setdefault(key, text)

    def guarded(self, what: str, action: Callable[..., Any], *arguments: Any) -> Any:
        """Does something; None, and a warning, where it fails, as :meth:`geo_nav.nodes.base.GeoNavNode.guarded`."""
        try:
            return action(*arguments)
        except Exception as error:  # as in a node, a message must not end the navigation
            self.failed(what, error)
        return None

    def failed(self, what: str, error: Exception) -> None:
        """A warning of an error; of those of one class the first is kept."""
        text = str(error) if isinstance(error, GeoNavError) else f"{type(error).__name__}: {error}"
        self.add(f"{what}: {text}", f"{what}: {type(error).__name__}")

    def lines(self) -> list[str]:
        """Each with how often it was said, the most frequent first."""
        return [
            self._texts[key] + (f" (first of {count} times)" if count > 1 else "")
            for key, count in self._counts.most_common()
        ]
