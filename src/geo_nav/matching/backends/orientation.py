"""Area-based matching: windows of the frame's orientation field, found again near where the prior predicts them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

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
        rows = [_peaks(surfaces, search, self._config.ratio) for surfaces in self._correlate(query, reference, search)]
        shift = np.concatenate([r[0] for r in rows]) if rows else np.zeros((0, 2), np.float32)
        score = np.concatenate([r[1] for r in rows]) if rows else np.zeros(0, np.float32)
        good = score > 0.0
        found = query.keypoints[good]
        there = (np.rint(found) + shift[good]).astype(np.float32)
        return Matches(found, there, score[good], support=float(self._config.window), reach=float(search))

    def _centres(self, width: int, height: int) -> npt.NDArray[np.int64]:
        """Centres of windows that lie inside the picture, half a window apart, evenly about its middle."""

        def along(length: int) -> npt.NDArray[np.int64]:
            count = max(0, (length - 2 * self._half) // self._half + 1)
            used = (count - 1) * self._half + 2 * self._half
            return np.asarray((length - used) // 2 + self._half + self._half * np.arange(count), np.int64)

        u, v = np.meshgrid(along(width), along(height))
        return np.column_stack([u.ravel(), v.ravel()])

    def _correlate(self, query: WindowFeatures, reference: WindowFeatures, search: int) -> Iterator[Float]:
        """Normalised correlation of the windows, (n, side, side) for each row of them: a value for each displacement.

        Four neighbouring windows share a quarter, and correlation is linear: each quarter is transformed once, over
        as much of the reference as it may move, and a window's spectrum is the sum of those of its four quarters.
        """
        if not len(query.centres):
            return
        half, workers = self._half, self._config.threads
        first = query.centres.min(axis=0)
        column, row = ((query.centres - first) // half).T
        kept = np.zeros((row.max() + 1, column.max() + 1), bool)
        kept[row, column] = True
        needed = np.zeros((kept.shape[0] + 1, kept.shape[1] + 1), bool)
        for down, right in itertools.product((0, 1), (0, 1)):
            needed[down : down + kept.shape[0], right : right + kept.shape[1]] |= kept

        height, width = (half * count for count in needed.shape)
        left, top = first - half
        # All keypoints lie equally far from their windows: the margin of the picture in a wider one.
        du, dv = np.rint(query.keypoints[0]).astype(np.int64) - query.centres[0]
        here = _planes(query.field, left, top, width, height)
        there = _planes(reference.field, left + du - search, top + dv - search, width + 2 * search, height + 2 * search)
        own = np.sqrt(_window_energy(here, 2 * half)[::half, ::half])
        other = np.sqrt(_window_energy(there, 2 * half))

        side, extent = 2 * search + 1, half + 2 * search
        size = scipy.fft.next_fast_len(extent, real=True)
        spectra = np.zeros((0, size, size // 2 + 1), np.complex64)
        for k, used in enumerate(needed):
            above, spectra = spectra, np.zeros((len(used), size, size // 2 + 1), np.complex64)
            quarters = _columns(here[:, half * k : half * (k + 1)], half, half)[:, used]
            around = _columns(there[:, half * k : half * k + extent], extent, half)[:, used]
            moved = _spectrum(around, size, workers)
            spectra[used] = (np.conj(_spectrum(quarters, size, workers)) * moved).sum(axis=0)
            if k == 0 or not kept[k - 1].any():
                continue
            c = np.flatnonzero(kept[k - 1])
            whole = above[c] + above[c + 1] + spectra[c] + spectra[c + 1]
            # Of the circular correlation the part that does not wrap around.
            rows = scipy.fft.ifft(whole, axis=1, overwrite_x=True, workers=workers)[:, :side]
            correlation = scipy.fft.irfft(rows, size, axis=2, workers=workers)[:, :, :side]
            energy = _columns(other[None, half * (k - 1) : half * (k - 1) + side], side, half)[0, c]
            yield correlation / (own[k - 1, c, None, None] * energy + np.float32(1e-6 * half**2))


def _planes(field: Complex, left: int, top: int, width: int, height: int) -> Float:
    """(2, height, width) real and imaginary part of a piece of a field, 0 outside of it."""
    out = np.zeros((2, height, width), np.float32)
    rows = slice(max(0, top), max(0, min(field.shape[0], top + height)))
    columns = slice(max(0, left), max(0, min(field.shape[1], left + width)))
    piece = field[rows, columns]
    v, u = rows.start - top, columns.start - left
    out[:, v : v + piece.shape[0], u : u + piece.shape[1]] = piece.real, piece.imag
    return out


def _columns(planes: Float, width: int, step: int) -> Float:
    """(C, n, height, width) pieces of planes (C, height, W), one each ``step`` pixels; a view."""
    return sliding_window_view(planes, width, axis=2)[:, :, ::step].transpose(0, 2, 1, 3)


def _spectrum(pieces: Float, size: int, workers: int) -> Complex:
    """Spectrum of real pieces (..., h, w), filled up with zeros to a square of ``size``."""
    rows = scipy.fft.rfft(pieces, size, axis=-1, workers=workers)
    spectrum: Complex = scipy.fft.fft(rows, size, axis=-2, overwrite_x=True, workers=workers)
    return spectrum


def _window_energy(planes: Float, window: int) -> Float:
    """Energy of planes (2, H, W) under a window, by the window's first row and column."""
    total = cv2.integral(planes[0] ** 2 + planes[1] ** 2, sdepth=cv2.CV_64F)
    sums = total[window:, window:] - total[:-window, window:] - total[window:, :-window] + total[:-window, :-window]
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
