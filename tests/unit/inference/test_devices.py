"""The device to use, and the names of GPUs; the processes that find them out are the test's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from worker.device import CPU, Device
from worker.errors import ModelError, UnfitSystemError
from worker.inference.devices import find_device, gpu_names
from worker.inference.protocol import UNUSABLE_DEVICE
from worker.kernels import Kernels
from worker.settings import BackendChoice

MODULE = "worker.inference.devices"
GPU, NPU = Device("gpu", (7,)), Device("npu", (0,))
REFUSAL = "gpu:7: there is no such device; use gpu:0"

Answer = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Say what a process answers, and what is installed; returns what was run."""

    def answers(
        said: str | Exception = "",
        status: int = 0,
        *,
        onnxruntime: bool = False,
        cpu_build: bool = False,
    ) -> list[tuple[str, str]]:
        asked: list[tuple[str, str]] = []

        def run(module: str, argument: str, timeout: float) -> subprocess.CompletedProcess[bytes]:
            asked.append((module.rpartition(".")[2], argument))
            if isinstance(said, Exception):
                raise said
            return subprocess.CompletedProcess([], status, said.encode())

        monkeypatch.setattr(f"{MODULE}._run", run)
        for module in ("devices", "choice"):
            name = f"worker.inference.{module}.is_cpu_build"
            monkeypatch.setattr(name, lambda: cpu_build)
        monkeypatch.setattr("worker.inference.choice.missing_packages", lambda _: ())
        monkeypatch.setattr("worker.inference.choice.has_gpu_provider", lambda _: onnxruntime)
        return asked

    return answers


@pytest.mark.parametrize("cpu_build", [False, True])
@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_a_gpu_that_onnx_runtime_may_use_is_left_to_it(
    answer: Answer, backend: BackendChoice, cpu_build: bool
) -> None:
    asked = answer(REFUSAL, UNUSABLE_DEVICE, onnxruntime=True, cpu_build=cpu_build)
    assert find_device(GPU, backend) == GPU
    assert asked == []


@pytest.mark.parametrize(
    ("device", "backend", "precision", "onnxruntime"),
    [
        (GPU, "auto", "fp32", False),
        (GPU, "auto", "bf16", True),
        (GPU, "paddle", "fp32", True),
        (NPU, "auto", "fp32", True),
    ],
)
def test_of_a_device_that_is_left_to_paddle_alone_paddle_is_asked(
    answer: Answer,
    device: Device,
    backend: BackendChoice,
    precision: str,
    onnxruntime: bool,
) -> None:
    kernels = Kernels("bf16" if precision == "bf16" else "fp32")
    asked = answer(str(device), onnxruntime=onnxruntime)
    assert find_device(device, backend, kernels) == device
    assert asked == [("device_probe", str(device))]
    answer(REFUSAL, UNUSABLE_DEVICE, onnxruntime=onnxruntime)
    with pytest.raises(ModelError, match="there is no such device"):
        find_device(device, backend, kernels)


def test_a_gpu_that_nothing_can_use_is_refused_without_loading_paddle(answer: Answer) -> None:
    asked = answer(cpu_build=True)
    with pytest.raises(ModelError, match="install paddlepaddle-gpu, or onnxruntime-gpu"):
        find_device(GPU, "auto")
    assert asked == []


@pytest.mark.parametrize("backend", ["auto", "onnxruntime", "paddle"])
def test_where_none_is_named_it_is_a_gpu_that_paddle_can_use_or_the_cpu(
    answer: Answer, backend: BackendChoice
) -> None:
    asked = answer("gpu:0", onnxruntime=True)
    assert find_device(None, backend) == Device("gpu", (0,))
    assert asked == [("device_probe", "")]
    asked = answer("gpu:0", onnxruntime=True, cpu_build=True)
    assert find_device(None, backend) == CPU
    assert asked == []


def test_a_paddle_that_does_not_load_in_time_is_an_error(answer: Answer) -> None:
    answer(subprocess.TimeoutExpired("python", 1.0))
    with pytest.raises(UnfitSystemError, match="did not load within 120 s"):
        find_device(GPU)


def test_gpus_have_the_names_that_their_driver_tells_else_their_places(answer: Answer) -> None:
    gpus = Device("gpu", (0, 1))
    asked = answer("NVIDIA L4, NVIDIA L4")
    assert gpu_names(gpus) == "NVIDIA L4, NVIDIA L4"
    assert asked == [("gpu_probe", "gpu:0,1")]
    answer("", UNUSABLE_DEVICE)
    assert gpu_names(gpus) == "gpu:0,1"
    for error in (subprocess.TimeoutExpired("python", 1.0), OSError("no room for a process")):
        answer(error)
        assert gpu_names(gpus) == "gpu:0,1"
