"""Children that must not outlive this process, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys

from worker.runtime.child_environment import child_environment

__all__ = ["OrphanGuard"]

# Reads one process id, then waits for the end of its input, which comes when the process that holds
# the other end of the pipe closes it or dies.
_SCRIPT = """
import os, signal, sys
child = sys.stdin.readline()
sys.stdin.read()
if child:
    try:
        os.kill(int(child), getattr(signal, "SIGKILL", signal.SIGTERM))
    except OSError:
        pass
"""


class OrphanGuard:
    """Kills a child process when this process is gone, even by SIGKILL.

    A tiny process waits for the end of a pipe that only this process holds open. The kernel's
    parent-death signal would not do: Linux alone has it, and it fires when the *thread* that
    started the child ends.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guard's own process id."""
        return self._process.pid

    def watch(self, pid: int) -> None:
        """Name the child, once."""
        os.write(self._pipe(), b"%d\n" % pid)

    def close(self) -> None:
        """End the guard without harm to the child; call it when the child is gone."""
        self._process.kill()
        self._process.wait(10)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _pipe(self) -> int:
        if self._process.stdin is None:
            raise RuntimeError("the guard was started without a pipe")
        return self._process.stdin.fileno()
