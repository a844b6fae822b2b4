"""Keypoints of a dense network's score map, chosen before they are described."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.features import eroded_mask, keypoint_budget, no_features, rgb_image, spread_selection
from geo_nav.matching.networks import Network, load_network
from geo_nav.matching.protocol import Features

Float = npt.NDArray[np.float32]
Refinement = Callable[[npt.NDArray[np.intp], tuple[Float, ...]], Float]
_MOST_PIXELS = 500_000
"""A larger picture (the view of a wide prior is up to sixteen frames) goes through the network in tiles: its maps take
some 4 kB a pixel."""
_OVERLAP = 64
"""What a tile sees beyond its own part, pixels: the networks look about so far around."""
_MASK_MARGIN = 8
"""A keypoint nearer to a hole of the mask would be described by the hole's edge, pixels."""


class DenseExtraction:
    """One network finds, over the whole picture, what may be a keypoint; another describes those that are kept.

    Args:
        dense: picture (1, 3, H, W) → score map with all but its maxima zero, other maps, ``features``.
        descriptors: ``features`` and keypoints (N, 2) → descriptors.
        config: of the room.
        stride: the dense network takes multiples of it, pixels.
        border: no keypoint lies nearer to the picture's border, pixels.
        dimension: length of a descriptor.
        threshold: least score.

    Raises:
        MatchingError: a network is not installed or the device is not there.
    """

    def __init__(
        self,
        dense: Network,
        descriptors: Network,
        config: MatchingConfig,
        *,
        stride: int,
        border: int,
        dimension: int,
        threshold: float,
    ) -> None:
        self._dense = load_network(dense, config)
        self._descriptors = load_network(descriptors, config)
        self._config = config
        self._stride, self._border, self._dimension, self._threshold = stride, border, dimension, threshold

    def __call__(
        self,
        image: npt.NDArray[np.uint8],
        mask: npt.NDArray[np.bool_] | None,
        refine: Refinement | None = None,
    ) -> Features:
        """Features of a picture.

        Args:
            image: (H, W) or (H, W, 3) RGB.
            mask: (H, W), True where features may lie.
            refine: pixels (N, 2) and the dense network's other maps → keypoints (N, 2) to a fraction of a pixel.
        """
        rgb = rgb_image(image)
        height, width = rgb.shape[:2]
        allowed = eroded_mask(mask, rgb.shape, _MASK_MARGIN)
        budget = keypoint_budget(rgb.shape, self._config.keypoint_density, self._config.max_keypoints)
        parts = [self._tile(rgb, allowed, core, refine, budget) for core in _tiles(height, width)]
        keypoints, descriptors, scores = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("keypoints", "descriptors", "scores")
        )
        order = spread_selection(keypoints, scores, (width, height), budget)
        return Features(keypoints[order], descriptors[order], scores[order], (width, height))

    def _tile(
        self,
        rgb: npt.NDArray[np.uint8],
        allowed: npt.NDArray[np.bool_] | None,
        core: tuple[slice, slice],
        refine: Refinement | None,
        budget: int,
    ) -> Features:
        """The features in a part of the picture, which is seen with what lies around it.

        Args:
            rgb: the whole picture.
            allowed: (H, W) of the whole picture, or None.
            core: rows and columns of the part.
            refine: see :meth:`__call__`.
            budget: keypoints of the whole picture.
        """
        size = rgb.shape[:2]
        rows, columns = (
            slice(max(0, part.start - _OVERLAP), min(length, part.stop + _OVERLAP))
            for part, length in zip(core, size, strict=True)
        )
        seen = rgb[rows, columns]
        inner = np.zeros(size, bool)
        inner[core] = True
        inner[: self._border] = inner[size[0] - self._border :] = False
        inner[:, : self._border] = inner[:, size[1] - self._border :] = False
        if allowed is not None:
            inner &= allowed
        inner = inner[rows, columns]
        height, width = seen.shape[:2]
        share = budget * (core[0].stop - core[0].start) * (core[1].stop - core[1].start) / (size[0] * size[1])
        peaks, *maps, features = self._dense(self._prepared(seen), keep=("features",))
        scores = peaks[0, 0, :height, :width]
        v, u = np.nonzero((scores > self._threshold) & inner)
        pixels, found = np.column_stack([u, v]), scores[v, u]
        if len(pixels) == 0:
            return no_features((width, height), self._dimension)
        kept = spread_selection(pixels.astype(np.float32), found, (width, height), max(1, round(share)))
        pixels, found = pixels[kept], found[kept]
        keypoints = pixels.astype(np.float32) if refine is None else refine(pixels, tuple(m[0, 0] for m in maps))
        (descriptors,) = self._descriptors(features, keypoints)
        offset = np.array([columns.start, rows.start], np.float32)
        return Features(keypoints + offset, descriptors, found, (width, height))

    def _prepared(self, rgb: npt.NDArray[np.uint8]) -> Any:
        """(1, 3, H', W') in 0..1, its last row and column repeated up to multiples of the stride."""
        height, width = rgb.shape[:2]
        padded = np.pad(rgb, ((0, -height % self._stride), (0, -width % self._stride), (0, 0)), mode="edge")
        return np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255.0)


def _tiles(height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of equal parts of a picture, each of ``_MOST_PIXELS`` at most."""
    count = int(np.ceil(np.sqrt(height * width / _MOST_PIXELS)))
    rows, columns = (np.linspace(0, length, count + 1).astype(int) for length in (height, width))
    return [
        (slice(int(top), int(bottom)), slice(int(left), int(right)))
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    ]
