"""Calls that must be the only one, and those that wait; processes are sockets held here."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from worker.errors import Stage
from worker.failpoints import Failpoints
from worker.imaging.call import Call
from worker.imaging.crops import CropCells
from worker.imaging.pool import PICTURES_SHARE, ProcessPool
from worker.imaging.process import ImageProcess
from worker.imaging.protocol import Setup, frame
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
    """In place of the process that forks: keeps what image processes would inherit."""

    pid = 1

    def __init__(self) -> None:
        self.forked: dict[int, socket.socket] = {}

    def fork(self, number: int, descriptors: Sequence[int]) -> None:
        theirs = socket.socket(fileno=os.dup(descriptors[0]))
        self.forked[number] = theirs

    def say(self, *, call: int, is_: str) -> None:
        """Answer in the name of the one process."""
        (theirs,) = self.forked.values()
        theirs.sendall(frame({"call": call, "is": is_}))

    def __getattr__(self, name: str) -> Any:
        """What else it is asked for does nothing."""
        return lambda *_: None


class Bench:
    """A pool of one image process."""

    def __init__(self) -> None:
        self.sockets = Sockets()
        cells = CropCells(8, (8, 8))
        cells.open()
        nursery = cast("Any", self.sockets)
        self.pool = ProcessPool(1, SETUP, cells, BOUND, Metrics(), nursery=nursery)
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
