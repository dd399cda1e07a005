"""How many producers start at a time, and that a slow one keeps no other from it."""

from __future__ import annotations

import asyncio

import pytest

from worker.kafka.starts import Starts

BOUND = 10.0


class Producer:
    """Starts when the test says so."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.asked = asyncio.Event()
        self.may_start = asyncio.Event()
        if at_once:
            self.may_start.set()

    async def start(self) -> None:
        self.asked.set()
        await self.may_start.wait()


async def test_no_more_than_so_many_start_at_a_time() -> None:
    starts, producers = Starts(most=2, slow=BOUND), [Producer() for _ in range(3)]
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        for producer in producers:
            group.create_task(starts.start(producer))
        await producers[1].asked.wait()
        assert not producers[2].asked.is_set()
        producers[0].may_start.set()
        await producers[2].asked.wait()
        for producer in producers:
            producer.may_start.set()


async def test_a_slow_start_gives_its_place_to_others() -> None:
    starts, slow = Starts(most=1, slow=0.01), Producer()
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        group.create_task(starts.start(slow))
        await slow.asked.wait()
        await starts.start(Producer(at_once=True))
        slow.may_start.set()


async def test_a_start_that_never_ends_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        await Starts(slow=0.01, timeout=0.02).start(Producer())


async def test_a_cancelled_start_gives_its_place_back() -> None:
    starts, producer = Starts(most=1, slow=BOUND), Producer()
    starting = asyncio.create_task(starts.start(producer))
    await producer.asked.wait()
    starting.cancel()
    await asyncio.wait([starting])
    async with asyncio.timeout(BOUND):
        await starts.start(Producer(at_once=True))
