"""Keeps the threads that help another one off the core that it runs on.

Linux wakes a thread on the core of the one that wakes it unless it knows of an idle one. In a
virtual machine a core that has been idle for a moment does not count as idle, since the host has
taken it back (`vcpu_is_preempted`). All threads of a computation then take turns on one core, and
the others stay idle for as long as it lasts.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

__all__ = ["HelperThreads", "current_core", "is_here", "other_threads"]

AT_ONCE = 8
"""Threads that are looked at in one call, at most, so that many cores cost an image no more than
some 50 us when its thread has moved, which it seldom does: the next calls look at the others."""

_TASKS = "/proc/self/task"

_NONE = -1


def other_threads() -> frozenset[int]:
    """List the threads of this process but the calling one.

    Returns:
        Their ids; none where the system does not tell.
    """
    try:
        here = frozenset(int(path.name) for path in Path(_TASKS).iterdir())
    except OSError:
        return frozenset()
    return here - {threading.get_native_id()}


def is_here(thread: int) -> bool:
    """Find out whether a thread is one of this process.

    Returns:
        Whether it is; not where the system does not tell.
    """
    return os.path.exists(f"{_TASKS}/{thread}")  # noqa: PTH110 - a path object takes as long again


def current_core() -> int:
    """Find the core that the calling thread runs on at this moment.

    Returns:
        Its number; -1 where the system does not tell.
    """
    return _NONE if _getcpu is None else _getcpu()


class HelperThreads:
    """Threads that work for one thread whenever it has work for them.

    They do not keep the cores that they are given here. OpenVINO gives a thread its own when it
    begins to work, and when it rests, which is a millisecond after the last work, those that it had
    when it began. So each call looks at what they have.

    Args:
        threads: their ids.
        core: tells the core of the calling thread.
        is_here: tells whether a thread is one of this process.
    """

    def __init__(
        self,
        threads: Collection[int],
        core: Callable[[], int] = current_core,
        is_here: Callable[[int], bool] = is_here,
    ) -> None:
        self._threads = sorted(threads)
        self._core = core
        self._is_here = is_here
        # By the core that is left: turns for two would each miss the same threads forever.
        self._next: dict[int, int] = {}
        self._placed = False

    def take(self, threads: Collection[int]) -> None:
        """Know of these threads from now on, in place of those before."""
        self._threads = sorted(threads)

    def leave_core(self) -> None:
        """Have them run anywhere but on the caller's core; to be called before they get work.

        Nothing changes where there is no other core, or where the system does not allow it.
        """
        if not self._threads or (core := self._core()) == _NONE:
            return
        if cores := os.sched_getaffinity(0) - {core}:
            self._placed = True
            self._place(core, cores)

    def run_anywhere(self) -> None:
        """Have them run wherever the caller may, if they were kept off a core before."""
        if self._placed:
            self._place(_NONE, os.sched_getaffinity(0))

    def _place(self, left: int, cores: set[int]) -> None:
        first = self._next.get(left, 0)
        turn = self._threads[first : first + AT_ONCE]
        self._next[left] = first + AT_ONCE if first + AT_ONCE < len(self._threads) else 0
        for thread in turn:
            # It may have ended, and its id be that of another program's thread by now.
            with suppress(OSError):
                if os.sched_getaffinity(thread) != cores and self._is_here(thread):
                    os.sched_setaffinity(thread, cores)


def _find_getcpu() -> Callable[[], int] | None:
    """The C library's function; None on systems that cannot place threads."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


_getcpu = _find_getcpu()
