"""How much memory is free, told from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.runtime.memory import FreeMemory, free_memory, own_bytes

MIB = 1 << 20


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1000 MiB to spare, and no control groups."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(
        f"MemTotal: {4000 << 10} kB\nMemAvailable: {1000 << 10} kB\n", "ascii"
    )
    monkeypatch.setattr("worker.runtime.memory.PROC", tmp_path / "proc")
    monkeypatch.setattr("worker.runtime.cgroups.CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("worker.runtime.cgroups.MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def group(path: Path, **files: str) -> None:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text, "ascii")


def test_without_a_limit_it_is_what_the_machine_has(system: Path) -> None:
    assert free_memory() == FreeMemory(1000 * MIB)


def test_a_containers_limit_counts_and_what_the_kernel_gives_back_is_free(system: Path) -> None:
    group(
        system / "cgroup",
        memory__max=f"{512 * MIB}\n",
        memory__current=f"{400 * MIB}\n",
        memory__stat=f"anon 1\ninactive_file {100 * MIB}\n",
    )
    assert free_memory() == FreeMemory(212 * MIB, 512 * MIB)


def test_the_tightest_group_counts(system: Path) -> None:
    (system / "membership").write_text("0::/outer/inner\n", "ascii")
    stat = "inactive_file 0\n"
    group(
        system / "cgroup" / "outer",
        memory__max=f"{300 * MIB}",
        memory__current=f"{290 * MIB}",
        memory__stat=stat,
    )
    group(
        system / "cgroup" / "outer" / "inner",
        memory__max="max",
        memory__current=f"{MIB}",
        memory__stat=stat,
    )
    assert free_memory() == FreeMemory(10 * MIB, 300 * MIB)


def test_version_1_says_the_same_with_other_words(system: Path) -> None:
    (system / "membership").write_text("7:memory:/job\n", "ascii")
    group(
        system / "cgroup" / "memory" / "job",
        memory__limit_in_bytes=f"{200 * MIB}",
        memory__usage_in_bytes=f"{250 * MIB}",
        memory__stat=f"total_inactive_file {20 * MIB}\n",
    )
    assert free_memory() == FreeMemory(0, 200 * MIB)


def test_a_limit_beyond_all_memory_is_none(system: Path) -> None:
    group(
        system / "cgroup" / "memory",
        memory__limit_in_bytes="9223372036854771712",
        memory__usage_in_bytes="1",
        memory__stat="total_inactive_file 0\n",
    )
    assert free_memory() == FreeMemory(1000 * MIB)


def test_a_system_that_tells_nothing_is_not_guessed_at(system: Path) -> None:
    (system / "proc" / "meminfo").unlink()
    assert free_memory() is None


def test_what_a_process_has_for_itself() -> None:
    assert own_bytes(os.getpid()) > MIB


def test_files_and_what_is_shared_with_them_are_nobodys_own(system: Path) -> None:
    (system / "proc" / "7").mkdir()
    (system / "proc" / "7" / "status").write_text(
        "Name:\ta b\nRssAnon:\t 100 kB\nRssFile:\t 900 kB\nRssShmem:\t 20 kB\n", "ascii"
    )
    assert own_bytes(7) == 120 << 10
    assert own_bytes(8) == 0
