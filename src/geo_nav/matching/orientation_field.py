"""Which way the edges of a picture run: a dense description that survives a change of season and light."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.matching.features import eroded_mask

Complex = npt.NDArray[np.complex64]

_NEIGHBOURHOOD = 8.0
"""Sigma of the neighbourhood over which the strength of edges is evened out, pixels."""
_WEAKEST = 0.5
"""Mean edge strength that counts as noise, grey levels a pixel."""


def orientation_field(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None, blur: float = 0.8
) -> Complex:
    """The doubled-angle gradient field of a picture.

    A gradient of strength m and direction θ becomes m·exp(2iθ): doubling the angle makes bright-to-dark equal to
    dark-to-bright, so a crop that turned from darker to lighter than its neighbour still draws the same edge. The
    channels' fields add up, so an edge between colours of one brightness counts too; and the strength is divided by
    its local mean, so that faint tramlines count beside a bright road.

    Args:
        image: (H, W) or (H, W, 3).
        mask: (H, W), False where the picture means nothing; the field is 0 there.
        blur: sigma of the smoothing before the gradient, pixels.

    Returns:
        (H, W) complex.

    Source: gradient orientation correlation, Fitch et al. (BMVC 2002); dense orientation channels for pictures of
    different sensors and seasons, Ye et al. (IEEE TGRS 2019, CFOG).
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur)
    du, dv = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    # The square of the complex number du + i dv, summed over the channels, and that of its length.
    along, across, mixed = _sum(du * du), _sum(dv * dv), _sum(du * dv)
    strength = np.sqrt(along + across)
    kept = eroded_mask(mask, image.shape, margin=4)
    if kept is not None:
        strength = strength * kept
    mean = cv2.GaussianBlur(strength, (0, 0), _NEIGHBOURHOOD) + _WEAKEST
    scale = 1.0 / (np.maximum(strength, 1e-6) * mean)
    if kept is not None:
        scale *= kept
    field = np.empty(strength.shape, np.complex64)
    field.real, field.imag = (along - across) * scale, 2.0 * mixed * scale
    return field


def _sum(channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(H, W) sum of the channels of (H, W) or (H, W, C)."""
    if channels.ndim == 2:
        return channels
    return np.asarray(cv2.transform(channels, np.ones((1, channels.shape[2]), np.float32)))
