"""What doctor says of Python, the processor and the cache."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from worker.device import CPU, Device
from worker.doctor import system
from worker.doctor.findings import Status
from worker.kernels import Kernels, Precision
from worker.settings import BackendChoice


def test_this_interpreter_is_one_that_is_tested() -> None:
    (found,) = system.look_at_python()
    assert found.status is Status.OK
    assert platform.python_version() in found.found


@pytest.mark.parametrize(
    ("flags", "status", "remedy"),
    [
        ("fpu sse2 avx avx2 avx512f", Status.OK, ""),
        ("fpu sse2 avx", Status.WARN, "AVX2"),
        ("fpu sse2", Status.FAIL, "AVX"),
    ],
)
def test_the_processors_features_decide(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: str,
    status: Status,
    remedy: str,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: Made up\nflags\t\t: {flags}\n\nprocessor : 1\n", "utf-8")
    (found,) = system.look_at_processor(cpuinfo)
    assert found.status is status
    assert found.found.startswith("Made up, ")
    assert remedy in found.remedy


def test_a_processor_that_says_nothing_is_no_fault(tmp_path: Path) -> None:
    (found,) = system.look_at_processor(tmp_path / "missing")
    assert found.status is Status.OK


def test_the_cache_is_not_made_by_looking(tmp_path: Path) -> None:
    (found,) = system.look_at_cache(tmp_path / "new" / "cache")
    assert found.found.startswith(f"{tmp_path / 'new' / 'cache'}, ")
    assert not (tmp_path / "new").exists()


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    (found,) = system.look_at_cache(tmp_path / "file" / "cache")
    assert found.status is Status.WARN
    assert "CLASSIFY_WORKER_CACHE" in found.remedy


@pytest.mark.parametrize("choice", ["auto", "paddle"])
def test_backends_are_named(choice: BackendChoice) -> None:
    (found,) = system.look_at_backends(choice, CPU)
    assert found.status is Status.OK
    assert found.found.startswith("paddle")


@pytest.mark.parametrize(
    ("version", "says"),
    [((3, 12), r"pip install '\.\[hpip\]'"), ((3, 13), "use Python 3.11 or 3.12")],
)
def test_other_backends_are_recommended_where_they_can_be_installed(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], says: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "version_info", version)
    (found,) = system.look_at_backends("auto", CPU)
    assert found.status is Status.OK
    assert re.search(says, found.remedy)


def test_a_backend_that_is_set_and_missing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    (found,) = system.look_at_backends("openvino", CPU)
    assert found.status is Status.FAIL
    assert "predictor.backend: openvino needs openvino" in found.remedy


def test_a_backend_that_does_not_go_with_the_device_is_a_failure() -> None:
    (found,) = system.look_at_backends("onnxruntime", Device.parse("gpu:0"))
    assert found.status is Status.FAIL
    assert "set predictor.backend to auto or paddle, or device to cpu" in found.remedy


NO_CUDA = "gpu:0: the installed paddlepaddle has no CUDA: install paddlepaddle-gpu, or use cpu"


@pytest.mark.parametrize(
    ("choice", "precision", "cpu_build", "onnxruntime", "failing"),
    [
        ("auto", "fp32", True, True, []),
        ("auto", "fp32", False, True, []),
        ("onnxruntime", "fp32", True, True, []),
        ("paddle", "fp32", True, True, ["Devices"]),
        ("auto", "fp32", False, False, ["Devices"]),
        ("auto", "bf16", False, True, ["Devices"]),
        ("auto", "fp32", True, False, ["Backends"]),
    ],
)
def test_a_gpu_that_paddle_cannot_use_is_a_failure_unless_another_library_may(
    monkeypatch: pytest.MonkeyPatch,
    choice: BackendChoice,
    precision: Precision,
    cpu_build: bool,
    onnxruntime: bool,
    failing: list[str],
) -> None:
    module = "worker.inference.choice"
    monkeypatch.setattr(f"{module}.is_cpu_build", lambda: cpu_build)
    monkeypatch.setattr(f"{module}.missing_packages", lambda _: ())
    monkeypatch.setattr(f"{module}.has_gpu_provider", lambda _: onnxruntime)
    report = {
        "paddle": "paddlepaddle 3.3.1",
        "devices": {},
        "device_error": NO_CUDA,
        "gpus": {"gpu:0": "NVIDIA L4"},
        "codecs": "OpenCV",
    }
    done = subprocess.CompletedProcess([], 0, json.dumps(report).encode(), b"")
    monkeypatch.setattr("worker.doctor.system.subprocess.run", lambda *_, **__: done)
    gpu, kernels = Device("gpu", (0,)), Kernels(precision)
    found = [
        *system.look_at_libraries(gpu, 1.0, choice, kernels),
        *system.look_at_backends(choice, gpu, kernels),
    ]
    assert [each.subject for each in found if each.status is not Status.OK] == failing
    if failing == ["Backends"]:
        assert "install paddlepaddle-gpu, or onnxruntime-gpu" in found[-1].remedy
