"""A process whose work takes long gives way, whatever its priority was."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from worker.runtime.priority import give_way

WAITS = [sys.executable, "-c", "input()"]


@pytest.mark.parametrize("more", [0, 5, 17])
def test_a_process_gives_way_to_its_like(more: int) -> None:
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + more)
        before = os.getpriority(os.PRIO_PROCESS, process.pid)
        give_way(process.pid)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(before + 10, 19)
        process.kill()


def test_a_process_that_is_gone_is_an_error() -> None:
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as process:
        process.kill()
    with pytest.raises(ProcessLookupError):
        give_way(process.pid)
