"""Area-based matching: windows of the frame's orientation field, found again near where the prior predicts them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.features import check_image
from geo_nav.matching.orientation_field import Complex, orientation_field
from geo_nav.matching.protocol import Features, Matches
from geo_nav.matching.registry import register_matcher

Float = npt.NDArray[np.float32]

_PEAK = 4
"""Correlation within this many pixels of the best belongs to the same peak."""
_TRUSTED_SHARE = 0.75
"""A window counts if the mask leaves this share of it."""
_BATCH = 32
"""Windows that are transformed at once; bounds the memory."""


@dataclass(frozen=True, eq=False)
class WindowFeatures(Features):
    """Windows of a picture; the keypoints are their centres.

    Attributes:
        field: (H, W) complex orientation field of the picture.
        centres: (N, 2) int, the windows' centres in the field; the keypoints say where these lie in a wider picture.
    """

    field: Complex
    centres: npt.NDArray[np.int64]


@register_matcher("orientation")
class OrientationMatcher:
    """Correlation of gradient orientations over windows.

    Finds what keeps its place and its outline though not its colour: field boundaries, tramlines, tracks, crowns. It
    knows no rotation and no scale, so it needs a render from nearly the right pose, and it looks no further than
    ``window_reach``. Windows overlap by half, so its matches are not independent; ``Matches.support`` says how wide
    they are.
    """

    name = "orientation"

    def __init__(self, config: MatchingConfig) -> None:
        self._config = config
        self._half = config.window // 2
        cv2.setNumThreads(config.threads)

    def extract(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None) -> WindowFeatures:
        """See :class:`~geo_nav.matching.Matcher`."""
        check_image(image)
        height, width = image.shape[:2]
        field = orientation_field(image, mask)
        centres = self._centres(width, height)
        if mask is not None and len(centres):
            share = cv2.boxFilter(mask.astype(np.float32), -1, (2 * self._half, 2 * self._half))
            centres = centres[share[centres[:, 1], centres[:, 0]] > _TRUSTED_SHARE]
        ones, none = np.ones(len(centres), np.float32), np.zeros((len(centres), 0), np.float32)
        return WindowFeatures(centres.astype(np.float32), none, ones, (width, height), field, centres)

    def match(self, query: Features, reference: Features, radius: float | None = None) -> Matches:
        """See :class:`~geo_nav.matching.Matcher`; a radius beyond ``window_reach`` is cut to it."""
        assert isinstance(query, WindowFeatures)
        assert isinstance(reference, WindowFeatures)
        reach = self._config.window_reach if radius is None else min(radius, self._config.window_reach)
        search = max(_PEAK + 1, int(np.ceil(reach)))
        predicted = np.rint(query.keypoints).astype(np.int64)
        batches = [slice(k, k + _BATCH) for k in range(0, len(predicted), _BATCH)]
        rows = [self._correlate(query.field, query.centres[b], reference.field, predicted[b], search) for b in batches]
        shift = np.concatenate([r[0] for r in rows]) if rows else np.zeros((0, 2), np.float32)
        score = np.concatenate([r[1] for r in rows]) if rows else np.zeros(0, np.float32)
        good = score > 0.0
        found = query.keypoints[good]
        there = (predicted[good] + shift[good]).astype(np.float32)
        return Matches(found, there, score[good], support=float(self._config.window), reach=float(search))

    def _centres(self, width: int, height: int) -> npt.NDArray[np.int64]:
        """Centres of windows that lie inside the picture, half a window apart, evenly about its middle."""

        def along(length: int) -> npt.NDArray[np.int64]:
            count = max(0, (length - 2 * self._half) // self._half + 1)
            used = (count - 1) * self._half + 2 * self._half
            return np.asarray((length - used) // 2 + self._half + self._half * np.arange(count), np.int64)

        u, v = np.meshgrid(along(width), along(height))
        return np.column_stack([u.ravel(), v.ravel()])

    def _correlate(
        self,
        query: Complex,
        centres: npt.NDArray[np.int64],
        reference: Complex,
        predicted: npt.NDArray[np.int64],
        search: int,
    ) -> tuple[Float, Float]:
        """Displacement (n, 2) of windows from where they are predicted, and score (n,), 0 if unsure."""
        half, reach = self._half, self._half + search
        templates = _windows(query, centres, half)
        around = _windows(reference, predicted, reach)
        size = scipy.fft.next_fast_len(2 * reach)
        shape = (size, size)
        spectrum = scipy.fft.fft2(around, shape, workers=self._config.threads)
        spectrum *= np.conj(scipy.fft.fft2(templates, shape, workers=self._config.threads))
        # The part of the circular correlation that does not wrap around: one value for each displacement.
        side = 2 * search + 1
        correlation = scipy.fft.ifft2(spectrum, workers=self._config.threads).real[:, :side, :side]
        own = np.sqrt((np.abs(templates) ** 2).sum(axis=(1, 2)))[:, None, None]
        norm = own * np.sqrt(_window_energy(around, half, side)) + 1e-6 * half**2
        return _peaks(correlation / norm, search, self._config.ratio)


def _windows(field: Complex, centres: npt.NDArray[np.int64], half: int) -> Complex:
    """(n, 2 half, 2 half) windows of a field, 0 outside of it."""
    padded = np.pad(field, 2 * half)
    out = np.zeros((len(centres), 2 * half, 2 * half), np.complex64)
    height, width = field.shape
    for k, (u, v) in enumerate(centres):
        if -half <= u < width + half and -half <= v < height + half:
            out[k] = padded[v + half : v + 3 * half, u + half : u + 3 * half]
    return out


def _window_energy(around: Complex, half: int, side: int) -> Float:
    """(n, side, side) energy of the reference under a window at each displacement."""
    energy = np.abs(around) ** 2
    total = np.zeros((len(energy), energy.shape[1] + 1, energy.shape[2] + 1))
    total[:, 1:, 1:] = energy.cumsum(axis=1).cumsum(axis=2)
    w = 2 * half
    sums = (
        total[:, w : w + side, w : w + side]
        - total[:, :side, w : w + side]
        - total[:, w : w + side, :side]
        + total[:, :side, :side]
    )
    return np.asarray(np.maximum(sums, 0.0), np.float32)


def _peaks(surfaces: npt.NDArray[np.floating], search: int, ratio: float) -> tuple[Float, Float]:
    """The best displacement of each correlation surface to a fraction of a pixel, and how far it stands out."""
    count, side, _ = surfaces.shape
    shift, score = np.zeros((count, 2), np.float32), np.zeros(count, np.float32)
    for k, surface in enumerate(surfaces):
        v, u = np.unravel_index(int(surface.argmax()), surface.shape)
        best = float(surface[v, u])
        if best <= 0.0 or not (0 < u < side - 1 and 0 < v < side - 1):
            continue
        rest = surface.copy()
        rest[max(0, v - _PEAK) : v + _PEAK + 1, max(0, u - _PEAK) : u + _PEAK + 1] = -1.0
        if float(rest.max()) > ratio * best:
            continue
        du = _parabola(surface[v, u - 1], best, surface[v, u + 1])
        dv = _parabola(surface[v - 1, u], best, surface[v + 1, u])
        shift[k] = (u - search + du, v - search + dv)
        score[k] = min(best, 1.0)
    return shift, score


def _parabola(before: float, peak: float, after: float) -> float:
    """Where, from the middle, the parabola through three equidistant values has its top."""
    curvature = before - 2.0 * peak + after
    return 0.0 if curvature >= 0.0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
