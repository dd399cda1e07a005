"""The figures of `/proc` about cores and about processes are of one kind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from worker.runtime.other_load import CpuTimes, read_cpu_times

BOUND = 60.0
ENOUGH = 50
"""Clock ticks; half a second of processor time."""

BUSY = "print('busy', flush=True)\nwhile True:\n    pass"


@pytest.fixture
def busy() -> Iterator[list[int]]:
    """Two processes that never wait."""
    command = [sys.executable, "-c", BUSY]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "busy\n"
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def times(pids: list[int]) -> CpuTimes:
    found = read_cpu_times(pids)
    assert found is not None
    return found


def test_what_processes_use_is_what_their_cores_did(busy: list[int]) -> None:
    before = after = times(busy)
    end = time.monotonic() + BOUND
    while after.own - before.own < ENOUGH:
        assert time.monotonic() < end
        after = times(busy)
    worked = (after.total - after.idle) - (before.total - before.idle)
    # Other programs may have worked too, and ticks are counted coarsely.
    assert worked > 0.7 * (after.own - before.own)
    assert after.cores >= 1
