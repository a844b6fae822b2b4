"""Deformable convolution (Dai et al., ICCV 2017) in operators that every runtime has."""

from __future__ import annotations

from typing import Any


def deform_conv2d(x: Any, offset: Any, weight: Any, padding: int) -> Any:
    """Convolution whose taps are displaced, each pixel's otherwise.

    The definition is torchvision's `ops.deform_conv2d` with stride 1, one group and no modulation; but it is made of
    `grid_sample` and one matrix product, which torch runs without torchvision and ONNX knows as operators.

    Args:
        x: (B, C, H, W) tensor.
        offset: (B, 2·K·K, H', W') displacements in pixels, (down, right) for each tap, taps row by row.
        weight: (O, C, K, K).
        padding: zeros around the picture, pixels; H' = H + 2·padding - K + 1.

    Returns:
        (B, O, H', W').
    """
    import torch
    import torch.nn.functional as F  # noqa: N812

    kernel = int(weight.shape[-1])
    batch, channels, height, width = x.shape
    rows, columns = offset.shape[-2:]
    offset = offset.reshape(batch, kernel * kernel, 2, rows, columns)
    taps = [(k // kernel - padding, k % kernel - padding) for k in range(kernel * kernel)]
    tap_v, tap_u = torch.tensor(taps, device=x.device, dtype=torch.float32).unbind(dim=1)
    v = torch.arange(rows, device=x.device, dtype=torch.float32)
    u = torch.arange(columns, device=x.device, dtype=torch.float32)
    v = offset[:, :, 0] + tap_v[:, None, None] + v[:, None]
    u = offset[:, :, 1] + tap_u[:, None, None] + u
    # grid_sample's own coordinates (align_corners=False): pixel centres are halves of pixels from -1.
    grid = torch.stack([(2.0 * u + 1.0) / width - 1.0, (2.0 * v + 1.0) / height - 1.0], dim=4)
    grid = grid.reshape(batch, kernel * kernel * rows, columns, 2)
    # Zeros outside, corner by corner: as the definition has it.
    sampled = F.grid_sample(x, grid.to(x.dtype), mode="bilinear", padding_mode="zeros", align_corners=False)
    sampled = sampled.reshape(batch, channels * kernel * kernel, rows * columns)
    return (weight.reshape(1, weight.shape[0], -1) @ sampled).reshape(batch, weight.shape[0], rows, columns)
