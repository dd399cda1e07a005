"""Which backends, devices and precisions go together; the installed packages are the test's."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from worker.device import CPU, Device
from worker.errors import ModelError, SettingsError, UnfitSystemError
from worker.inference.choice import candidates, check_choice, is_cpu_build
from worker.inference.protocol import BackendName
from worker.kernels import Kernels, Precision
from worker.settings import BackendChoice

GPU = Device("gpu", (0,))
MODULE = "worker.inference.choice"

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Say what is installed, and what the processor has."""

    def installed(
        *providers: str, bfloat16: bool = True, cpu_build: bool = False, missing: str = ""
    ) -> None:
        monkeypatch.setattr(f"{MODULE}.is_cpu_build", lambda: cpu_build)
        monkeypatch.setattr(f"{MODULE}.missing_packages", lambda _: tuple(missing.split()))
        monkeypatch.setattr(f"{MODULE}.has_gpu_provider", lambda name: name in providers)
        monkeypatch.setattr(f"{MODULE}.has_bfloat16", lambda: bfloat16)

    return installed


@pytest.mark.parametrize("choice", ["auto", "paddle"])
def test_paddle_goes_with_every_device(choice: BackendChoice, install: Install) -> None:
    install()
    for device in (CPU, Device("gpu", (0, 1)), Device("npu")):
        check_choice(choice, device)


@pytest.mark.parametrize(
    ("choice", "device", "where"),
    [
        ("openvino", "gpu:0", "the CPU alone"),
        ("openvino", "xpu:0", "the CPU alone"),
        ("onnxruntime", "npu:0", "CPUs and NVIDIA's GPUs alone"),
    ],
)
def test_the_others_compute_on_some_devices_alone(
    choice: BackendName, device: str, where: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        check_choice(choice, Device.parse(device))
    assert str(refused.value) == (
        f"predictor.backend: {choice} computes on {where}, and device is {device}: "
        "set predictor.backend to auto or paddle, or device to cpu"
    )


def test_one_that_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("sys.version_info", (3, 12, 1))
    with pytest.raises(UnfitSystemError) as refused:
        check_choice("openvino", CPU)
    assert str(refused.value) == (
        "predictor.backend: openvino needs openvino and paddle2onnx, not installed here; "
        "pip install '.[hpip]' in a checkout of this project installs it; "
        "or set predictor.backend to auto or paddle"
    )


def test_onnx_runtime_needs_its_gpu_build_on_a_gpu(install: Install) -> None:
    install("cuda")
    check_choice("onnxruntime", GPU)
    install()
    check_choice("onnxruntime", CPU)
    with pytest.raises(UnfitSystemError) as refused:
        check_choice("onnxruntime", GPU)
    assert str(refused.value) == (
        "predictor.backend: the installed onnxruntime has no CUDA, and device is gpu:0: install "
        "onnxruntime-gpu in its place, set predictor.backend to auto or paddle, or device to cpu"
    )


def test_tensorrt_needs_a_gpu_and_onnx_runtime_and_its_library(install: Install) -> None:
    install("cuda", "tensorrt")
    kernels = Kernels(tensorrt=True)
    check_choice("onnxruntime", GPU, kernels)
    for choice, device in (("onnxruntime", CPU), ("auto", GPU), ("paddle", GPU)):
        with pytest.raises(SettingsError, match=r"^predictor\.tensorrt: it computes on GPUs, th"):
            check_choice(cast(BackendChoice, choice), device, kernels)
    install("cuda")
    with pytest.raises(UnfitSystemError, match="has no TensorRT: install onnxruntime-gpu in its"):
        check_choice("onnxruntime", GPU, kernels)


@pytest.mark.parametrize(
    ("precision", "choice", "device", "refusal"),
    [
        ("fp16", "auto", "gpu:0", None),
        ("fp16", "paddle", "gpu:0", None),
        ("fp16", "onnxruntime", "gpu:0", None),
        ("fp16", "auto", "cpu", "fp16 is not for the device cpu: set it to fp32"),
        ("fp16", "paddle", "npu:0", "fp16 is not for the device npu"),
        ("bf16", "paddle", "gpu:0", None),
        ("bf16", "onnxruntime", "gpu:0", "only through TensorRT"),
        ("bf16", "auto", "cpu", None),
        ("bf16", "openvino", "cpu", None),
        ("bf16", "onnxruntime", "cpu", "onnxruntime does not compute with bf16 on CPU"),
        ("bf16", "paddle", "xpu:0", "bf16 is not for the device xpu"),
    ],
)
def test_a_precision_goes_with_backends_and_devices_that_have_it(
    install: Install, precision: Precision, choice: BackendChoice, device: str, refusal: str | None
) -> None:
    install("cuda")
    kernels = Kernels(precision)
    if refusal is None:
        check_choice(choice, Device.parse(device), kernels)
        return
    with pytest.raises(SettingsError, match=refusal) as refused:
        check_choice(choice, Device.parse(device), kernels)
    assert str(refused.value).startswith("predictor.precision: ")


def test_bf16_through_tensorrt_goes_with_onnx_runtime(install: Install) -> None:
    install("cuda", "tensorrt")
    check_choice("onnxruntime", GPU, Kernels("bf16", tensorrt=True))


def test_bf16_needs_a_processor_that_has_it(install: Install) -> None:
    install(bfloat16=False)
    with pytest.raises(UnfitSystemError, match="none of the features amx_bf16, avx512_bf16, bf16"):
        check_choice("auto", CPU, Kernels("bf16"))


ON_CPU = ("paddle", "openvino", "onnxruntime")
ON_GPU = ("paddle", "onnxruntime")


@pytest.mark.parametrize(
    ("device", "precision", "cpu_build", "providers", "expected"),
    [
        (CPU, "fp32", True, "", ON_CPU),
        (CPU, "fp32", False, "cuda", ON_CPU),
        (CPU, "bf16", True, "", ("paddle", "openvino")),
        (GPU, "fp32", False, "cuda", ON_GPU),
        (GPU, "fp16", False, "cuda", ON_GPU),
        (GPU, "bf16", False, "cuda", ("paddle",)),
        (GPU, "fp32", False, "", ("paddle",)),
        (GPU, "fp32", True, "cuda", ("onnxruntime",)),
        (GPU, "fp16", True, "cuda", ("onnxruntime",)),
        (Device("npu", (0,)), "fp32", True, "cuda", ("paddle",)),
        (Device("xpu", (0,)), "fp32", False, "cuda", ("paddle",)),
        (Device("mlu", (0,)), "fp32", True, "cuda", ("paddle",)),
    ],
)
def test_auto_tries_those_that_compute_there_with_the_precision(
    install: Install,
    device: Device,
    precision: Precision,
    cpu_build: bool,
    providers: str,
    expected: tuple[BackendName, ...],
) -> None:
    install(*providers.split(), cpu_build=cpu_build)
    assert candidates(device, Kernels(precision)) == expected
    check_choice("auto", device, Kernels(precision))


def test_paddle_alone_is_left_where_the_others_or_their_converter_are_missing(
    install: Install,
) -> None:
    install("cuda", missing="paddle2onnx")
    assert candidates(CPU) == candidates(GPU) == ("paddle",)


@pytest.mark.parametrize(
    ("providers", "missing", "precision", "also"),
    [
        ("", "", "fp32", ""),
        ("cuda", "paddle2onnx", "fp32", ""),
        ("cuda", "", "bf16", ", with predictor.precision fp16"),
    ],
)
def test_a_gpu_that_nothing_installed_computes_on_is_refused_with_what_to_install(
    install: Install, providers: str, missing: str, precision: Precision, also: str
) -> None:
    install(*providers.split(), cpu_build=True, missing=missing)
    with pytest.raises(ModelError) as refused:
        check_choice("auto", Device("gpu", (1, 2)), Kernels(precision))
    assert str(refused.value) == (
        "gpu:1: the installed paddlepaddle has no CUDA: install paddlepaddle-gpu, or "
        f"onnxruntime-gpu (in place of onnxruntime) and paddle2onnx{also}; or use cpu"
    )


def test_what_a_build_is_for_is_told_without_loading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = tmp_path / "paddle" / "version" / "__init__.py"
    versions.parent.mkdir(parents=True)
    (tmp_path / "paddle" / "__init__.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    assert not is_cpu_build(), "in doubt"
    for text, cpu in [
        ("cuda_version = 'False'\nhip_version = None", True),
        ("cuda_version = '12.6'", False),
        ("cuda_version = 'False'\nhip_version = '6.1'", False),
        ("cuda_version = 'False'\nxpu_xre_version = '5'", False),
        ("something = 'else'", False),
        ("raise ValueError", False),
    ]:
        versions.write_text(text)
        assert is_cpu_build() is cpu, text
