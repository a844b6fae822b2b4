"""Where a network runs: which runtime, which device, which precision."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.errors import MatchingError

_LOG = logging.getLogger(__name__)
_DRIVERS = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg")
"""A machine with an NVIDIA GPU has one of these: PC, Jetson, newer Jetson, WSL."""
_CUDA, _TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@dataclass(frozen=True)
class Machine:
    """What this machine can run networks with.

    Attributes:
        torch_cuda: torch has CUDA and a GPU.
        providers: execution providers of the installed onnxruntime that can work here; empty without onnxruntime.
    """

    torch_cuda: bool
    providers: tuple[str, ...]


@dataclass(frozen=True)
class Placement:
    """A decision: ``runtime``, ``device``, and whether in half precision."""

    runtime: Literal["torch", "onnx"]
    device: Literal["cpu", "cuda", "tensorrt"]
    half: bool

    @property
    def description(self) -> str:
        """For logs and reports."""
        return f"{self.runtime} on {self.device}, {'half' if self.half else 'full'} precision"


@cache
def this_machine() -> Machine:
    """What there is. torch is imported only where there is a GPU: it costs seconds and 200 MB."""
    gpu = any(Path(driver).exists() for driver in _DRIVERS)
    torch_cuda = False
    if gpu:
        import torch

        torch_cuda = bool(torch.cuda.is_available())
    providers: tuple[str, ...] = ()
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        # The GPU build names its providers on machines without a GPU too.
        providers = tuple(p for p in onnxruntime.get_available_providers() if gpu or p == "CPUExecutionProvider")
    return Machine(torch_cuda, providers)


def choose_placement(config: MatchingConfig, machine: Machine) -> Placement:
    """The runtime, device and precision for a configuration.

    On a CPU onnxruntime is the faster; on CUDA torch, where it has it, needs no export. TensorRT is onnxruntime's;
    where it is missing, CUDA takes its place, and the CPU that of both, with a warning.

    Raises:
        MatchingError: a runtime or a device is asked for by name and is not there.
    """
    device = config.device
    if device == "tensorrt" and _TENSORRT not in machine.providers:
        has = ", ".join(machine.providers) or "none (it is not installed)"
        _LOG.warning("device 'tensorrt' is asked for, but onnxruntime's providers here are: %s; falling back", has)
        device = "auto"
    if config.runtime == "onnx" and not machine.providers:
        raise MatchingError("runtime 'onnx' is asked for, but onnxruntime is not installed: use 'auto' or 'torch'")
    if device == "tensorrt":
        if config.runtime == "torch":
            raise MatchingError("device 'tensorrt' needs runtime 'onnx' or 'auto', not 'torch'")
        return Placement("onnx", "tensorrt", _half(config, "tensorrt"))
    by_torch = machine.torch_cuda and config.runtime != "onnx"
    by_onnx = _CUDA in machine.providers and config.runtime != "torch"
    if device != "cpu" and (by_torch or by_onnx):
        return Placement("torch" if by_torch else "onnx", "cuda", _half(config, "cuda"))
    if device == "cuda":
        what = {"torch": "torch has", "onnx": "onnxruntime has", "auto": "neither torch nor onnxruntime has"}
        no = "" if config.runtime == "auto" else " no"
        raise MatchingError(
            f"device 'cuda' is asked for, but {what[config.runtime]}{no} CUDA on this machine: use 'auto' or 'cpu'"
        )
    if config.runtime == "auto" and not machine.providers:
        _LOG.warning("onnxruntime is not installed: networks run in torch, which is slower on a CPU")
    runtime: Literal["torch", "onnx"] = "torch" if config.runtime == "torch" or not machine.providers else "onnx"
    return Placement(runtime, "cpu", _half(config, "cpu"))


def _half(config: MatchingConfig, device: str) -> bool:
    if device == "cpu":
        if config.precision == "half":
            _LOG.warning("precision 'half' is ignored: a CPU computes in full precision, half would be slower")
        return False
    return config.precision != "full"
