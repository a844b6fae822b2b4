"""What a run of `geo-nav bench registration` is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geo_nav.evaluation.errors import EvaluationError

PARTS = ("accuracy", "wrong-places", "comparisons", "latency")

_FRAMES, _QUICK_FRAMES = 25, 4
_TRIES, _OTHER_TRIES, _QUICK_TRIES = 2000, 100, 40


@dataclass(frozen=True)
class BenchOptions:
    """All that a run depends on.

    Attributes:
        output: folder of the results.
        sets: names; empty for all.
        surveys: folders; empty for those of GEO_NAV_DATA.
        matchers: names; empty for all.
        default_matcher: the one of wrong places, latency, comparisons and pictures.
        priors: names of laws.
        parts: of :data:`PARTS`.
        frames: a set; and by name of a matcher, or of the part ``comparisons``, where it differs.
        tries: at wrong places of the default matcher, over all sets and kinds.
        other_tries: the same of each other matcher, for its curve.
        seed: of priors and tries.
        world_seed: of the simulated worlds.
        threads: of a matcher.
        worlds: folder of the generated worlds.
    """

    output: Path
    sets: tuple[str, ...] = ()
    surveys: tuple[Path, ...] = ()
    matchers: tuple[str, ...] = ()
    default_matcher: str = "xfeat_orientation"
    priors: tuple[str, ...] = ("tight", "wide")
    parts: tuple[str, ...] = PARTS
    frames: dict[str, int] = field(default_factory=lambda: {"": _FRAMES})
    tries: int = _TRIES
    other_tries: int = _OTHER_TRIES
    seed: int = 0
    world_seed: int = 1
    threads: int = 1
    worlds: Path = Path("build/worlds")

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise EvaluationError(f"there is no part {', '.join(unknown)}: use {', '.join(PARTS)}")
        if min(self.frames.values()) < 1 or self.tries < 0 or self.other_tries < 0:
            raise EvaluationError("frames must be 1 or more, tries 0 or more")

    def frames_of(self, name: str) -> int:
        """Frames a set for a matcher or part."""
        return self.frames.get(name, self.frames[""])

    def tries_of(self, matcher: str) -> int:
        """Tries at wrong places of a matcher, over all sets and kinds."""
        return self.tries if matcher == self.default_matcher else self.other_tries


def parse_frames(texts: Sequence[str], quick: bool) -> dict[str, int]:
    """Frames a set: ``25``, and ``disk_lightglue=8`` where a matcher (or ``comparisons``) gets another number.

    Raises:
        EvaluationError: a text is neither.
    """
    frames = {"": _QUICK_FRAMES if quick else _FRAMES}
    for text in texts:
        name, _, number = text.rpartition("=")
        if not number.isdigit() or int(number) < 1:
            raise EvaluationError(f"frames are a number ≥ 1 or NAME=number, got '{text}'")
        frames[name] = int(number)
    return frames


def default_tries(quick: bool) -> tuple[int, int]:
    """Tries at wrong places of the default matcher and of each other one."""
    return (_QUICK_TRIES, _QUICK_TRIES) if quick else (_TRIES, _OTHER_TRIES)
