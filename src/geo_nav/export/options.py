"""What an export is told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from geo_nav.export.errors import ExportError

PARTS = ("estimate", "truth", "scored", "fixes", "gps")
"""What a run consists of, for ``parts``."""


@dataclass(frozen=True)
class ExportOptions:
    """All that the files of an export depend on, beside the run.

    Attributes:
        out: folder to write into; it is made where it is missing.
        rate: of poses, Hz; None takes each format's own (as recorded for TUM and KITTI).
        begin: seconds after the first odometry message; what lies before is left out.
        end: seconds after the first odometry message; what lies after is left out.
        parts: of :data:`PARTS`; empty for whatever the run has. One that is named and not there is an error.
        images: whether the result bag and the Rerun recording hold camera frames.

    Raises:
        ExportError: a number is out of range, or a part is unknown.
    """

    out: Path
    rate: float | None = None
    begin: float = 0.0
    end: float = math.inf
    parts: tuple[str, ...] = ()
    images: bool = True

    def __post_init__(self) -> None:
        if self.rate is not None and not 0.0 < self.rate <= 1000.0:
            raise ExportError(f"a rate of {self.rate:g} Hz cannot be written: name one above 0 and up to 1000 Hz")
        if not self.begin < self.end:
            raise ExportError(
                f"{self.begin:g} s to {self.end:g} s is no stretch of time: the end comes after the beginning"
            )
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise ExportError(f"a run has no part '{', '.join(unknown)}': use {', '.join(PARTS)}")
