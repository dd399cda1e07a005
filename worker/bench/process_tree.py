"""CPU time and memory of a worker and all processes below it, from Linux's `/proc`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.runtime.process_usage import process_usage

__all__ = ["EVENT_LOOP", "OTHER_THREADS", "Tree", "look", "spent"]

PROC = Path("/proc")

EVENT_LOOP = "event loop"
"""The main thread of the process that was asked for."""

OTHER_THREADS = "other threads"
"""The other threads of that process."""

OTHER_PROCESSES = "other processes"

_KINDS = {
    "worker.predictor.process": "predictors",
    "worker.images.forks": "image processes",
    # The same work without what the worker has around it.
    "worker.bench.bare_process": "predictors",
    "worker.bench.codec_process": "image processes",
}
"""What a process is, by the module that it runs."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A process and all below it, at one moment.

    Attributes:
        cpu: seconds since its start, by process (and thread, of the process that was asked for)
            and what that is.
        memory: bytes of all processes; what several share counts once.
    """

    cpu: Mapping[tuple[int, str], float]
    memory: int


def look(root: int) -> Tree:
    """Read what a process and all below it have used.

    Returns:
        The tree; processes that end meanwhile are left out.

    Raises:
        OSError: there is no such process, or the system is not Linux.
    """
    main = _cpu(PROC / str(root) / "task" / str(root) / "stat")
    cpu = {
        (root, EVENT_LOOP): main,
        (root, OTHER_THREADS): max(0.0, _cpu(PROC / str(root) / "stat") - main),
    }
    below = _below(root)
    for pid in below:
        cpu[pid, _kind(pid)] = process_usage(pid).cpu_seconds
    return Tree(cpu, sum(map(_memory, (root, *below))))


def spent(before: Tree, after: Tree) -> dict[str, float]:
    """Tell what was used between two moments.

    Returns:
        Seconds of CPU time by kind of process or thread; a process that began meanwhile counts from
        its start, and one that ended is left out.
    """
    seconds: dict[str, float] = defaultdict(float)
    for key, used in after.cpu.items():
        seconds[key[1]] += max(0.0, used - before.cpu.get(key, 0.0))
    return dict(seconds)


def _below(root: int) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_fields(entry / "stat")[1])
            except OSError:
                continue
            children[parent].append(int(entry.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        waiting = [child for pid in waiting for child in children[pid]]
        found += waiting
    return found


def _kind(pid: int) -> str:
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return OTHER_PROCESSES
    return next((kind for module, kind in _KINDS.items() if module in command), OTHER_PROCESSES)


def _memory(pid: int) -> int:
    """Bytes that a process has alone, and its share of what it has with others."""
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text("ascii", "replace")
        (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return process_usage(pid).resident_bytes


def _cpu(stat: Path) -> float:
    fields = _fields(stat)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _fields(stat: Path) -> list[str]:
    """What follows the program's name: proc_pid_stat(5) counts the first of these as the third."""
    return stat.read_text("ascii", "replace").rpartition(")")[2].split()
