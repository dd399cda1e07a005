"""How much work the worker takes in at a time: one count of jobs and one of bytes.

Intake asks before it polls, so work is bounded before it is fetched. Bytes that are needed later (a
download, pixels when their decoding begins) are added without waiting. If a job waited for bytes
that only other waiting jobs could free, the worker would deadlock. So the limit can be exceeded by
what is already in flight, and no new job is taken in until enough is freed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Budget", "Reservation"]

CROWD, SHARE = 64, 4
"""Jobs in flight from which on each waits for others: so many, and this part of the most."""


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
    def crowded(self) -> bool:
        """Whether so many jobs are in flight that each waits much longer than it takes."""
        return self._jobs >= CROWD and SHARE * self._jobs >= self.max_jobs

    @property
    def free_jobs(self) -> int:
        """How many more jobs may be taken in now; 0 while the limit of bytes is reached."""
        if self._bytes >= self.max_bytes:
            return 0
        return max(0, self.max_jobs - self._jobs)

    @property
    def free_bytes(self) -> int:
        """Bytes that may still be taken in."""
        return max(0, self.max_bytes - self._bytes)

    def reserve(self, nbytes: int) -> Reservation:
        """Account for one job, at once: a record that is already polled must not be dropped.

        Args:
            nbytes: bytes that the job holds for now.

        Returns:
            The reservation; it counts until it is released.
        """
        self._jobs += 1
        return Reservation(self._add, self._release, nbytes)

    async def wait_freed(self) -> None:
        """Wait until a job or bytes are released."""
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
    """One job's share of a `Budget`, until `release`."""

    __slots__ = ("_add", "_held", "_release")

    def __init__(
        self, add: Callable[[int], None], release: Callable[[], None], nbytes: int
    ) -> None:
        self._add = add
        self._release = release
        # Invariant: None once released, so that nothing is released twice.
        self._held: int | None = 0
        self.add(nbytes)

    def add(self, nbytes: int) -> None:
        """Account for `nbytes` more (fewer if negative). Does nothing once released."""
        if self._held is not None:
            self._held += nbytes
            self._add(nbytes)

    def release(self) -> None:
        """Release the job and all its bytes. Further calls do nothing."""
        if self._held is not None:
            self._add(-self._held)
            self._held = None
            self._release()
