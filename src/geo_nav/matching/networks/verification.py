"""Whether an exported network computes what torch computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo_nav.matching.networks.network import Network
from geo_nav.matching.networks.onnx_runtime import OnnxNetwork, exported, providers
from geo_nav.matching.networks.placement import Placement
from geo_nav.matching.networks.torch_runtime import TorchNetwork

TOLERANCE = 0.01
"""Two values differ if they lie this far apart, as a share of the output's largest value."""


@dataclass(frozen=True)
class Difference:
    """How one output of onnxruntime differs from torch's.

    Attributes:
        output: its name.
        largest: largest absolute difference.
        share: of the values that differ by more than :data:`TOLERANCE`. A maximum of a map may move to a neighbour of
            the same height, which is a large difference and means nothing.
    """

    output: str
    largest: float
    share: float


def compare_runtimes(network: Network, folder: Path, half: bool = False, threads: int = 1) -> tuple[Difference, ...]:
    """Runs a network in torch, in full precision, and its exported file in onnxruntime, on random values and the CPU.

    Args:
        network: which.
        folder: see :func:`~geo_nav.matching.networks.onnx_runtime.exported`.
        half: compare the halved file.
        threads: of each.
    """
    placement = Placement("onnx", "cpu", half)
    path = exported(network, folder, half)
    onnx = OnnxNetwork(network, path, providers(network, placement, folder), placement.description, threads)
    torch = TorchNetwork(network, Placement("torch", "cpu", half=False), threads)
    inputs = [i.example() for i in network.inputs]
    found = []
    for name, a, b in zip(network.outputs, torch(*inputs), onnx(*inputs), strict=True):
        apart = np.abs(a.astype(np.float64) - b)
        found.append(Difference(name, float(apart.max()), float((apart > TOLERANCE * np.abs(a).max()).mean())))
    return tuple(found)
