"""Runs work on large values in a thread, so that the event loop is not blocked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from worker.budget import Reservation

__all__ = ["Offload"]

LARGE = 1 << 20
"""Size of a value, in bytes, from which a thread is worth its cost."""

T = TypeVar("T")


class Offload:
    """A thread for one event loop, which works on one value at a time: that bounds the memory.

    The event loop's own threads are not used: all of them may be waiting for a name server.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "offload")
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
