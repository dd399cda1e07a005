"""What processes use, read from a `/proc` of the test's own and from the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.runtime import process_usage as module
from worker.runtime.process_usage import ProcessUsage, process_usage


def test_fields_are_counted_from_the_end_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = ["S", *map(str, range(4, 14)), "300", "150", *map(str, range(16, 24)), "2000", "25"]
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_text(f"42 (a) b (c)) {' '.join(fields)}", "ascii")
    monkeypatch.setattr(module, "PROC", tmp_path)
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGESIZE")
    assert process_usage(42) == ProcessUsage(450 / ticks, 2000 * page)


def test_no_process_uses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROC", tmp_path)
    assert process_usage(None) == process_usage(42) == ProcessUsage(0.0, 0)


def test_this_process_uses_something() -> None:
    found = process_usage(os.getpid())
    assert found.cpu_seconds > 0
    assert found.resident_bytes > 1 << 20
