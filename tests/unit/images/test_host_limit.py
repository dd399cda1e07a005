from __future__ import annotations

import asyncio

import pytest

from worker.images.host_limit import HostLimit


async def test_holders_of_one_host_are_limited_and_served_in_order() -> None:
    limit = HostLimit(2)
    holding: list[int] = []
    third = asyncio.Event()
    release = [asyncio.Event() for _ in range(4)]

    async def hold(number: int) -> None:
        async with limit.hold("a"):
            holding.append(number)
            if len(holding) == 3:
                third.set()
            await release[number].wait()

    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(hold(number))
        await asyncio.sleep(0)
        assert holding == [0, 1]
        async with asyncio.timeout(5), limit.hold("b"):
            assert len(limit) == 2
        release[1].set()
        async with asyncio.timeout(5):
            await third.wait()
        assert holding == [0, 1, 2]
        for event in release:
            event.set()
    assert holding == [0, 1, 2, 3]
    assert len(limit) == 0


async def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    limit = HostLimit(1)
    async with limit.hold("a"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), limit.hold("a"):
                pytest.fail("two holders at a limit of one")
        assert len(limit) == 1
    assert len(limit) == 0
    async with limit.hold("a"):
        assert len(limit) == 1
