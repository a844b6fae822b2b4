"""Networks in torch, on a CPU or on CUDA."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from geo_nav.matching.errors import MatchingError
from geo_nav.matching.networks.network import Network
from geo_nav.matching.networks.placement import Placement


class TorchNetwork:
    """A network in torch; half precision is torch's automatic mixed precision (float16).

    Sets the number of torch's threads, which is one number for the process.

    Args:
        network: what runs.
        placement: where.
        threads: of the CPU.
        adaptive: let a network that can leave out work that its data does not need.
    """

    def __init__(self, network: Network, placement: Placement, threads: int, adaptive: bool = False) -> None:
        import torch

        torch.set_num_threads(threads)
        self._name = network.name
        self.description = placement.description
        self._torch = torch
        self._device = placement.device
        self._half = placement.half and network.halved
        self._names = network.outputs
        self._module = network.build().to(self._device)
        if network.adaptive:
            self._module.adaptive = adaptive

    def __call__(self, *inputs: Any, keep: Collection[str] = ()) -> tuple[Any, ...]:
        """See :class:`~geo_nav.matching.networks.LoadedNetwork`."""
        torch = self._torch
        try:
            tensors = [x if isinstance(x, torch.Tensor) else torch.from_numpy(x).to(self._device) for x in inputs]
            with torch.inference_mode(), torch.autocast(self._device, dtype=torch.float16, enabled=self._half):
                outputs = self._module(*tensors)
        except RuntimeError as error:
            raise MatchingError(f"{self._name} failed ({self.description}): {error}") from error
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(
            tensor if name in keep else (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
            for name, tensor in zip(self._names, outputs, strict=True)
        )
