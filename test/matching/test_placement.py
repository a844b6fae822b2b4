"""Which runtime, device and precision are chosen, for machines of every kind."""

from __future__ import annotations

import logging

import pytest

from geo_nav.matching import MatchingConfig, MatchingError
from geo_nav.matching.networks.placement import Machine, Placement, choose_placement

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
LAPTOP = Machine(torch_cuda=False, providers=(CPU,))
NO_ONNX = Machine(torch_cuda=False, providers=())
WORKSTATION = Machine(torch_cuda=True, providers=(CPU,))
JETSON = Machine(torch_cuda=True, providers=(TENSORRT, CUDA, CPU))
ONNX_GPU = Machine(torch_cuda=False, providers=(CUDA, CPU))


@pytest.mark.parametrize(
    ("machine", "options", "expected"),
    [
        (LAPTOP, {}, Placement("onnx", "cpu", False)),
        (LAPTOP, {"runtime": "torch"}, Placement("torch", "cpu", False)),
        (NO_ONNX, {}, Placement("torch", "cpu", False)),
        (WORKSTATION, {}, Placement("torch", "cuda", True)),
        (WORKSTATION, {"device": "cpu"}, Placement("onnx", "cpu", False)),
        (WORKSTATION, {"precision": "full"}, Placement("torch", "cuda", False)),
        (WORKSTATION, {"runtime": "onnx"}, Placement("onnx", "cpu", False)),
        (ONNX_GPU, {}, Placement("onnx", "cuda", True)),
        (ONNX_GPU, {"device": "cuda", "precision": "full"}, Placement("onnx", "cuda", False)),
        (ONNX_GPU, {"runtime": "torch"}, Placement("torch", "cpu", False)),
        (JETSON, {}, Placement("torch", "cuda", True)),
        (JETSON, {"runtime": "onnx"}, Placement("onnx", "cuda", True)),
        (JETSON, {"device": "tensorrt"}, Placement("onnx", "tensorrt", True)),
        (JETSON, {"device": "tensorrt", "precision": "full"}, Placement("onnx", "tensorrt", False)),
    ],
)
def test_choice(machine: Machine, options: dict[str, str], expected: Placement) -> None:
    assert choose_placement(MatchingConfig(**options), machine) == expected


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (ONNX_GPU, Placement("onnx", "cuda", True)),
        (WORKSTATION, Placement("torch", "cuda", True)),
        (LAPTOP, Placement("onnx", "cpu", False)),
    ],
)
def test_without_tensorrt_it_falls_back_and_says_why(
    machine: Machine, expected: Placement, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose_placement(MatchingConfig(device="tensorrt"), machine) == expected
    assert "'tensorrt'" in caplog.text
    assert CPU in caplog.text


def test_half_precision_on_a_cpu_is_ignored_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not choose_placement(MatchingConfig(device="cpu", precision="half"), JETSON).half
    assert "slower" in caplog.text


@pytest.mark.parametrize(
    ("machine", "options", "message"),
    [
        (LAPTOP, {"device": "cuda"}, "neither torch nor onnxruntime has CUDA"),
        (WORKSTATION, {"device": "cuda", "runtime": "onnx"}, "onnxruntime has no CUDA"),
        (ONNX_GPU, {"device": "cuda", "runtime": "torch"}, "torch has no CUDA"),
        (NO_ONNX, {"runtime": "onnx"}, "not installed"),
        (JETSON, {"device": "tensorrt", "runtime": "torch"}, "runtime 'onnx'"),
    ],
)
def test_what_is_asked_for_by_name_and_missing_is_an_error(
    machine: Machine, options: dict[str, str], message: str
) -> None:
    with pytest.raises(MatchingError, match=message):
        choose_placement(MatchingConfig(**options), machine)
