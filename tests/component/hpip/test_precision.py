"""Networks that take crops, and such with fewer digits, with the real libraries on the CPU."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from worker.cache import CACHE_VARIABLE, cache_directory
from worker.device import CPU, Device
from worker.errors import ModelError, ParityError
from worker.kernels import Kernels
from worker.model import ModelSpec
from worker.predictor.backends.conversion import to_onnx
from worker.predictor.backends.onnx_graph import CROPS, Form
from worker.predictor.backends.onnxruntime_gpu import (
    CPU_PROVIDER,
    OnnxRuntimeGpuBackend,
    gpu_providers,
)
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.loading import load_predictor
from worker.predictor.parity import TOLERANCES, probe_crops
from worker.predictor.predictor import Predictor

GPU = Device.parse("gpu:0")
LOADING = "worker.predictor.loading"

Scores = npt.NDArray[np.float32]


class Watched:
    """A session that notes the sizes of its batches."""

    def __init__(self, session: Any, size: int, computed: list[tuple[int, int]]) -> None:
        self._session, self._size, self._computed = session, size, computed

    def run(self, names: None, feeds: dict[str, npt.NDArray[np.uint8]]) -> Any:
        self._computed.append((self._size, len(feeds[CROPS])))
        return self._session.run(names, feeds)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One for all tests of this file: conversions take longest."""
    monkeypatch.setenv(CACHE_VARIABLE, str(_cache))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")  # which is set while a network is loaded
    return _cache


@pytest.fixture(scope="module")
def expected(spec: ModelSpec) -> Scores:
    """What plain Paddle answers crops that the processor normalised."""
    plain = PaddleBackend(spec, CPU, 1, onednn=False)
    return Predictor(spec, plain).scores(probe_crops(spec.input_size))


@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-5), (True, TOLERANCES["fp16"])])
def test_a_network_that_takes_crops_answers_as_it_did(
    spec: ModelSpec, expected: Scores, *, half: bool, tolerance: float
) -> None:
    network = to_onnx(spec, cache_directory() / "onnx", Form(crops=True, half=half))
    kernels = Kernels("fp16" if half else "fp32")
    backend = OnnxRuntimeGpuBackend(network.path, [CPU_PROVIDER], kernels, 4)
    predictor = Predictor(spec, backend)
    crops = probe_crops(spec.input_size)
    for count in (4, 1, 3):
        scores = predictor.scores(crops[:count])
        np.testing.assert_allclose(scores, expected[:count], atol=tolerance)
    assert half == (np.abs(predictor.scores(crops) - expected).max() > 1e-5)
    first = predictor.scores(crops[:1])
    before = first.copy()
    predictor.scores(crops[1:2])
    np.testing.assert_array_equal(first, before)


def test_each_size_of_batch_has_a_session_and_is_filled_up_with_what_changes_nothing(
    spec: ModelSpec, expected: Scores
) -> None:
    network = to_onnx(spec, cache_directory() / "onnx", Form(crops=True))
    crops = probe_crops(spec.input_size)
    backend = OnnxRuntimeGpuBackend(network.path, [CPU_PROVIDER], Kernels(), 4)
    predictor = Predictor(spec, backend)
    assert sorted(backend._sessions) == [1, 2], "those that loading a network needs"
    predictor.scores(crops)
    assert sorted(backend._sessions) == [1, 2, 4]
    computed: list[tuple[int, int]] = []
    for size, session in backend._sessions.items():
        backend._sessions[size] = Watched(session, size, computed)
    for count in (4, 3, 1, 2, 3):
        scores = predictor.scores(crops[:count])
        assert scores.shape == expected[:count].shape
        np.testing.assert_allclose(scores, expected[:count], atol=1e-5)
    assert computed == [(4, 4), (4, 4), (1, 1), (2, 2), (4, 4)]
    small = OnnxRuntimeGpuBackend(network.path, [CPU_PROVIDER], Kernels(), 3)
    in_parts = Predictor(spec, small).scores(crops)
    np.testing.assert_allclose(in_parts, expected, atol=1e-5)
    assert sorted(small._sessions) == [1, 2, 3]


def test_a_gpu_that_the_driver_does_not_know_is_no_property_of_the_model(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing:
        def __init__(self, *_: object) -> None:
            raise RuntimeError("CUDA failure 100")

    monkeypatch.setattr(f"{LOADING}.OnnxRuntimeGpuBackend", Missing)
    monkeypatch.setenv(CACHE_VARIABLE, str(cache_directory() / "loaded"))
    before = list((cache_directory() / "parity").glob("*.json"))
    with pytest.raises(ParityError, match=r"gpu:99 cannot be used \(.*\): check the driver"):
        load_predictor(spec, Device.parse("gpu:99"), 1, "onnxruntime", capacity=4)
    assert list((cache_directory() / "parity").glob("*.json")) == before


def test_each_form_of_a_network_is_a_file_of_its_own(spec: ModelSpec) -> None:
    directory = cache_directory() / "onnx"
    full, half = Form(crops=True), Form(crops=True, half=True)
    made = [to_onnx(spec, directory, form) for form in (full, half)]
    first, second = (file.path.stat().st_size for file in made)
    assert second < 0.6 * first, "weights have half the bytes"
    assert [to_onnx(spec, directory, form) for form in (full, half)] == made


def test_a_network_for_a_gpu_is_loaded_when_it_answers_as_plain_paddle_does(
    spec: ModelSpec, expected: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the provider is as on a GPU, whose place the CPU takes."""
    monkeypatch.setattr(f"{LOADING}.gpu_providers", lambda *_: [CPU_PROVIDER])
    monkeypatch.setenv(CACHE_VARIABLE, str(cache_directory() / "loaded"))
    loaded = load_predictor(spec, GPU, 1, "onnxruntime", capacity=4)
    assert loaded.backend == "onnxruntime+cuda"
    np.testing.assert_allclose(loaded.scores(probe_crops(spec.input_size)), expected, atol=1e-5)


def test_a_build_of_onnx_runtime_without_cuda_says_what_to_install(spec: ModelSpec) -> None:
    with pytest.raises(ParityError) as refused:
        load_predictor(spec, GPU, 1, "onnxruntime", capacity=4)
    assert (
        "the installed ONNX Runtime has no CUDAExecutionProvider: install onnxruntime-gpu in place "
        "of onnxruntime" in str(refused.value)
    )
    # It is no property of the model: what is installed next is tried again.
    assert not list((cache_directory() / "parity").glob("*.json"))


def test_onnx_runtime_knows_the_providers_that_are_named() -> None:
    every = importlib.import_module("onnxruntime").get_all_providers()
    named = gpu_providers(0, Kernels(tensorrt=True), (224, 224), 4, Path("engines"))
    assert {name for name, _ in named} <= set(every)


def test_another_precision_than_the_processors_own_is_refused(spec: ModelSpec) -> None:
    with pytest.raises(ParityError, match=r"onnxruntime.*set predictor\.precision to fp32"):
        load_predictor(spec, CPU, 1, "onnxruntime", kernels=Kernels("bf16"))
    with pytest.raises(ModelError, match="gpu:0: the installed paddlepaddle has no CUDA"):
        load_predictor(spec, GPU, 1, kernels=Kernels("fp16"))
