"""Runs a call for each of many sources: a bounded number at a time, and of bounded bytes."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from typing import Any, TypeVar

from worker.budget import Budget, Reservation

__all__ = ["MAX_BYTES", "MAX_JOBS", "Hold", "run_each"]

MAX_JOBS = 256
"""Most jobs under way: more would only wait, here and at the worker."""

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of images and results held at which no more are begun."""

T = TypeVar("T")
R = TypeVar("R")


class Hold:
    """How many bytes one job holds.

    A job of which only the result is missing counts with the largest result of its run so far:
    results that come while the caller is busy find their bytes accounted for.

    Args:
        reservation: the job's share of the run's budget; None if nothing bounds the job.
        seen: results of the same run.
    """

    def __init__(self, reservation: Reservation | None = None, seen: _Seen | None = None) -> None:
        self._reservation = reservation
        self._seen = seen or _Seen()
        self._bytes = 0

    def set(self, nbytes: int) -> None:
        """The job holds so many bytes now."""
        if self._reservation is not None:
            self._reservation.add(nbytes - self._bytes)
        self._bytes = nbytes

    def await_result(self) -> None:
        """The job holds nothing but what its result will bring."""
        self.set(self._seen.largest)

    def set_result(self, nbytes: int) -> None:
        """The job has its result, of so many bytes."""
        self._seen.largest = max(self._seen.largest, nbytes)
        self.set(nbytes)

    def release(self) -> None:
        """The caller has the result."""
        if self._reservation is not None:
            self._reservation.release()


class _Seen:
    """Bytes of the largest result of a run."""

    largest = 0


async def run_each(
    sources: Iterable[T] | AsyncIterable[T],
    call: Callable[[int, T, Hold], Coroutine[Any, Any, R]],
    max_jobs: int,
    max_bytes: int,
) -> AsyncGenerator[R]:
    """Make calls, and give back what they return as they end.

    Args:
        sources: nothing is taken from them for which there is no room.
        call: called with each source, its number from 0 up, and what it tells how many bytes it
            holds. What it raises ends the run.
        max_jobs: most sources that were taken and whose results the caller has not taken.
        max_bytes: bytes that these hold at which no more are taken; those that are begun may go
            beyond.

    Yields:
        What the calls return, in the order in which they end.

    Raises:
        Exception: what a call raises, at once; or what `sources` raises, after the results of those
            before.
    """
    budget, seen = Budget(max_jobs, max_bytes), _Seen()
    # None when there are no more sources.
    ended: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()
    holds: dict[asyncio.Task[R], Hold] = {}

    async def begin_all() -> None:
        remaining = _iterate(sources)
        number = 0
        while True:
            while not budget.free_jobs:
                await budget.wait_freed()
            try:
                source = await anext(remaining)
            except StopAsyncIteration:
                return
            hold = Hold(budget.reserve(0), seen)
            task = asyncio.create_task(call(number, source, hold))
            holds[task] = hold
            task.add_done_callback(ended.put_nowait)
            number += 1
            # So that this one says how many bytes it holds before the next is taken.
            await asyncio.sleep(0)

    beginning = asyncio.create_task(begin_all(), name="begin")
    beginning.add_done_callback(lambda _: ended.put_nowait(None))
    failure: BaseException | None = None
    more = True
    try:
        while more or holds:
            done = await ended.get()
            if done is None:
                more, failure = False, beginning.exception()
                continue
            hold = holds.pop(done)
            result = done.result()
            yield result
            hold.release()
        if failure is not None:
            raise failure
    finally:
        under_way = (beginning, *holds)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _iterate(sources: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(sources, AsyncIterable):
        async for source in sources:
            yield source
    else:
        for source in sources:
            yield source
