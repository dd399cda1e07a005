"""What an event loop does itself for a slot, and what is left to the slot's thread."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from worker.inference.arrays import Pixels, Scores
from worker.inference.slot import Begun, Slot
from worker.inference.slot_thread import SlotThread

CROP = np.zeros((2, 2, 3), np.uint8)
ANSWER = (np.full((1, 2), 0.5, np.float32), 0.001)
BOUND = 10.0


class StandIn:
    """A slot whose process is the other end of a socket; notes who does what."""

    buffers = 1

    def __init__(self) -> None:
        self.ours, self.process = socket.socketpair()
        self.begins = True
        self.patience = BOUND
        self.is_right = True
        self.reads = False
        self.done: list[tuple[str, str]] = []

    def note(self, what: str) -> None:
        self.done.append((what, threading.current_thread().name.partition("_")[0]))

    def begin_at_once(self, crops: Sequence[Pixels], **_: object) -> Begun | None:
        self.note("begin")
        begun = Begun(len(crops), 0, time.monotonic() + self.patience)
        return begun if self.begins else None

    def fileno(self) -> int:
        return self.ours.fileno()

    def finish_at_once(self, _: Begun) -> tuple[Scores, float] | None:
        self.note("finish at once")
        if self.reads:
            self.ours.recv(100)
        return ANSWER if self.is_right else None

    def finish(self, _: Begun) -> tuple[Scores, float]:
        self.note("finish")
        return ANSWER

    def run(self, _: Sequence[Pixels], **__: object) -> tuple[Scores, float]:
        self.note("run")
        return ANSWER


@pytest.fixture
def slot() -> Iterator[StandIn]:
    slot = StandIn()
    with slot.ours, slot.process:
        yield slot


async def run(slot: StandIn) -> list[tuple[str, str]]:
    thread = SlotThread(cast(Slot, slot), 7)
    try:
        async with asyncio.timeout(2 * BOUND):
            answer = await thread.run([CROP], solo=False, buffer=0, staged=None)
    finally:
        thread.shut_down()
    assert answer is ANSWER
    return slot.done


async def test_a_small_batch_wakes_no_thread(slot: StandIn) -> None:
    asyncio.get_running_loop().call_soon(slot.process.send, b"an answer")
    assert await run(slot) == [("begin", "MainThread"), ("finish at once", "MainThread")]


async def test_what_cannot_begin_at_once_is_the_threads_business(slot: StandIn) -> None:
    slot.begins = False
    assert await run(slot) == [("begin", "MainThread"), ("run", "slot-7")]


async def test_a_wrong_answer_is_the_threads_business(slot: StandIn) -> None:
    slot.process.send(b"nonsense")
    slot.is_right = False
    assert (await run(slot))[1:] == [("finish at once", "MainThread"), ("finish", "slot-7")]


async def test_a_process_that_hangs_is_waited_for_until_its_deadline(slot: StandIn) -> None:
    slot.patience, slot.is_right = 0.05, False
    assert (await run(slot))[1:] == [("finish at once", "MainThread"), ("finish", "slot-7")]


class Listening:
    """An event loop that counts how often something begins to be listened to, or ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        add, remove = loop.add_reader, loop.remove_reader

        def begin(descriptor: int, *call: Any) -> None:
            self.begun.append(descriptor)
            add(descriptor, *call)

        def end(descriptor: int) -> bool:
            self.ended.append(descriptor)
            self.changed.set()
            return remove(descriptor)

        monkeypatch.setattr(loop, "add_reader", begin)
        monkeypatch.setattr(loop, "remove_reader", end)


@pytest.fixture
async def listening(slot: StandIn, monkeypatch: pytest.MonkeyPatch) -> Listening:
    slot.reads = True
    return Listening(monkeypatch)


@pytest.fixture
async def thread(slot: StandIn) -> AsyncIterator[SlotThread]:
    thread = SlotThread(cast(Slot, slot), 7)
    yield thread
    await thread.call(lambda: None)
    thread.shut_down()


async def answered(thread: SlotThread, slot: StandIn) -> None:
    """A run whose process answers after a while, in which the loop waits."""
    asyncio.get_running_loop().call_later(0.01, slot.process.send, b"an answer")
    async with asyncio.timeout(BOUND):
        assert await thread.run([CROP], solo=False, buffer=0, staged=None) is ANSWER


async def test_from_one_run_to_the_next_the_loop_goes_on_listening(
    slot: StandIn, thread: SlotThread, listening: Listening
) -> None:
    for _ in range(3):
        await answered(thread, slot)
    assert listening.begun == [slot.fileno()]
    assert listening.ended == []
    assert [what for what, _ in slot.done] == 3 * ["begin", "finish at once"]


async def test_a_process_that_ends_between_two_runs_does_not_wake_the_loop_for_ever(
    slot: StandIn, thread: SlotThread, listening: Listening
) -> None:
    await answered(thread, slot)
    assert listening.ended == []
    slot.process.close()
    async with asyncio.timeout(BOUND):
        await listening.changed.wait()
    assert listening.ended == [slot.fileno()]


async def test_what_the_thread_reads_is_not_listened_to(
    slot: StandIn, thread: SlotThread, listening: Listening
) -> None:
    await answered(thread, slot)
    assert await thread.call(lambda: list(listening.ended)) == [slot.fileno()]
    await answered(thread, slot)
    assert listening.begun == 2 * [slot.fileno()]


async def test_a_run_under_way_is_answered_whatever_the_thread_is_told(
    slot: StandIn, thread: SlotThread
) -> None:
    slot.reads = True
    running = asyncio.create_task(thread.run([CROP], solo=False, buffer=0, staged=None))
    await asyncio.sleep(0)
    assert [what for what, _ in slot.done] == ["begin"]
    await thread.call(lambda: None)
    slot.process.send(b"an answer")
    async with asyncio.timeout(BOUND):
        assert await running is ANSWER
