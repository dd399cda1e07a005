"""The providers that ONNX Runtime is given for a GPU, and their options."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.kernels import Kernels
from worker.predictor.backends.onnxruntime_gpu import (
    CPU_PROVIDER,
    MOST_WEIGHTS,
    batch_sizes,
    gpu_backend_name,
    gpu_providers,
)

ENGINES = Path("/cache/tensorrt/model")


def options(kernels: Kernels, name: str) -> dict[str, str]:
    return dict(gpu_providers(2, kernels, (224, 192), 16, ENGINES))[name]


def test_cuda_computes_on_the_slots_gpu_with_all_digits() -> None:
    provider, rest = gpu_providers(2, Kernels(), (224, 192), 16, ENGINES)
    assert provider == (
        "CUDAExecutionProvider",
        {
            "device_id": "2",
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            "use_tf32": "0",
        },
    )
    assert rest == CPU_PROVIDER
    assert options(Kernels("fp16"), "CUDAExecutionProvider")["use_tf32"] == "1"


def test_tensorrt_comes_first_and_leaves_the_rest_to_cuda() -> None:
    names = [name for name, _ in gpu_providers(0, Kernels(tensorrt=True), (224, 192), 16, ENGINES)]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def test_tensorrt_builds_one_engine_for_all_batches_and_keeps_it() -> None:
    given = options(Kernels(tensorrt=True), "TensorrtExecutionProvider")
    assert given["device_id"] == "2"
    assert given["trt_profile_min_shapes"] == "crops:1x224x192x3"
    assert given["trt_profile_opt_shapes"] == "crops:16x224x192x3"
    assert given["trt_profile_max_shapes"] == "crops:16x224x192x3"
    large = dict(gpu_providers(0, Kernels(tensorrt=True), (224, 192), 1024, ENGINES))
    assert large["TensorrtExecutionProvider"]["trt_profile_opt_shapes"] == "crops:32x224x192x3"
    assert large["TensorrtExecutionProvider"]["trt_profile_max_shapes"] == "crops:1024x224x192x3"
    assert given["trt_engine_cache_enable"] == "1"
    assert given["trt_engine_cache_path"] == str(ENGINES)
    assert given["trt_timing_cache_path"] == str(ENGINES)


@pytest.mark.parametrize(
    ("kernels", "fp16", "bf16"),
    [
        (Kernels(tensorrt=True), "0", "0"),
        (Kernels("fp16", tensorrt=True), "1", "0"),
        (Kernels("bf16", tensorrt=True), "0", "1"),
    ],
)
def test_tensorrt_is_told_the_precision(kernels: Kernels, fp16: str, bf16: str) -> None:
    given = options(kernels, "TensorrtExecutionProvider")
    assert (given["trt_fp16_enable"], given["trt_bf16_enable"]) == (fp16, bf16)


def test_what_computes_is_named() -> None:
    assert gpu_backend_name(Kernels()) == "onnxruntime+cuda"
    assert gpu_backend_name(Kernels("fp16")) == "onnxruntime+cuda+fp16"
    assert gpu_backend_name(Kernels("bf16", tensorrt=True)) == "onnxruntime+tensorrt+bf16"


@pytest.mark.parametrize(
    ("capacity", "weights", "sizes"),
    [
        (1, 10**8, (1,)),
        (2, 10**8, (1, 2)),
        (32, 10**8, (1, 2, 4, 8, 16, 32)),
        (24, 10**8, (1, 2, 4, 8, 16, 24)),
        (32, MOST_WEIGHTS // 6 + 1, (1, 4, 16, 32)),
        (32, MOST_WEIGHTS, (1, 32)),
        (1, MOST_WEIGHTS + 1, (1,)),
    ],
)
def test_batches_have_few_sizes_and_fewer_of_large_networks(
    capacity: int, weights: int, sizes: tuple[int, ...]
) -> None:
    assert batch_sizes(capacity, weights) == sizes
