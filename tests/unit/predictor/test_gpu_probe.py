"""The names that the driver tells; it is the test's."""

from __future__ import annotations

import sys

import pytest

from worker.inference.protocol import UNUSABLE_DEVICE
from worker.predictor import gpu_probe
from worker.predictor.backends.cuda import CudaError


class Driver:
    """Knows two GPUs."""

    def device_name(self, index: int) -> str:
        if index > 1:
            raise CudaError("cuDeviceGet: CUDA_ERROR_INVALID_DEVICE")
        return ("NVIDIA H100", "NVIDIA L4")[index]


def test_all_gpus_are_named_in_their_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_probe, "load_driver", Driver)
    for device, names in (("gpu", "NVIDIA H100"), ("gpu:1,0", "NVIDIA L4, NVIDIA H100")):
        monkeypatch.setattr(sys, "argv", ["", device])
        gpu_probe.main()
        assert capsys.readouterr().out == names


def test_one_that_the_driver_does_not_know_is_an_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_probe, "load_driver", Driver)
    monkeypatch.setattr(sys, "argv", ["", "gpu:0,2"])
    with pytest.raises(SystemExit) as ended:
        gpu_probe.main()
    assert ended.value.code == UNUSABLE_DEVICE
    assert capsys.readouterr().out == ""
