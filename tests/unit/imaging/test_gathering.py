"""Work in image processes ends: with results, with what fails, or where there are no processes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.errors import PredictorError
from worker.imaging.gathering import gather_watched

BOUND = 10.0


def images(*, stalled: bool = False) -> Any:
    """Image processes in name alone."""
    return SimpleNamespace(stalled=stalled)


async def answer(number: int) -> int:
    await asyncio.sleep(0)
    return number


class Endless:
    """Work that only an end of the whole ends."""

    def __init__(self) -> None:
        self.ended = False

    async def run(self) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True
        raise AssertionError


async def test_results_are_in_order_also_where_processes_have_gone_by_then() -> None:
    async with asyncio.timeout(BOUND):
        found = await gather_watched(map(answer, (3, 1, 2)), images(stalled=True))
    assert found == [3, 1, 2]


async def test_without_processes_nobody_waits() -> None:
    endless = Endless()
    with pytest.raises(PredictorError, match="cannot be started again"):
        async with asyncio.timeout(BOUND):
            await gather_watched([endless.run()], images(stalled=True), interval=0.001)
    assert endless.ended


async def test_what_fails_ends_the_rest() -> None:
    async def fail() -> int:
        raise ZeroDivisionError

    endless = Endless()
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(BOUND):
            await gather_watched(cast("Any", [endless.run(), fail()]), images())
    assert endless.ended
