"""Image processes that lie, end at will, or are never had: played here, over the real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from tests.support.images import noise_jpeg
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.jobs import RawImage
from worker.errors import JobError, Reason
from worker.failpoints import Failpoints
from worker.imaging.images import ImageProcesses
from worker.imaging.nursery import Nursery
from worker.imaging.prepared import PreparedImage
from worker.imaging.process import ImageProcess
from worker.imaging.protocol import Frames, Setup, frame
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.retry import Retry
from worker.settings import DecodeSettings

BOUND = 60.0
IMAGE = RawImage(noise_jpeg(0))
MIB = 2**20


class Puppet:
    """An image process without a process: what it says and does is for the test to choose."""

    def __init__(self, number: int, descriptors: Sequence[int]) -> None:
        self.number = number
        self.calls: list[dict[str, Any]] = []
        self.withdrawn: list[int] = []
        self.ended = False
        ours, *self._files = [os.dup(descriptor) for descriptor in descriptors]
        self._socket = socket.socket(fileno=ours)
        self._listening = asyncio.create_task(self._listen())

    def say(self, call: int, what: str, **facts: object) -> None:
        self._socket.send(frame({"call": call, "is": what, **facts}))

    def be_in(self, call: int) -> None:
        """Say in which call it is."""
        os.pwrite(self._files[0], struct.pack("<q", call), 0)

    def sizes(self) -> list[int]:
        """Bytes of the files of its lanes."""
        return [os.fstat(descriptor).st_size for descriptor in self._files[2:]]

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self._listening.cancel()
            self._socket.close()
            for descriptor in self._files:
                os.close(descriptor)

    async def _listen(self) -> None:
        self._socket.setblocking(False)
        frames = Frames()
        while chunk := await asyncio.get_running_loop().sock_recv(self._socket, 2**16):
            for message in frames.feed(chunk):
                if "do" in message:
                    self.calls.append(message)
                else:
                    self.withdrawn.append(message["withdraw"])


class Puppets(Nursery):
    """Makes puppets.

    Attributes:
        all: those that were made.
        come_up: whether the next ones live to be ready for a call.
        hangs: whether it ends none.
        given_up: whether it was ended for that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Puppet] = []
        self.come_up = True
        self.hangs = False
        self.given_up = False

    async def start(self) -> None:
        self.pid = os.getpid()

    def set_up(self, setup: Setup) -> None:
        pass

    def fork(self, number: int, descriptors: Sequence[int]) -> None:
        puppet = Puppet(number, descriptors)
        self.all.append(puppet)
        asyncio.get_running_loop().call_soon(self.on_started, number, 0)
        if self.come_up:
            puppet.say(0, "up")
        else:
            self.end(puppet, 1)

    def kill(self, number: int) -> None:
        if self.hangs:
            return
        for puppet in self.all:
            if puppet.number == number:
                self.end(puppet, -signal.SIGKILL)

    def calm(self, number: int) -> None:
        pass

    def lose(self) -> None:
        self.given_up = True

    def stop(self) -> None:
        for puppet in self.all:
            puppet.end()

    def end(self, puppet: Puppet, status: int) -> None:
        if not puppet.ended:
            puppet.end()
            asyncio.get_running_loop().call_soon(self.on_ended, puppet.number, status, 0.0)

    async def next_call(self) -> tuple[Puppet, dict[str, Any]]:
        """The next call that one of them gets."""
        await until(self.called)
        puppet = next(one for one in self.all if one.calls and not one.ended)
        return puppet, puppet.calls.pop(0)

    def called(self) -> bool:
        """Whether one of them has a call."""
        return any(one.calls and not one.ended for one in self.all)


class Play:
    """Image processes that are puppets."""

    def __init__(self, spec: ModelSpec, clock: Clock, count: int, cells: int) -> None:
        self.puppets = Puppets()
        self.next_call = self.puppets.next_call
        self.metrics = Metrics()
        self.images = ImageProcesses(
            spec,
            count,
            cells,
            DecodeSettings(),
            self.metrics,
            Failpoints(),
            nursery=self.puppets,
            retry=Retry(0.0, 0.0, attempts=2),
            clock=clock,
        )
        self._tasks: list[asyncio.Task[Any]] = []

    def prepare(
        self,
        image: RawImage = IMAGE,
        side: int | None = None,
        account: Callable[[int], object] = lambda _: None,
        quality: int | None = None,
    ) -> asyncio.Task[PreparedImage]:
        return self._task(self.images.prepare(image, 1.0, side, account, quality=quality))

    def draw(self, prepared: PreparedImage) -> asyncio.Task[bytes | bytearray]:
        assert prepared.picture is not None
        return self._task(self.images.draw(prepared.picture, "cat", 0.5, 85))

    def _task(self, call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        self._tasks.append(asyncio.create_task(call))
        return self._tasks[-1]

    def ended(self) -> list[str]:
        """The causes for which processes were replaced."""
        family = next(iter(self.metrics.image_process_restarts.collect()))
        return [
            sample.labels["cause"]
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value
        ]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.images.stop()


Start = Callable[..., Awaitable[Play]]


@pytest.fixture
async def start(spec: ModelSpec) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(clock: Clock = SYSTEM_CLOCK, count: int = 1, cells: int = 8) -> Play:
            play = Play(spec, clock, count, cells)
            stack.push_async_callback(play.end)
            await play.images.start()
            return play

        yield start


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(BOUND):
        while not condition():  # noqa: ASYNC110 - what comes over a socket tells nobody
            await asyncio.sleep(0.001)


async def result(task: asyncio.Task[Any]) -> Any:
    async with asyncio.timeout(BOUND):
        return await task


async def test_who_ends_its_process_and_hides_it_has_the_blame_in_the_end(start: Start) -> None:
    play = await start()
    task = play.prepare()
    for _ in range(6):
        puppet, _ = await play.next_call()
        puppet.be_in(0)
        play.puppets.end(puppet, -signal.SIGSEGV)
    with pytest.raises(JobError, match="SIGSEGV") as caught:
        await result(task)
    assert caught.value.attempts == 2
    assert play.images.cells.in_use == 0


async def test_who_ends_its_process_as_it_is_drawn_has_the_blame_in_the_end(start: Start) -> None:
    play = await start()
    task = play.prepare(side=64)
    puppet, call = await play.next_call()
    puppet.say(call["call"], "prepared", picture=[8, 8])
    prepared = await result(task)
    drawing = play.draw(prepared)
    while not drawing.done():
        await until(lambda: play.puppets.called() or drawing.done())
        while play.puppets.called():
            puppet, call = await play.next_call()
            if call["do"] == "prepare":
                puppet.say(call["call"], "prepared", picture=[8, 8])
            else:
                play.puppets.end(puppet, -signal.SIGSEGV)
    with pytest.raises(JobError, match="it crashes the encoder") as caught:
        await drawing
    assert caught.value.attempts == 2
    play.images.release(prepared)


async def test_a_picture_that_was_lost_is_encoded_by_the_call_that_draws_it(start: Start) -> None:
    play = await start(count=2)
    task = play.prepare(side=64, quality=85)
    puppet, call = await play.next_call()
    assert call["early"] == 85
    puppet.say(call["call"], "prepared", picture=[8, 8])
    prepared = await result(task)
    play.puppets.end(puppet, -signal.SIGSEGV)
    play.draw(prepared)
    _, call = await play.next_call()
    # If encoding it before ends a process, that must be seen to be its fault.
    assert (call["do"], call["early"]) == ("prepare", None)


async def test_an_image_goes_to_a_process_without_pictures(start: Start) -> None:
    play = await start(count=2)
    held = []
    for _ in range(2):
        task = play.prepare(side=64, quality=85)
        puppet, call = await play.next_call()
        puppet.say(call["call"], "prepared", picture=[8, 8])
        held.append((puppet, await result(task)))
    (first, one), (second, other) = held
    assert first is not second
    for prepared in (one, other):
        play.images.release(prepared)


async def test_pictures_are_encoded_in_one_part_when_no_core_is_to_spare(start: Start) -> None:
    play = await start(count=4)

    async def early(count: int) -> list[int | None]:
        """What is said of so many images at once."""
        tasks = [play.prepare(side=64, quality=85) for _ in range(count)]
        said = []
        for _ in tasks:
            puppet, call = await play.next_call()
            said.append(call["early"])
            puppet.say(call["call"], "prepared", picture=[8, 8])
        for task in tasks:
            play.images.release(await result(task))
        return said

    assert sorted(await early(4), key=str) == [85, 85, None, None]
    assert await early(2) == [85, 85]


async def test_who_blames_the_image_behind_it_does_not_get_away_with_it(start: Start) -> None:
    play = await start()
    hostile, other = play.prepare(RawImage(b"hostile")), play.prepare()
    ends = 0
    while True:
        await until(lambda: play.puppets.called() or (hostile.done() and other.done()))
        if not play.puppets.called():
            break
        puppet, call = await play.next_call()
        if call["length"] == len(b"hostile"):
            behind = [each["call"] for each in puppet.calls]
            puppet.be_in(behind[0] if behind else 0)
            play.puppets.end(puppet, -signal.SIGSEGV)
            ends += 1
        else:
            puppet.be_in(call["call"])
            puppet.say(call["call"], "prepared", picture=None)
    assert ends == 6
    assert isinstance(hostile.exception(), JobError)
    play.images.release(other.result())
    assert play.images.cells.in_use == 0


@pytest.mark.parametrize(
    ("side", "answer"),
    [
        pytest.param(None, {"picture": [4, 4]}, id="a picture that nobody asked for"),
        pytest.param(64, {"picture": None}, id="no picture"),
        pytest.param(64, {"picture": [4, 65]}, id="a picture larger than asked for"),
    ],
)
async def test_results_that_are_none_end_the_process(
    start: Start, side: int | None, answer: dict[str, Any]
) -> None:
    play = await start()
    task = play.prepare(side=side)
    for _ in range(2):
        puppet, call = await play.next_call()
        puppet.be_in(call["call"])
        puppet.say(call["call"], "prepared", **answer)
        await until(partial(getattr, puppet, "ended"))
    with pytest.raises(JobError) as caught:
        await result(task)
    assert caught.value.reason is Reason.CORRUPT_IMAGE
    assert play.images.cells.in_use == 0


async def test_a_process_cannot_claim_all_memory(start: Start) -> None:
    play = await start()
    told: list[int] = []
    play.prepare(account=told.append)
    for claims in ([2**40], [MIB, MIB, MIB]):
        puppet, call = await play.next_call()
        puppet.be_in(call["call"])
        for nbytes in claims:
            puppet.say(call["call"], "accounted", nbytes=nbytes)
        await until(partial(getattr, puppet, "ended"))
    assert sum(nbytes for nbytes in told if nbytes > 0) == 2 * MIB


async def test_a_picture_that_nobody_waits_for_any_more_may_be_of_any_size(start: Start) -> None:
    play = await start()
    task = play.prepare(side=1024)
    puppet, call = await play.next_call()
    puppet.say(call["call"], "prepared", picture=[8, 8])
    prepared = await result(task)
    drawing = play.draw(prepared)
    puppet, call = await play.next_call()
    drawing.cancel()
    await asyncio.wait([drawing])
    play.images.release(prepared)
    await until(lambda: len(puppet.withdrawn) == 2)
    puppet.say(call["call"], "drawn", length=5 * MIB)
    again = play.prepare()
    same, call = await play.next_call()
    assert same is puppet
    assert not puppet.ended
    puppet.say(call["call"], "prepared", picture=None)
    play.images.release(await result(again))


async def test_an_image_withdrawn_as_it_is_answered_lets_others_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await start(cells=1)
    first = play.prepare()
    _, call = await play.next_call()
    second = play.prepare()
    puppet = play.puppets.all[0]
    succeed = play.images._pool._exchange._succeed

    def succeed_and_cancel(*arguments: Any) -> None:
        succeed(*arguments)
        first.cancel()

    monkeypatch.setattr(play.images._pool._exchange, "_succeed", succeed_and_cancel)
    puppet.say(call["call"], "prepared", picture=None)
    _, call = await play.next_call()
    monkeypatch.undo()
    assert first.cancelled()
    puppet.say(call["call"], "prepared", picture=None)
    play.images.release(await result(second))
    assert play.images.cells.in_use == 0


async def test_a_process_of_its_own_ends_when_its_image_cannot_be_written(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await start()
    task = play.prepare()
    puppet, call = await play.next_call()
    monkeypatch.setattr(ImageProcess, "write", _no_memory)
    puppet.be_in(call["call"])
    play.puppets.end(puppet, -signal.SIGSEGV)
    with pytest.raises(JobError, match="no memory left"):
        await result(task)
    await until(lambda: sum(not puppet.ended for puppet in play.puppets.all) == 1)
    assert play.images.cells.in_use == 0


def _no_memory(*_: object) -> None:
    raise OSError


async def test_processes_that_end_as_soon_as_they_start_count_as_none(start: Start) -> None:
    now, pauses = [0.0], []
    go_on = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)
        if now[0] > 60:
            await go_on.wait()
        now[0] += seconds

    play = await start(Clock(monotonic=lambda: now[0], sleep=sleep))
    play.puppets.come_up = False
    await until(lambda: play.puppets.all)
    play.puppets.end(play.puppets.all[0], 1)
    await until(lambda: now[0] > 60 and len(pauses) > 1)
    await until(lambda: play.images.stalled)
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    play.puppets.come_up = True
    go_on.set()
    task = play.prepare()
    puppet, call = await play.next_call()
    assert not play.images.stalled
    puppet.say(call["call"], "prepared", picture=None)
    play.images.release(await result(task))


async def test_a_parent_that_does_nothing_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.imaging.slow_calls.TICK", 0.01)
    now, looks = [0.0], [0]

    def monotonic() -> float:
        looks[0] += 1
        return now[0]

    play = await start(Clock(monotonic=monotonic))
    play.prepare()
    puppet, _ = await play.next_call()
    play.puppets.hangs = True
    puppet.say(99, "skipped")
    await until(lambda: len(play.puppets.all) == 2)
    now[0] = 19.0
    looks[0] = 0
    await until(lambda: looks[0] > 10)
    assert not play.puppets.given_up
    now[0] = 21.0
    await until(lambda: play.puppets.given_up)


async def test_however_many_hang_others_are_done(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.imaging.slow_calls.TICK", 0.01)
    now = [0.0]
    play = await start(Clock(monotonic=lambda: now[0]))
    hung: list[Puppet] = []
    while len(hung) < 5:
        play.prepare()
        puppet, call = await play.next_call()
        puppet.be_in(call["call"])
        hung.append(puppet)
        now[0] += 1.5
        # The last one keeps its place, as no more may be aside.
        await until(lambda: len(play.puppets.all) == min(5, len(hung) + 1))
    good = RawImage(IMAGE.data + b"good")
    task = play.prepare(good)
    now[0] = 11.0
    while not task.done():
        await until(lambda: play.puppets.called() or task.done())
        while play.puppets.called():
            puppet, call = await play.next_call()
            if call["length"] == len(good.data) and puppet not in hung:
                puppet.say(call["call"], "prepared", picture=None)
    play.images.release(task.result())
    assert sum(puppet.ended for puppet in play.puppets.all) == 1


async def test_what_is_withdrawn_while_it_is_written_is_not_begun(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await start()
    begun, go_on = threading.Event(), threading.Event()
    write = ImageProcess.write

    def write_slowly(*arguments: Any) -> None:
        begun.set()
        go_on.wait(BOUND)
        write(*arguments)

    monkeypatch.setattr(ImageProcess, "write", write_slowly)
    task = play.prepare(RawImage(IMAGE.data + bytes(2 * MIB)))
    await until(begun.is_set)
    task.cancel()
    await asyncio.wait([task])
    monkeypatch.undo()
    go_on.set()
    await until(lambda: play.images.cells.in_use == 0)
    again = play.prepare()
    puppet, call = await play.next_call()
    assert call["length"] == len(IMAGE.data)
    assert sum(puppet.sizes()) == len(IMAGE.data)
    puppet.say(call["call"], "prepared", picture=None)
    play.images.release(await result(again))
