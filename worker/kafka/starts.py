"""Bounds how many producers start at a time: an assignment may have hundreds of partitions."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Starts"]

MOST = 16
"""Producers that start at a time."""

SLOW = 1.0
"""Seconds after which a start gives its place to others, whose coordinators may be quicker."""

TIMEOUT = 60.0
"""Seconds after which a start has failed. Longer than a broker takes to restart."""


class Startable(Protocol):
    """What takes a while to start."""

    async def start(self) -> None:
        """Start."""


class Starts:
    """Starts producers, a few at a time.

    Args:
        most: starts at a time.
        slow: seconds after which a start no longer counts.
        timeout: seconds after which it is given up.
    """

    def __init__(self, most: int = MOST, slow: float = SLOW, timeout: float = TIMEOUT) -> None:
        self._places = asyncio.Semaphore(most)
        self._slow = slow
        self._timeout = timeout

    async def start(self, producer: Startable) -> None:
        """Start a producer when it is its turn.

        Raises:
            TimeoutError: it did not start in time.
            Exception: it could not start.
        """
        async with asyncio.timeout(None) as limit:
            async with self._places:
                limit.reschedule(asyncio.get_running_loop().time() + self._timeout)
                starting = asyncio.create_task(producer.start())
                try:
                    await asyncio.wait([starting], timeout=self._slow)
                except asyncio.CancelledError:
                    starting.cancel()
                    raise
            await starting
