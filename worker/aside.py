"""Runs work on large values in a thread, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from worker.budget import Reservation

__all__ = ["Aside"]

LARGE = 1 << 20
"""Size of a value, in bytes, from which a thread is worth its cost."""

T = TypeVar("T")


class Aside:
    """One thread for one event loop. It makes one value at a time, which bounds the memory.

    The event loop's own threads are not used: all of them may be waiting for a name server.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "aside")
        self._turn = asyncio.Lock()

    async def run(self, call: Callable[[], T], nbytes: int, held: Reservation) -> T:
        """Call a function that works on a value of `nbytes` bytes; at once if the value is small.

        Args:
            held: accounts for as many bytes again while `call` runs in the thread.

        Returns:
            What `call` returns.
        """
        if nbytes < LARGE:
            return call()
        async with self._turn:
            held.add(nbytes)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, call)
            finally:
                held.add(-nbytes)
