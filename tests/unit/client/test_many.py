"""How many sources are under way, by number and by bytes, and what ends a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from tests.support.job_transport import turns
from worker.client.many import Hold, run_each


class Calls:
    """Calls that end when they are told to.

    Args:
        nbytes: that each holds from its beginning on.
        waits: whether a call has sent what it holds, and awaits its result alone.
    """

    def __init__(self, nbytes: int = 0, *, waits: bool = False) -> None:
        self._nbytes = nbytes
        self._waits = waits
        self.under_way: dict[int, asyncio.Future[int]] = {}
        self.cancelled: list[int] = []

    async def __call__(self, number: int, source: int, hold: Hold) -> int:
        assert number == source
        hold.set(self._nbytes)
        if self._waits:
            hold.await_result()
        self.under_way[number] = asyncio.get_running_loop().create_future()
        try:
            nbytes = await self.under_way[number]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            del self.under_way[number]
        hold.set_result(nbytes)
        return number

    def end(self, number: int, nbytes: int = 0) -> None:
        """End a call with a result of so many bytes."""
        self.under_way[number].set_result(nbytes)


class Sources:
    """Numbers from 0 up; `taken` counts those that were taken."""

    def __init__(self, count: int = 1000) -> None:
        self._count = count
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for number in range(self._count):
            self.taken += 1
            yield number


async def test_no_more_are_taken_than_may_be_under_way() -> None:
    calls, sources = Calls(), Sources()
    async with aclosing(run_each(sources, calls, max_jobs=3, max_bytes=100)) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        await turns()
        assert (sources.taken, list(calls.under_way)) == (3, [0, 1, 2])
        for number in (1, 0, 2):
            calls.end(number)
            await turns()
        # Results that the caller has not taken count as well: nothing more was begun.
        assert (await first, sources.taken) == (1, 3)
        assert await anext(outcomes) == 0
        await turns()
        assert (sources.taken, list(calls.under_way)) == (4, [3])


async def test_no_more_are_taken_while_they_hold_the_bytes_that_they_may() -> None:
    calls, sources = Calls(60), Sources()
    async with aclosing(run_each(sources, calls, max_jobs=50, max_bytes=100)) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        await turns()
        assert sources.taken == 2  # the second goes beyond, since its size is known when it begins
        calls.end(0, 60)
        assert await first == 0
        await turns()
        assert sources.taken == 2  # the caller may still look at the first
        second = asyncio.ensure_future(anext(outcomes))
        await turns()
        assert sources.taken == 3
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)


async def test_results_that_are_awaited_count_with_the_largest_so_far() -> None:
    calls, sources = Calls(60, waits=True), Sources()
    async with aclosing(run_each(sources, calls, max_jobs=50, max_bytes=100)) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        await turns(100)
        assert sources.taken == 50  # nothing is known of results yet
        calls.end(0, 40)
        assert await first == 0
        for number in range(1, 49):
            calls.end(number)
            assert await anext(outcomes) == number
        await turns()
        # Number 49 is from before. Each of the others will bring 40 bytes.
        assert list(calls.under_way)[1:] == list(range(50, sources.taken))
        assert 2 <= len(calls.under_way) - 1 <= 4


async def test_what_a_call_raises_ends_the_run_at_once() -> None:
    calls = Calls()
    outcomes = run_each(Sources(), calls, max_jobs=3, max_bytes=1)
    first = asyncio.ensure_future(anext(outcomes))
    await turns()
    calls.under_way[1].set_exception(LookupError("broken"))
    with pytest.raises(LookupError, match="broken"):
        await first
    assert sorted(calls.cancelled) == [0, 2]


async def test_what_the_sources_raise_comes_after_the_results_of_those_before() -> None:
    def failing() -> Iterator[int]:
        yield 0
        yield 1
        raise LookupError("no more")

    calls = Calls()
    outcomes = run_each(failing(), calls, max_jobs=9, max_bytes=1)
    first = asyncio.ensure_future(anext(outcomes))
    await turns()
    calls.end(1)
    assert await first == 1
    calls.end(0)
    assert await anext(outcomes) == 0
    with pytest.raises(LookupError, match="no more"):
        await anext(outcomes)


async def test_a_caller_that_stops_withdraws_what_is_under_way() -> None:
    calls = Calls()
    async with aclosing(run_each(Sources(), calls, max_jobs=3, max_bytes=1)) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        await turns()
        calls.end(0)
        assert await first == 0
    assert sorted(calls.cancelled) == [1, 2]


async def test_sources_may_be_waited_for() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(0)
            yield number

    async def call(number: int, source: int, hold: Hold) -> int:
        return source * source

    assert [each async for each in run_each(numbers(), call, 2, 1)] == [0, 1, 4, 9, 16]
    assert [each async for each in run_each((), call, 2, 1)] == []
