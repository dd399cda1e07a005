"""Which devices are refused, and which one is the default; no accelerator is needed."""

from __future__ import annotations

import pytest

from worker.device import CPU, Device
from worker.errors import ModelError
from worker.predictor.backends.devices import (
    PaddleBuild,
    check_device,
    default_device,
)

CPU_BUILD = PaddleBuild({})

TWO_GPUS = PaddleBuild({"gpu": 2})


@pytest.mark.parametrize(
    ("device", "build", "message"),
    [
        ("gpu:0", CPU_BUILD, "gpu:0: the installed paddlepaddle has no CUDA: install paddlepadd"),
        ("xpu:0", CPU_BUILD, "xpu:0: the installed paddlepaddle has no XPU support: install"),
        ("npu:0", CPU_BUILD, "npu:0: Paddle's plug-in for NPUs is missing: install paddle-custom"),
        ("mlu:0", CPU_BUILD, "mlu:0: Paddle's plug-in for MLUs is missing: install paddle-custom"),
        ("gpu:0", PaddleBuild({"gpu": 0}), "gpu:0: Paddle finds no GPU: check the driver"),
        ("gpu:2", TWO_GPUS, "gpu:2: there is no such device; use gpu:0 to gpu:1"),
        ("gpu:1,2", TWO_GPUS, "gpu:2: there is no such device; use gpu:0 to gpu:1"),
        ("npu:1", PaddleBuild({"npu": 1}), "npu:1: there is no such device; use npu:0"),
    ],
)
def test_a_device_that_is_not_here_is_refused(
    device: str, build: PaddleBuild, message: str
) -> None:
    with pytest.raises(ModelError) as refused:
        check_device(Device.parse(device), build)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("device", ["cpu", "gpu", "gpu:0", "gpu:1", "gpu:0,1"])
def test_a_device_that_is_here_is_accepted(device: str) -> None:
    check_device(Device.parse(device), TWO_GPUS)


def test_the_first_gpu_is_the_default() -> None:
    assert default_device(TWO_GPUS) == Device.parse("gpu:0")
    assert default_device(PaddleBuild({"gpu": 0})) == CPU
    assert default_device(PaddleBuild({"npu": 1})) == CPU
