from __future__ import annotations

import contextlib
import subprocess
import sys

import psutil

# Starts a child under guard, says who it is, and waits to be killed.
PARENT = """
import subprocess, sys
from demo.orphans import OrphanGuard
guard = OrphanGuard()
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
guard.watch(child.pid)
print(child.pid, guard.pid, flush=True)
input()
"""


def test_a_child_dies_with_a_parent_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child, guard = (psutil.Process(int(pid)) for pid in parent.stdout.readline().split())
        parent.kill()

    try:
        child.wait(10)
        guard.wait(10)
    finally:
        for process in (child, guard):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
