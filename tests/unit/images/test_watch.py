"""When a request has taken too long, by timers that ring when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from worker.images.fetch_errors import TooSlowError
from worker.images.watch import Watch


class Timers:
    """The event loop's time and timers.

    Attributes:
        set: how many were set.
        cancelled: how many were cancelled.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.set = self.cancelled = 0
        self._next: tuple[float, Callable[[], object]] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> SimpleNamespace:
        assert self._next is None, "one at a time"
        self.set += 1
        self._next = when, callback
        return SimpleNamespace(cancel=self._cancel)

    def _cancel(self) -> None:
        self.cancelled += 1
        self._next = None

    @property
    def when(self) -> float:
        assert self._next is not None
        return self._next[0]

    def ring(self, early: float = 0.0) -> None:
        """Let it be as late as the timer says."""
        assert self._next is not None
        (self.now, callback), self._next = self._next, None
        self.now -= early
        callback()


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    made = Timers()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", made.time)
    monkeypatch.setattr(loop, "call_at", made.call_at)
    return made


class Body:
    total_bytes = 0


async def run(block: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task in its block; it waits there."""
    task = asyncio.create_task(block)
    await asyncio.sleep(0)
    return task


async def receiving(watch: Watch, body: Body | None) -> None:
    with watch:
        if body is not None:
            watch.receive(body)
        await asyncio.Event().wait()


async def test_a_quick_request_sets_one_timer_and_hears_nothing_of_it(timers: Timers) -> None:
    with Watch(115.0, 8.0, 5.0, 5120) as watch:
        watch.receive(Body())
    assert (timers.set, timers.cancelled) == (1, 1)


@pytest.mark.parametrize(("end", "head", "expected"), [(115.0, 8.0, 108.0), (106.0, 8.0, 106.0)])
async def test_a_head_has_to_come_in_time(
    timers: Timers, end: float, head: float, expected: float
) -> None:
    task = await run(receiving(Watch(end, head, 5.0, 5120), None))
    timers.ring()
    timers.ring()
    assert timers.now == expected
    with pytest.raises(TimeoutError) as caught:
        await task
    assert not isinstance(caught.value, TooSlowError)


async def test_without_a_bound_on_the_head_the_end_is_one(timers: Timers) -> None:
    task = await run(receiving(Watch(115.0, None, 5.0, 5120), None))
    while timers.now < 115:
        timers.ring()
    assert timers.now == 115
    with pytest.raises(TimeoutError):
        await task


async def test_a_body_has_to_have_the_least_speed_in_each_window(timers: Timers) -> None:
    body = Body()
    task = await run(receiving(Watch(200.0, 8.0, 5.0, 5120), body))
    for received in (5120, 50_000, 55_120):
        body.total_bytes = received
        timers.ring()
        await asyncio.sleep(0)
        assert not task.done()
    # What came before is no credit.
    body.total_bytes += 5119
    timers.ring()
    assert timers.now == pytest.approx(120, abs=0.01)
    with pytest.raises(TooSlowError):
        await task


async def test_the_first_window_begins_with_the_body(timers: Timers) -> None:
    watch, body = Watch(200.0, 8.0, 5.0, 5120), Body()

    async def late() -> None:
        with watch:
            timers.now += 4
            watch.receive(body)
            await asyncio.Event().wait()

    task = await run(late())
    timers.ring()
    assert (timers.now, timers.when) == (105, 109)
    timers.ring()
    with pytest.raises(TooSlowError):
        await task


@pytest.mark.parametrize(("head", "late"), [(None, 6), (13.0, 1.5)])
async def test_a_body_whose_head_came_after_a_window_is_watched_at_once(
    timers: Timers, head: float | None, late: float
) -> None:
    """As behind a proxy, which is given more time."""
    window = late / 1.2
    watch, heard = Watch(300.0, head, window, 5120), asyncio.Event()

    async def answered() -> None:
        with watch:
            await heard.wait()
            watch.receive(Body())
            await asyncio.Event().wait()

    task = await run(answered())
    timers.ring()
    timers.now = 100 + late
    heard.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    while not task.cancelling():
        timers.ring()
    assert timers.now == pytest.approx(100 + late + window, abs=0.01)
    with pytest.raises(TooSlowError):
        await task


async def test_a_body_that_is_quick_enough_has_to_end_in_time(timers: Timers) -> None:
    body = Body()
    task = await run(receiving(Watch(107.0, 8.0, 5.0, 0), body))
    timers.ring()
    timers.ring()
    assert timers.now == 107
    with pytest.raises(TimeoutError) as caught:
        await task
    assert not isinstance(caught.value, TooSlowError)


async def test_a_timer_that_rings_a_moment_early_counts(timers: Timers) -> None:
    """Else it would be set again and again within the last millisecond."""
    task = await run(receiving(Watch(103.0, 8.0, 5.0, 5120), None))
    timers.ring(early=0.0005)
    with pytest.raises(TimeoutError):
        await task


@pytest.mark.parametrize("rings", [False, True])
async def test_what_another_one_cancels_stays_cancelled(timers: Timers, rings: bool) -> None:
    task = await run(receiving(Watch(103.0, 8.0, 5.0, 5120), None))
    task.cancel()
    if rings:
        timers.ring()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert timers.set == 1
