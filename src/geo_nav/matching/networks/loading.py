"""A network, in the runtime and on the device that the configuration asks for."""

from __future__ import annotations

import logging

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.errors import MatchingError
from geo_nav.matching.networks.network import LoadedNetwork, Network
from geo_nav.matching.networks.onnx_runtime import OnnxNetwork, cache_folder, exported, providers
from geo_nav.matching.networks.placement import Placement, choose_placement, this_machine
from geo_nav.matching.networks.torch_runtime import TorchNetwork

_LOG = logging.getLogger(__name__)


def load_network(network: Network, config: MatchingConfig) -> LoadedNetwork:
    """The network, ready to run.

    Raises:
        MatchingError: what the configuration asks for by name is not there, or the ONNX file cannot be made or read.
    """
    placement = choose_placement(config, this_machine())
    # A GPU is through with all of the work before it could be told what to leave out.
    adaptive = config.adaptive and network.adaptive and placement.device == "cpu"
    if adaptive and config.runtime == "auto":
        placement = Placement("torch", "cpu", half=False)
    if placement.runtime == "torch":
        return TorchNetwork(network, placement, config.threads, adaptive)
    folder = cache_folder(config.cache_dir)
    # TensorRT halves by itself, layer by layer.
    half = placement.half and placement.device == "cuda"
    try:
        path = exported(network, folder, half)
        preferred = providers(network, placement, folder)
        return OnnxNetwork(network, path, preferred, placement.description, config.threads)
    except (OSError, RuntimeError, ImportError, TypeError, ValueError) as error:
        if config.runtime == "onnx" or placement.device != "cpu":
            raise MatchingError(f"{network.name} does not run in onnxruntime: {error}") from error
        _LOG.warning("%s does not run in onnxruntime (%s): it runs in torch, which is slower", network.name, error)
        return TorchNetwork(network, Placement("torch", "cpu", half=False), config.threads, adaptive)
