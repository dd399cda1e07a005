"""This machine, and machines that lack something."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.device import CPU, Device
from worker.doctor import system
from worker.doctor.findings import Status

BOUND = 120.0


def test_paddle_and_the_codecs_load_and_the_cpu_can_be_used() -> None:
    found = system.look_at_libraries(CPU, BOUND)
    assert [(each.subject, each.status) for each in found] == [
        ("Paddle", Status.OK),
        ("Devices", Status.OK),
        ("Codecs", Status.OK),
    ]
    assert found[0].found.startswith("paddlepaddle 3.")


def test_a_device_that_paddle_cannot_use_is_a_failure() -> None:
    devices = system.look_at_libraries(Device.parse("mlu:0"), BOUND)[1]
    assert devices.status is Status.FAIL
    assert "paddle-custom-mlu" in devices.remedy


def test_a_gpu_that_the_driver_does_not_know_is_a_failure_whichever_library_computes() -> None:
    """As without a driver, or with fewer GPUs."""
    found = system.look_at_libraries(Device.parse("gpu:99"), BOUND, "onnxruntime")
    (gpus,) = (each for each in found if each.subject == "GPUs")
    assert gpus.status is Status.FAIL
    assert gpus.found.startswith("gpu:99 cannot be used: ")
    assert "nvidia-smi" in gpus.remedy


def test_libraries_that_end_the_process_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paddle.py").write_text("import os\nos.abort()\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = system.look_at_libraries(CPU, BOUND)
    assert found.status is Status.FAIL
    assert "exit status -6" in found.found


def test_libraries_that_hang_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paddle.py").write_text("import time\ntime.sleep(3600)\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = system.look_at_libraries(CPU, 1.0)
    assert (found.status, found.found) == (Status.WARN, "it did not load within 1 s")
