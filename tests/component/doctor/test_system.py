"""What doctor says of Python, the processor and the cache."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from worker.device import CPU, Device
from worker.doctor import system
from worker.doctor.findings import Status

BOUND = 120.0


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


def test_the_cache_is_not_made_by_looking(tmp_path: Path) -> None:
    (found,) = system.look_at_cache(tmp_path / "new" / "cache")
    assert found.found.startswith(f"{tmp_path / 'new' / 'cache'}, ")
    assert not (tmp_path / "new").exists()


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    (found,) = system.look_at_cache(tmp_path / "file" / "cache")
    assert found.status is Status.WARN
    assert "CLASSIFY_WORKER_CACHE" in found.remedy


def test_backends_are_named() -> None:
    (found,) = system.look_at_backends()
    assert found.status is Status.OK
    assert found.found.startswith("paddle")
