"""Work on large values, beside the event loop: probes and other jobs do not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Aside"]

LARGE = 1 << 20
"""Bytes from which a value is worth a change of threads."""

T = TypeVar("T")


class Aside:
    """One thread: what reading makes beside the value itself is there but once at a time.

    Not the event loop's own threads, which may all wait for a name server.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "aside")

    async def run(self, call: Callable[[], T], nbytes: int) -> T:
        """What `call` returns for a value of `nbytes`; called here and now if that is little."""
        if nbytes < LARGE:
            return call()
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
