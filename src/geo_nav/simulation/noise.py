"""Smooth random fields: the raw material of relief, soil, vigour and fine texture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Raster = npt.NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], wavelength: float) -> Raster:
    """Band-limited noise of one scale.

    Args:
        rng: source of randomness.
        shape: (rows, columns) of the result.
        wavelength: about twice the correlation length, pixels; at 2 and below it is white.

    Returns:
        (rows, columns) float32 of zero mean and about unit standard deviation.
    """
    step = max(wavelength / 2.0, 1.0)
    if step <= 1.0:
        return rng.standard_normal(shape, dtype=np.float32)
    rows, columns = (int(np.ceil(n / step)) + 3 for n in shape)
    lattice = rng.standard_normal((rows, columns), dtype=np.float32)
    # cv2.resize, not a warp: warps round positions to 1/32 of a lattice step, which shows as stairs in the relief.
    size = (int(np.ceil(columns * step)), int(np.ceil(rows * step)))
    field = cv2.resize(lattice, size, interpolation=cv2.INTER_CUBIC)
    r, c = rng.integers(int(step), int(2 * step) + 1, 2)
    field = field[r : r + shape[0], c : c + shape[1]]
    # Cubic interpolation between independent samples keeps 0.78 of their variance on average in two dimensions.
    return np.asarray(field / 0.88, dtype=np.float32)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], wavelengths: Sequence[float], weights: Sequence[float]
) -> Raster:
    """Sum of :func:`smooth_noise` at several wavelengths (pixels); unit standard deviation in all."""
    total = np.zeros(shape, np.float32)
    for wavelength, weight in zip(wavelengths, weights, strict=True):
        total += np.float32(weight) * smooth_noise(rng, shape, wavelength)
    return total / np.float32(np.sqrt(np.sum(np.square(weights))))


def toroidal_noise(rng: np.random.Generator, side: int, slope: float) -> Raster:
    """A (side, side) texture that repeats without a seam.

    Args:
        rng: source of randomness.
        side: pixels.
        slope: amplitude falls as 1 / frequency**slope (0 is white, 1 is like soil and grass seen from above).

    Returns:
        float32 of zero mean and unit standard deviation.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((side, side), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    # Below 1/64 the large-scale pattern is the business of the shared rasters, not of the fine texture.
    spectrum *= np.maximum(frequency, 1.0 / 64.0) ** -slope * (frequency < np.inf)
    texture = np.fft.irfft2(spectrum, s=(side, side)).astype(np.float32)
    return np.asarray(texture / texture.std(), np.float32)


def sample(raster: Raster, column: Raster, row: Raster) -> Raster:
    """Bilinear values of a raster at float32 pixel positions, the border repeated outwards."""
    return np.asarray(
        cv2.remap(raster, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32
    )
