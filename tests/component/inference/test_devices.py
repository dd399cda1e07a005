"""The device to use when none is named, found out by a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from worker.device import CPU, Device
from worker.errors import ModelError, UnfitSystemError
from worker.inference.choice import is_cpu_build
from worker.inference.devices import find_device, gpu_names
from worker.runtime.children import module_command


def test_a_build_for_the_cpu_has_the_cpu_and_is_not_loaded_here() -> None:
    program = (
        "import sys; from worker.inference.devices import find_device; "
        "print(find_device(None)); sys.exit('paddle' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=120, check=True
    )
    assert done.stdout.decode().split() == [str(CPU)]


@pytest.mark.parametrize(
    ("paddle", "message"),
    [
        ("raise ImportError('libgomp.so.1: cannot open')", "PaddlePaddle cannot be loaded"),
        ("import os; os._exit(9)", "crashed while it loaded .exit status 9"),
    ],
)
def test_a_paddle_that_does_not_load_is_an_error_that_says_so(
    paddle: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paddle.py").write_text(paddle)
    monkeypatch.setattr("worker.inference.devices.is_cpu_build", lambda: False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UnfitSystemError, match=message):
        find_device(None)


def test_the_probe_finds_what_the_table_of_versions_says() -> None:
    assert is_cpu_build(), "the tests run with a build for CPUs"
    done = subprocess.run(
        module_command("worker.predictor.device_probe", ""),
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.decode().split()[-1] == str(CPU)


def test_a_device_that_is_named_is_found_or_refused() -> None:
    assert find_device(CPU) == CPU
    with pytest.raises(ModelError, match="gpu:0: the installed paddlepaddle has no CUDA"):
        find_device(Device.parse("gpu:0,1"))


def test_gpus_that_no_driver_knows_are_named_by_their_places() -> None:
    assert gpu_names(Device.parse("gpu:98,99")) == "gpu:98,99"
