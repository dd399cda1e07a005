"""What another process of this machine uses, from Linux's `/proc`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessUsage", "process_usage"]

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a process uses.

    Attributes:
        cpu_seconds: user and system time since its start.
        resident_bytes: memory that it has now, shared memory included.
    """

    cpu_seconds: float = 0.0
    resident_bytes: int = 0


def process_usage(pid: int | None) -> ProcessUsage:
    """Read what a process uses.

    Returns:
        Zeros if there is no such process, or it cannot be read.
    """
    if pid is None:
        return ProcessUsage()
    try:
        stat = (PROC / str(pid) / "stat").read_text("ascii", "replace")
    except OSError:
        return ProcessUsage()
    # What follows the program's name, which may have blanks and brackets: proc_pid_stat(5) counts
    # the state, the first of these fields, as the third.
    fields = stat.rpartition(")")[2].split()
    user, system, pages = int(fields[11]), int(fields[12]), int(fields[21])
    return ProcessUsage(
        (user + system) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGESIZE")
    )
