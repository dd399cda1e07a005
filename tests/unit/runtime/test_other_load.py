"""What other programs take of the cores, by the figures of `/proc`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from worker.runtime.other_load import CpuTimes, OtherLoad, read_cpu_times, taken_share

START = CpuTimes(cores=2, total=1000, idle=500, own=100)


def after(idle: int, own: int, total: int = 200, cores: int = 2) -> CpuTimes:
    return CpuTimes(cores, START.total + total, START.idle + idle, START.own + own)


@pytest.mark.parametrize(
    ("end", "needed", "share"),
    [
        (after(idle=0, own=200), 2, 0.0),  # two cores of one's own
        (after(idle=100, own=100), 2, 0.0),  # two own processes on one core, the other one idle
        (after(idle=0, own=100), 2, 0.5),  # another program on one core
        (after(idle=0, own=20), 2, 0.9),
        (after(idle=0, own=100), 1, 0.0),  # one core is needed, and another is another's
        (after(idle=0, own=80), 1, 0.2),
        (after(idle=100, own=100), 8, 0.0),  # more threads than cores
        (after(idle=0, own=210), 2, 0.0),  # ticks are counted coarsely
        (after(idle=0, own=0, total=0), 2, 0.0),  # no time has passed, or none is counted
    ],
)
def test_others_have_what_is_neither_idle_nor_own_nor_to_spare(
    end: CpuTimes, needed: int, share: float
) -> None:
    assert taken_share(START, end, needed) == pytest.approx(share)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("worker.runtime.other_load.PROC", tmp_path)
    return tmp_path


def put_process(proc: Path, pid: int, user: int, system: int) -> None:
    (proc / str(pid)).mkdir()
    rest = "S 1 1 1 0 -1 4194560 100 0 0 0"
    (proc / str(pid) / "stat").write_text(f"{pid} (a ) b) {rest} {user} {system} 0 0 20 0 1 0 5\n")


STAT = """cpu  60 0 30 300 30 0 0 6 0 0
cpu0 10 0 10 100 10 0 0 1 0 0
cpu1 20 0 10 100 10 0 0 2 9 9
cpu2 30 0 10 100 10 0 0 3 0 0
intr 1 2 3
"""


def test_time_is_read_of_the_cores_that_may_be_used_and_of_processes(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2}, raising=False)
    (proc / "stat").write_text(STAT)
    put_process(proc, 71, 40, 2)
    put_process(proc, 72, 7, 0)
    gone = 73
    assert read_cpu_times([71, 72, gone]) == CpuTimes(cores=2, total=295, idle=220, own=49)


def test_cores_that_go_by_other_numbers_are_all_ours(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3}, raising=False)
    (proc / "stat").write_text(STAT)
    assert read_cpu_times([]) == CpuTimes(cores=3, total=426, idle=330, own=0)


@pytest.mark.parametrize("stat", [None, "", "cpu 1 2 3\n", "cpu0 a b\n", "\n"])
def test_a_system_that_does_not_tell_is_taken_for_quiet(proc: Path, stat: str | None) -> None:
    if stat is not None:
        (proc / "stat").write_text(stat)
    assert read_cpu_times([]) is None
    load = OtherLoad(2, list)
    load.begin()
    assert load.taken() == 0.0


def test_own_time_is_that_of_this_process_and_those_that_compute() -> None:
    asked: list[list[int]] = []
    times = iter((START, after(idle=0, own=150)))

    def read(pids: Iterable[int]) -> CpuTimes:
        asked.append(list(pids))
        return next(times)

    load = OtherLoad(2, lambda: [71, 72], read)
    load.begin()
    assert load.taken() == pytest.approx(0.25)
    assert asked == [[os.getpid(), 71, 72]] * 2


def test_without_a_beginning_nothing_is_known() -> None:
    assert OtherLoad(2, list).taken() == 0.0
