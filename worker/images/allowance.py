"""The time that one fetch may take; what it waits for its turn is not counted."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Allowance"]


class Allowance:
    """Bounds the attempts of one fetch, and each of them; for the running event loop.

    Args:
        total: seconds for all attempts, with the pauses between them.
        attempt: seconds for one attempt.
        expiry: loop time after which the image is of no use, waited for or not; None means never.
    """

    def __init__(self, total: float, attempt: float, expiry: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._attempt = attempt
        self._expiry = expiry
        self._end = self._loop.time() + total
        self._attempt_end = self._end

    @property
    def expired(self) -> bool:
        """Whether the image is of no use any more."""
        return self._expiry is not None and self._loop.time() >= self._expiry

    @property
    def left(self) -> float:
        """Seconds for further attempts, pauses included."""
        return self._until(self._end) - self._loop.time()

    def begin_attempt(self) -> None:
        """From now on time counts for another attempt."""
        self._attempt_end = self._loop.time() + self._attempt

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Let a block wait: its time is added to the attempt's and to the whole allowance.

        Returns:
            A context manager; TimeoutError ends the block at `expiry`.
        """
        began = self._loop.time()
        try:
            async with asyncio.timeout_at(self._expiry):
                yield
        finally:
            waited = self._loop.time() - began
            self._end += waited
            self._attempt_end += waited

    @property
    def attempt_end(self) -> float:
        """Loop time at which the attempt must have ended, unless it waits again."""
        return self._until(min(self._attempt_end, self._end))

    def running(self) -> asyncio.Timeout:
        """Limit a block to the time that is left for the attempt.

        Returns:
            A context manager; TimeoutError ends the block.
        """
        return asyncio.timeout_at(self.attempt_end)

    def _until(self, end: float) -> float:
        return end if self._expiry is None else min(end, self._expiry)
