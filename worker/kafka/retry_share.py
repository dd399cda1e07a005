"""How much of a worker the retries may take: jobs that come for the first time go before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from worker.budget import Budget

__all__ = ["RetryShare"]

SHARE = 4
"""Retries take this part of the budget of jobs and bytes at most: a quarter. They are likely to
fail again, and slowly: if a large host is down, retries of its images would fill the worker."""


class RetryShare:
    """The retries in flight against their part of the budget; for one event loop."""

    def __init__(self, budget: Budget) -> None:
        self._max_jobs = max(1, budget.max_jobs // SHARE)
        self._max_bytes = budget.max_bytes // SHARE
        self._jobs = 0
        self._bytes = 0

    @property
    def free_jobs(self) -> int:
        """How many more retries may be taken in now.

        None after half of the share is taken: a poll returns no more records than the fullest of
        its partitions has room for, and those of jobs should not become smaller and smaller.
        """
        if self._jobs > self._max_jobs // 2 or (self._jobs and self._bytes >= self._max_bytes):
            return 0
        return self._max_jobs - self._jobs

    def take(self, nbytes: int, task: asyncio.Task[None]) -> None:
        """Account for a retry until its task ends.

        Args:
            nbytes: size of its record.
        """
        self._jobs += 1
        self._bytes += nbytes

        def ended(_: asyncio.Task[None]) -> None:
            self._jobs -= 1
            self._bytes -= nbytes

        task.add_done_callback(ended)
