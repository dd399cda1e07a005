"""How busy the processor is with other programs, as Linux counts its time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CpuTimes", "OtherLoad", "read_cpu_times", "taken_share"]

PROC = Path("/proc")

COUNTED = 8
"""Columns of `/proc/stat` that add up to all time, what a hypervisor stole included; later ones are
part of these (proc_stat(5))."""

IDLE = slice(3, 5)
"""The columns in which a core had nothing to do: idle, and waiting for I/O."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Processor time since the system's start, in clock ticks.

    Attributes:
        cores: that this process may run on.
        total: of these cores, idle or not.
        idle: in which they had nothing to do.
        own: of the processes that are asked for.
    """

    cores: int
    total: int
    idle: int
    own: int


class OtherLoad:
    """Measures which share of the cores that a computation needs is taken by other programs.

    It compares what the cores did with what the own processes used. The own processes' time alone
    would not tell: those that a library pins to one core wait for each other.

    Args:
        needed: cores that the computation keeps busy.
        pids: the processes that compute, this one besides.
        read: reads the times of processes; None where the system does not tell.
    """

    def __init__(
        self,
        needed: int,
        pids: Callable[[], Iterable[int]],
        read: Callable[[Iterable[int]], CpuTimes | None] | None = None,
    ) -> None:
        self._needed = needed
        self._pids = pids
        self._read = read or read_cpu_times
        self._began: CpuTimes | None = None

    def begin(self) -> None:
        """Begin to measure."""
        self._began = self._times()

    def taken(self) -> float:
        """Measure since `begin`.

        Returns:
            The share, 0 to 1; 0 where the system does not tell.
        """
        before, after = self._began, self._times()
        if before is None or after is None:
            return 0.0
        return taken_share(before, after, self._needed)

    def _times(self) -> CpuTimes | None:
        return self._read([os.getpid(), *self._pids()])


def taken_share(before: CpuTimes, after: CpuTimes, needed: int) -> float:
    """Compute which share of `needed` cores others took between two moments.

    Cores that are not needed are theirs: on 8 cores of which 2 are needed, others may keep 6 busy.

    Returns:
        The share, 0 to 1.
    """
    total = after.total - before.total
    if total <= 0:
        return 0.0
    idle, own = after.idle - before.idle, after.own - before.own
    wanted = total * min(1.0, needed / after.cores)
    others = total - idle - own
    return min(1.0, max(0.0, (others - (total - wanted)) / wanted))


def read_cpu_times(pids: Iterable[int]) -> CpuTimes | None:
    """Read the times of the cores that this process may run on, and of some processes.

    A process that has ended counts as 0.

    Returns:
        The times; None where the system does not tell.
    """
    try:
        lines = (PROC / "stat").read_text("ascii").splitlines()
        cores = {name: numbers for name, *numbers in map(str.split, lines) if name[:3] == "cpu"}
        rows = _ours(cores)
        counts = [[int(number) for number in row[:COUNTED]] for row in rows]
    except (OSError, ValueError):
        return None
    if not counts:
        return None
    return CpuTimes(
        cores=len(counts),
        total=sum(map(sum, counts)),
        idle=sum(sum(row[IDLE]) for row in counts),
        own=sum(map(_process_ticks, pids)),
    )


def _ours(cores: dict[str, list[str]]) -> list[list[str]]:
    """The rows of the cores in the affinity mask; all, where these go by other numbers.

    Containers may be shown their cores numbered from 0 (lxcfs).
    """
    numbers = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    ours = [row for number in numbers if (row := cores.get(f"cpu{number}")) is not None]
    if numbers and len(ours) == len(numbers):
        return ours
    return [row for name, row in cores.items() if name != "cpu"]


def _process_ticks(pid: int) -> int:
    """Time of all threads of a process: the 14th and 15th column of `/proc/PID/stat`."""
    try:
        # The second column is the program's name in brackets, and may hold any characters.
        after_name = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return int(after_name[11]) + int(after_name[12])
    except (OSError, ValueError, IndexError):
        return 0
