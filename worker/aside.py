"""Work on large values, beside the event loop: probes and other jobs do not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from worker.budget import Reservation

__all__ = ["Aside"]

LARGE = 1 << 20
"""Bytes from which a value is worth a change of threads."""

T = TypeVar("T")


class Aside:
    """One thread, for one event loop: of large values only one is worked on at a time.

    Not the event loop's own threads, which may all wait for a name server.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "aside")
        self._turn = asyncio.Lock()

    async def run(self, call: Callable[[], T], nbytes: int, held: Reservation) -> T:
        """Call `call` for a value of `nbytes`: here and now if that is little, else in the thread.

        Args:
            held: accounts for as many bytes again while `call` makes them.

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
