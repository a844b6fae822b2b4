"""Networks in onnxruntime: export once, then sessions on a CPU, on CUDA or in TensorRT."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from geo_nav.matching.errors import MatchingError
from geo_nav.matching.networks.network import Network, Shape
from geo_nav.matching.networks.placement import Placement

_LOG = logging.getLogger(__name__)
_OPSET = 17
_SENSITIVE = ("InstanceNormalization", "GridSample", "LogSoftmax", "Resize")
"""Operators that stay in float32 in a halved graph: sums over a whole picture, coordinates, logarithms."""

ProviderList = list[tuple[str, dict[str, str]]]


def cache_folder(configured: str) -> Path:
    """The folder of exported networks and TensorRT engines, for the config's ``cache_dir``."""
    if configured:
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "geo_nav"


def exported(network: Network, folder: Path, half: bool = False) -> Path:
    """The ONNX file of a network, written into ``folder`` unless it lies there.

    Args:
        network: what to export.
        folder: made if it is missing.
        half: in float16, but for inputs, outputs and what handles coordinates.

    Raises:
        OSError, RuntimeError, ImportError, TypeError, ValueError: the folder cannot be written, or torch or onnx fail.
    """
    half = half and network.halved
    target = folder / f"{network.name}-{network.digest()}-opset{_OPSET}{'-half' if half else ''}.onnx"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if half:
            full = exported(network, folder)
            _write(target, lambda name: _halve(full, name, network.full_precision))
        else:
            _write(target, lambda name: _export(network, name))
    return target


def providers(network: Network, placement: Placement, folder: Path) -> ProviderList:
    """Execution providers of onnxruntime and their options, the preferred first.

    Args:
        network: for the range of its shapes.
        placement: where it runs.
        folder: the cache: TensorRT's engines, which take minutes to build, are kept in it.
    """
    cpu: ProviderList = [("CPUExecutionProvider", {})]
    if placement.device == "cpu":
        return cpu
    # An exhaustive search for the fastest convolution would start anew with every size of a picture.
    cuda: ProviderList = [("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})]
    if placement.device == "cuda":
        return cuda + cpu

    def shapes(which: Callable[[Any], Shape]) -> str:
        return ",".join(f"{i.name}:{'x'.join(map(str, which(i)))}" for i in network.inputs)

    engines = str(folder / "tensorrt")
    options = {
        "trt_fp16_enable": str(placement.half and network.halved),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": engines,
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": engines,
        "trt_profile_min_shapes": shapes(lambda i: i.smallest),
        "trt_profile_opt_shapes": shapes(lambda i: i.usual),
        "trt_profile_max_shapes": shapes(lambda i: i.largest),
    }
    return [("TensorrtExecutionProvider", options), *cuda, *cpu]


class OnnxNetwork:
    """A network in onnxruntime.

    Args:
        network: what runs.
        path: its ONNX file.
        preferred: see :func:`providers`.
        description: where it is meant to run.
        threads: of the CPU.

    Raises:
        RuntimeError: the file cannot be loaded.
    """

    def __init__(self, network: Network, path: Path, preferred: ProviderList, description: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning worker takes the core that the other nodes of a small computer need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=preferred)
        except Exception as error:  # onnxruntime's own errors have no class in common
            raise RuntimeError(f"{path} cannot be loaded: {error}") from error
        self._name = network.name
        self.description = description
        used = self._session.get_providers()
        if used[0] != preferred[0][0]:
            # onnxruntime itself falls back, for example where a CUDA library is missing, and says so on stderr only.
            _LOG.warning("%s: %s could not be started, %s is used", network.name, preferred[0][0], used[0])
            self.description += f" (fell back to {used[0]})"
        self._device = "cpu" if used[0] == "CPUExecutionProvider" else "cuda"
        self._inputs = [i.name for i in network.inputs]
        self._outputs = network.outputs
        self._value_type = onnxruntime.OrtValue

    def __call__(self, *inputs: Any, keep: Collection[str] = ()) -> tuple[Any, ...]:
        """See :class:`~geo_nav.matching.networks.LoadedNetwork`."""
        binding = self._session.io_binding()
        for name, value in zip(self._inputs, inputs, strict=True):
            if isinstance(value, self._value_type):
                binding.bind_ortvalue_input(name, value)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(value, np.float32))
        for name in self._outputs:
            binding.bind_output(name, self._device if name in keep else "cpu")
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # as above
            raise MatchingError(f"{self._name} failed ({self.description}): {error}") from error
        values = binding.get_outputs()
        return tuple(
            value if name in keep else value.numpy() for name, value in zip(self._outputs, values, strict=True)
        )


def _write(target: Path, make: Callable[[str], None]) -> None:
    """Makes a file under another name and renames it: another process sees the whole file or none."""
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".onnx")
    os.close(handle)
    try:
        make(name)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _export(network: Network, name: str) -> None:
    import torch

    lengths: dict[str, int] = {}
    examples = []
    for i in network.inputs:
        shape = list(i.largest)
        for axis, length in i.axes.items():
            # Small, whole multiples of every stride, and no two alike, so that none is taken for another.
            shape[axis] = lengths.setdefault(length, 64 * (3 + len(lengths)))
        examples.append(torch.from_numpy(i.example(tuple(shape))))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.build(),
            tuple(examples),
            name,
            # The newer exporter needs onnxscript, which is not a dependency.
            dynamo=False,
            opset_version=_OPSET,
            input_names=[i.name for i in network.inputs],
            output_names=list(network.outputs),
            dynamic_axes={i.name: i.axes for i in network.inputs} | network.outputs,
        )


def _halve(full: Path, name: str, full_precision: tuple[str, ...]) -> None:
    import onnx
    from onnxruntime.transformers import float16

    model = onnx.load(str(full))
    blocked = [node.name for node in model.graph.node if any(part in node.name for part in full_precision)]
    with warnings.catch_warnings():
        # It says for each small weight that it becomes the smallest float16.
        warnings.simplefilter("ignore")
        halved = float16.convert_float_to_float16(
            model,
            keep_io_types=True,
            op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *_SENSITIVE],
            node_block_list=blocked,
        )
    onnx.save(halved, name)
