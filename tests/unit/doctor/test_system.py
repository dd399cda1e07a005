"""What doctor says of Python, the processor and the cache."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from pathlib import Path

import pytest

from worker.doctor import system
from worker.doctor.findings import Status


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


def test_backends_are_named() -> None:
    (found,) = system.look_at_backends()
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
    (found,) = system.look_at_backends()
    assert found.status is Status.OK
    assert re.search(says, found.remedy)
