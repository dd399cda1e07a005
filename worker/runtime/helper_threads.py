"""Keeps the threads that help another one off the core that it runs on.

Linux wakes a thread on the core of the one that wakes it unless it knows of an idle one. In a
virtual machine a core that has been idle for a moment does not count as idle, since the host has
taken it back (`vcpu_is_preempted`). All threads of a computation then take turns on one core, and
the others stay idle for as long as it lasts.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

__all__ = ["HelperThreads", "current_core", "thread_ids"]

_TASKS = Path("/proc/self/task")

_NONE = -1


def thread_ids() -> frozenset[int]:
    """List the threads of this process.

    Returns:
        Their ids; none where the system does not tell.
    """
    try:
        return frozenset(int(path.name) for path in _TASKS.iterdir())
    except OSError:
        return frozenset()


def current_core() -> int:
    """Find the core that the calling thread runs on at this moment.

    Returns:
        Its number; -1 where the system does not tell.
    """
    return _NONE if _getcpu is None else _getcpu()


class HelperThreads:
    """Threads that work for one thread whenever it has work for them.

    Args:
        threads: their ids.
        core: tells the core of the calling thread.
    """

    def __init__(self, threads: Collection[int], core: Callable[[], int] = current_core) -> None:
        self._threads = frozenset(threads)
        self._core = core
        self._left = _NONE

    def leave_core(self) -> None:
        """Have them run anywhere but on the caller's core; to be called before they get work.

        Nothing changes where there is no other core, or where the system does not allow it.
        """
        if not self._threads or (core := self._core()) in (_NONE, self._left):
            return
        self._left = core
        others = os.sched_getaffinity(0) - {core}
        # Those that are still there: an id may be that of another program's thread by now.
        for thread in self._threads & thread_ids() if others else ():
            with suppress(OSError):
                os.sched_setaffinity(thread, others)


def _find_getcpu() -> Callable[[], int] | None:
    """The C library's function; None on systems that cannot place threads."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


_getcpu = _find_getcpu()
