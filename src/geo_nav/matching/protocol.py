"""Features, matches and the one protocol of the matchers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Features:
    """Local features of one picture.

    Attributes:
        keypoints: (N, 2) float32 pixels, centre of the first pixel at (0, 0).
        descriptors: (N, D) float32.
        scores: (N,) float32, larger is better.
        size: (width, height) of the picture, pixels.
    """

    keypoints: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Matches:
    """Corresponding pixels of two pictures.

    Attributes:
        query: (N, 2) float32 pixels of the camera frame.
        reference: (N, 2) float32 pixels of the rendered view.
        scores: (N,) float32 in 0..1, larger is better.
        support: width of the picture's part that a match rests on, pixels: matches nearer to each other than this
            err together. 0 for keypoints.
        reach: how far apart the matcher itself would let corresponding pixels lie, pixels.
        coarse: the matcher has finer means for a smaller radius: a pose from these is worth another pass.
    """

    query: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    support: float = 0.0
    reach: float = float("inf")
    coarse: bool = False

    def __len__(self) -> int:
        return len(self.query)


class Matcher(Protocol):
    """A matcher: local features of a picture, and which of two pictures' features correspond.

    A matcher is not shared between threads.
    """

    name: str

    def extract(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None) -> Features:
        """Features of a picture.

        Args:
            image: (H, W) or (H, W, 3) RGB.
            mask: (H, W), True where features may lie.
        """
        ...

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """Which features correspond.

        Args:
            query: of the camera frame.
            reference: of the rendered view.
            radius: corresponding pixels lie no further apart than this many pixels (what the prior pose promises);
                None when nothing is known.
        """
        ...
