"""How much work may be in the worker at a time: one count of jobs and one of bytes.

Intake asks before it polls, so work is bounded before it is fetched. Bytes that grow later (a
download, pixels as soon as their decoding begins) are added without waiting: a job that waited for bytes which only other
waiting jobs could free would deadlock the worker. They overshoot by what is already in flight, and
no new job is taken in until they are freed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Budget", "Reservation"]


class Budget:
    """Jobs and bytes in flight against their limits; for one event loop.

    Args:
        max_jobs: most jobs in flight.
        max_bytes: bytes held at which no more jobs are taken in.
    """

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self.max_jobs = max_jobs
        self.max_bytes = max_bytes
        self._jobs = 0
        self._bytes = 0
        self._freed = asyncio.Event()

    @property
    def jobs(self) -> int:
        """Jobs in flight."""
        return self._jobs

    @property
    def bytes(self) -> int:
        """Bytes held by jobs in flight."""
        return self._bytes

    @property
    def free_jobs(self) -> int:
        """How many more jobs may be taken in now; 0 while the bytes are used up."""
        if self._bytes >= self.max_bytes:
            return 0
        return max(0, self.max_jobs - self._jobs)

    def reserve(self, nbytes: int) -> Reservation:
        """Account for one job; never waits, so that what is already polled is never dropped."""
        self._jobs += 1
        return Reservation(self._add, self._release, nbytes)

    async def wait_freed(self) -> None:
        """Wait until something is given back."""
        self._freed.clear()
        await self._freed.wait()

    def _add(self, nbytes: int) -> None:
        self._bytes += nbytes
        if nbytes < 0:
            self._freed.set()

    def _release(self) -> None:
        self._jobs -= 1
        self._freed.set()


class Reservation:
    """One job's share of a `Budget`; `release` gives all of it back, once."""

    __slots__ = ("_add", "_held", "_release")

    def __init__(
        self, add: Callable[[int], None], release: Callable[[], None], nbytes: int
    ) -> None:
        self._add = add
        self._release = release
        # Invariant: None once released, so that nothing is given back twice.
        self._held: int | None = 0
        self.add(nbytes)

    def add(self, nbytes: int) -> None:
        """Account for `nbytes` more (or fewer, if negative); nothing once released."""
        if self._held is not None:
            self._held += nbytes
            self._add(nbytes)

    def release(self) -> None:
        """Give everything back; further calls do nothing."""
        if self._held is not None:
            self._add(-self._held)
            self._held = None
            self._release()
