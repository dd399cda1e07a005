"""How much memory more processes may take: on this machine, and in this container."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from worker.runtime.cgroups import control_groups
from worker.runtime.process_usage import PROC

__all__ = ["FreeMemory", "free_memory", "own_bytes"]

UNLIMITED = 1 << 60
"""Bytes from which on a group's limit is none: version 1 has no other word for it."""


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Memory that may still be taken.

    Attributes:
        nbytes: how much.
        limit: of the container, in bytes; None if it is the machine that has no more.
    """

    nbytes: int
    limit: int | None = None


def free_memory() -> FreeMemory | None:
    """Read how much memory may still be taken before the kernel ends processes.

    What the kernel can give back at once, such as files that it keeps in memory, counts as free.

    Returns:
        The tightest of the machine's and the control groups'; None where nothing tells it.
    """
    found = [free for group in _groups() if (free := _free_in(group)) is not None]
    with suppress(OSError, ValueError, LookupError):
        fields = _fields((PROC / "meminfo").read_text("ascii"))
        found.append(FreeMemory(fields["MemAvailable:"] << 10))
    return min(found, key=lambda free: free.nbytes, default=None)


def own_bytes(pid: int) -> int:
    """Read how much memory a process has for itself: neither files nor what it shares with them.

    Returns:
        Bytes; 0 if there is no such process, or it cannot be read.
    """
    try:
        fields = _fields((PROC / str(pid) / "status").read_text("utf-8", "replace"))
        return (fields["RssAnon:"] + fields.get("RssShmem:", 0)) << 10
    except (OSError, ValueError, LookupError):
        return 0


def _groups() -> set[Path]:
    return set(control_groups("memory", "memory"))


def _free_in(group: Path) -> FreeMemory | None:
    """What a group may still take, or None without a limit of its own."""
    for limit_name, used_name, reclaimable in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):
            # Version 2 says "max" where there is no limit, which is no number.
            limit = int((group / limit_name).read_text("ascii"))
            used = int((group / used_name).read_text("ascii"))
            if limit >= UNLIMITED:
                return None
            given_back = _fields((group / "memory.stat").read_text("ascii")).get(reclaimable, 0)
            return FreeMemory(max(0, limit - used + given_back), limit)
    return None


def _fields(text: str) -> dict[str, int]:
    """The numbers of lines such as `MemAvailable:  1024 kB`."""
    words = (line.split() for line in text.splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}
