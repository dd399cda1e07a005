"""How a process gives way to others: for the processor, and when memory runs out."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["be_first_to_go", "come_second", "give_way", "run_when_idle"]

_SECOND = 5
"""How much nicer a process is that computes: its threads weigh a third of the event loop's."""

_BEHIND = 10
"""How much nicer a process is than its like if its work takes long."""

_LOWEST = 19
"""The priority that all systems have; Linux has one below it."""


def come_second() -> None:
    """Have this process, and the threads that it starts from now on, wait for the event loop.

    What computes has work for as long as there is any, and takes whole slices of time. An event
    loop that has just worked would wait for all of theirs until it may go on: tens of milliseconds,
    in which no other process is given work either.
    """
    if sys.platform != "win32":
        with suppress(OSError):
            os.nice(_SECOND)


def give_way(pid: int) -> None:
    """Have another process of one thread wait for its like.

    Raises:
        OSError: there is none, or the system does not allow it.
    """
    # From where it is: the worker may have been started with a low priority itself.
    os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + _BEHIND)


def run_when_idle() -> None:
    """Have this process, and the threads that it starts from now on, take only what is left over.

    On Linux that is time in which no other thread wants the core (`SCHED_IDLE`).
    """
    # Both, since a container's profile may forbid either.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _LOWEST)
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def be_first_to_go() -> None:
    """Have the kernel end this process, when memory runs out, before those that matter more."""
    # Absent on other systems, and read-only in some containers.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
