"""Calls that must be the only one, those that wait, and who has a place; processes are sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from worker.clock import Clock
from worker.errors import Stage
from worker.failpoints import Failpoints
from worker.imaging.call import Call
from worker.imaging.crops import CropCells
from worker.imaging.pool import PICTURES_SHARE, ProcessPool
from worker.imaging.process import ImageProcess, Role
from worker.imaging.protocol import Setup, frame
from worker.imaging.slow_calls import ASIDE_AFTER
from worker.metrics import Metrics
from worker.settings import DecodeSettings

BOUND = 30.0
LIMITS = DecodeSettings()
SETUP = Setup(
    None,
    None,
    "RGB",
    LIMITS.max_bytes,
    LIMITS.max_pixels,
    LIMITS.max_side,
    LIMITS.memory,
    LIMITS.cpu_seconds,
    Failpoints(),
)


class Sockets:
    """In place of the process that forks: keeps what image processes would inherit.

    Attributes:
        full: whether the system has no room for another process.
        killed: the numbers of those that were to be ended.
        calmed: the numbers of those that were to give way to others.
    """

    pid = 1

    def __init__(self) -> None:
        self.forked: dict[int, socket.socket] = {}
        self.full = False
        self.killed: asyncio.Queue[int] = asyncio.Queue()
        self.calmed: list[int] = []

    def fork(self, number: int, descriptors: Sequence[int]) -> None:
        if self.full:
            raise OSError("no room")
        theirs = socket.socket(fileno=os.dup(descriptors[0]))
        self.forked[number] = theirs

    def kill(self, number: int) -> None:
        self.killed.put_nowait(number)

    def calm(self, number: int) -> None:
        self.calmed.append(number)

    def say(self, *, call: int, is_: str, process: int = 1) -> None:
        """Answer in the name of a process."""
        self.forked[process].sendall(frame({"call": call, "is": is_}))

    def __getattr__(self, name: str) -> Any:
        """What else it is asked for does nothing."""
        return lambda *_: None


class Bench:
    """A pool of one image process.

    Attributes:
        again: set when a process that cannot be had may be tried again.
    """

    def __init__(self) -> None:
        self.again = asyncio.Event()
        self.sockets = Sockets()
        cells = CropCells(8, (8, 8))
        cells.open()
        nursery = cast("Any", self.sockets)
        clock = Clock(sleep=self._pause)
        self.pool = ProcessPool(1, SETUP, cells, BOUND, Metrics(), nursery=nursery, clock=clock)
        self.asked: list[asyncio.Task[object]] = []

    def ask(self, *, sole: bool) -> asyncio.Task[object]:
        answer = asyncio.get_running_loop().create_future()
        message = {"side": None, "form": "bytes", "length": 3}
        call = Call(self.pool.number(), Stage.DECODE, message, b"abc", 1.0, answer)
        call.sole, call.needs_cell = sole, True
        task = asyncio.create_task(self.pool.ask(call))
        self.asked.append(task)
        return task

    def held(self) -> list[int]:
        """The calls that the process has."""
        return [call.number for process in self.pool._fleet for call in process.calls]

    async def give_way(self) -> ImageProcess:
        """Have the process give way to all others while the system has no room for another."""
        (slow,) = fleet = self.pool._fleet
        first = self.ask(sole=False)
        await asyncio.sleep(0)
        self.sockets.full = True
        fleet.put_aside(slow)
        self.sockets.say(call=1, is_="shortage")
        with pytest.raises(MemoryError):
            await asyncio.wait_for(first, BOUND)
        return slow

    async def fork_again(self) -> None:
        """Have room for another process, which is forked."""
        self.sockets.full = False
        self.again.set()
        assert self.pool._fleet._reviving is not None
        await asyncio.wait_for(self.pool._fleet._reviving, BOUND)

    async def _pause(self, _: float) -> None:
        await self.again.wait()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.pool.start()
    yield bench
    bench.pool.stop()
    await asyncio.gather(*bench.asked, return_exceptions=True)
    for theirs in bench.sockets.forked.values():
        theirs.close()


async def test_a_sole_call_that_gets_no_memory_holds_no_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.ask(sole=False)
    await asyncio.sleep(0)
    sole, last = bench.ask(sole=True), bench.ask(sole=False)
    await asyncio.sleep(0)
    assert bench.held() == [1], "the others wait"
    failures = [OSError("no memory")]
    write = ImageProcess.write

    def short(*given: Any) -> None:
        if failures:
            raise failures.pop()
        write(*given)

    monkeypatch.setattr(ImageProcess, "write", short)
    bench.sockets.say(call=1, is_="shortage")
    for failed in (first, sole):
        with pytest.raises(MemoryError):
            await asyncio.wait_for(failed, BOUND)
    assert bench.held() == [3]
    assert not last.done()


async def test_a_sole_call_does_not_wait_for_pictures_that_wait_for_it(bench: Bench) -> None:
    """They are drawn when no sole call waits."""
    (process,) = bench.pool._fleet
    process.pictures[99] = LIMITS.memory // PICTURES_SHARE + 1
    bench.ask(sole=True)
    await asyncio.sleep(0)
    assert bench.held() == [1]


async def test_a_process_that_gives_way_to_all_others_has_its_place_until_another_can_be_had(
    bench: Bench,
) -> None:
    """It is slow, so it would be for good."""
    fleet, slow = bench.pool._fleet, await bench.give_way()
    second = bench.ask(sole=False)
    await asyncio.sleep(0)
    assert bench.held() == [2], "there is no other"

    await bench.fork_again()
    assert slow.role is Role.REGULAR, "the other is not up yet"
    bench.sockets.say(process=3, call=0, is_="up")
    bench.sockets.say(call=2, is_="shortage")
    assert await asyncio.wait_for(bench.sockets.killed.get(), BOUND) == slow.number
    with pytest.raises(MemoryError):
        await second
    assert [(process.number, process.role) for process in fleet] == [(3, Role.REGULAR)]


async def test_a_process_that_lost_its_place_keeps_no_call_behind_one_that_lasts_long(
    bench: Bench,
) -> None:
    fleet, slow = bench.pool._fleet, await bench.give_way()
    bench.ask(sole=False)
    bench.ask(sole=False)
    await asyncio.sleep(0)
    assert [call.number for call in slow.calls] == [2, 3]
    await bench.fork_again()
    (other,) = (process for process in fleet if process is not slow)
    bench.sockets.say(process=other.number, call=0, is_="up")
    async with asyncio.timeout(BOUND):
        while slow.role is not Role.SURPLUS:  # noqa: ASYNC110 - what has been heard is no event
            await asyncio.sleep(0)
    slow.since -= 2 * ASIDE_AFTER
    bench.pool._slow._look()
    await asyncio.sleep(0)
    assert [call.withdrawn for call in slow.calls] == [False, True]
    assert [call.number for call in other.calls] == [4]
    assert bench.sockets.calmed == [slow.number], "once is enough"
