"""Deformable convolution against its definition, written out in loops."""

from __future__ import annotations

import numpy as np
import pytest

from geo_nav.matching.networks.deformable import deform_conv2d

torch = pytest.importorskip("torch")


def bilinear(channel: np.ndarray, y: float, x: float) -> float:
    """Zero outside, corner by corner, as in torchvision's `deform_conv2d`."""
    total = 0.0
    for v in (int(np.floor(y)), int(np.floor(y)) + 1):
        for u in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= v < channel.shape[0] and 0 <= u < channel.shape[1]:
                total += channel[v, u] * (1 - abs(y - v)) * (1 - abs(x - u))
    return total


def reference(x: np.ndarray, offset: np.ndarray, weight: np.ndarray, padding: int) -> np.ndarray:
    outputs, channels, kernel, _ = weight.shape
    batch, _, rows, columns = offset.shape
    out = np.zeros((batch, outputs, rows, columns))
    for b, v, u in np.ndindex(batch, rows, columns):
        for i, j in np.ndindex(kernel, kernel):
            tap = 2 * (i * kernel + j)
            y = v - padding + i + offset[b, tap, v, u]
            z = u - padding + j + offset[b, tap + 1, v, u]
            for c in range(channels):
                out[b, :, v, u] += weight[:, c, i, j] * bilinear(x[b, c], y, z)
    return out


@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (1, 0), (3, 0)])
def test_equals_the_definition(kernel: int, padding: int) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 3, 6, 9))
    shape = (2, 2 * kernel * kernel, 6 + 2 * padding - kernel + 1, 9 + 2 * padding - kernel + 1)
    # Far enough that taps leave the picture on every side.
    offset = rng.normal(0.0, 2.5, shape)
    weight = rng.normal(size=(4, 3, kernel, kernel))
    expected = reference(x, offset, weight, padding)
    tensors = (torch.from_numpy(a.astype(np.float32)) for a in (x, offset, weight))
    found = deform_conv2d(*tensors, padding).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_without_offsets_it_is_a_convolution() -> None:
    rng = np.random.default_rng(6)
    x, weight = (torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in ((1, 4, 12, 7), (5, 4, 3, 3)))
    found = deform_conv2d(x, torch.zeros(1, 18, 12, 7), weight, 1)
    np.testing.assert_allclose(found, torch.nn.functional.conv2d(x, weight, padding=1), atol=1e-5)
