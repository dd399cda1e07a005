"""Image threads: work that gets no memory is retried, and a thread that hangs is replaced."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from worker.errors import JobError, Reason, Stage
from worker.health import Health
from worker.images.threads import ImageThreads
from worker.metrics import Metrics
from worker.retry import Clock, Retry

BOUND = 20.0
LIMIT = 10.0


class Bench:
    """Image threads with a clock of the test's own, and calls that it holds and lets go."""

    def __init__(self, count: int = 1, timeout: float = LIMIT, **options: Any) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self.threads = ImageThreads(
            count, timeout, self.metrics, clock=Clock(lambda: self.now), **options
        )
        self.held: list[threading.Event] = []

    def hold(self) -> tuple[threading.Event, Callable[[], str]]:
        """An event that is set once a thread is in the call, and the call."""
        began, go_on = threading.Event(), threading.Event()
        self.held.append(go_on)

        def work() -> str:
            began.set()
            assert go_on.wait(BOUND)
            return "done"

        return began, work

    def shortages(self, stage: Stage) -> float | None:
        return self.metrics.registry.get_sample_value(
            "classify_memory_shortages_total", {"stage": stage.value}
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"classify_{name}", labels)

    def close(self) -> None:
        for go_on in self.held:
            go_on.set()
        self.threads.shutdown()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


async def reached(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, BOUND)


async def test_what_a_call_returns_and_raises_comes_out(bench: Bench) -> None:
    assert await bench.threads.run(Stage.DECODE, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await bench.threads.run(Stage.DECODE, lambda: 1 // 0)
    with pytest.raises(JobError, match="broken"):
        await bench.threads.run(Stage.DECODE, lambda: _raise(JobError(Reason.POISON, "broken")))


def _raise(error: Exception) -> None:
    raise error


async def test_pauses_grow_to_seconds() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    threads = ImageThreads(1, BOUND, Metrics(), clock=Clock(sleep=sleep))
    with pytest.raises(JobError) as caught:
        await threads.run(Stage.DECODE, lambda: _raise(MemoryError()))
    assert caught.value.attempts == 5
    assert pauses == pytest.approx([0.1, 0.316, 1.0, 3.0], rel=0.01)
    threads.shutdown()


async def test_who_gets_no_memory_tries_again_until_there_is_some() -> None:
    bench = Bench(retry=Retry(0.0, 0.0, attempts=4))
    tries: list[int] = []

    def work() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise MemoryError
        return "done"

    assert await bench.threads.run(Stage.DECODE, work) == "done"
    assert bench.shortages(Stage.DECODE) == 3
    bench.close()


async def test_a_shortage_that_lasts_is_the_workers_fault_and_no_defect() -> None:
    bench = Bench(retry=Retry(0.0, 0.0, attempts=3))
    with pytest.raises(JobError, match="the worker has no memory left") as caught:
        await bench.threads.run(Stage.DRAW, lambda: _raise(MemoryError()))
    failure = caught.value.as_failure()
    assert (failure.reason, failure.status) == (Reason.UNAVAILABLE, 503)
    assert (failure.stage, failure.attempts) == (Stage.DRAW, 3)
    assert bench.shortages(Stage.DRAW) == 3
    bench.close()


async def test_a_pause_holds_no_thread_and_ends_with_the_job() -> None:
    bench = Bench(retry=Retry(BOUND * 10, BOUND * 10))
    failed = threading.Event()

    def work() -> None:
        failed.set()
        raise MemoryError

    waiting = asyncio.create_task(bench.threads.run(Stage.DECODE, work))
    await reached(failed)
    assert await bench.threads.run(Stage.DECODE, lambda: "next") == "next"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.01)
    bench.close()


async def test_what_a_failed_attempt_had_allocated_is_let_go_before_the_pause() -> None:
    class Pixels:
        alive = 0

        def __init__(self) -> None:
            Pixels.alive += 1

        def __del__(self) -> None:
            Pixels.alive -= 1

    bench = Bench(retry=Retry(0.0, 0.0, attempts=2))
    seen: list[int] = []

    def work() -> None:
        seen.append(Pixels.alive)
        pixels = Pixels()
        raise MemoryError(str(pixels.alive))

    gc.disable()
    try:
        with pytest.raises(JobError):
            await bench.threads.run(Stage.DECODE, work)
    finally:
        gc.enable()
    assert seen == [0, 0]
    bench.close()


async def test_a_call_that_hangs_is_given_up_and_its_thread_is_no_life() -> None:
    bench = Bench(count=2, timeout=0.05)
    health = Health(BOUND, bench.metrics, kafka=False)
    health.images_stalled = lambda: bench.threads.stalled
    began, work = bench.hold()
    hung = asyncio.create_task(bench.threads.run(Stage.DECODE, work))
    await reached(began)
    assert health.not_live() == []
    bench.now += 0.05
    with pytest.raises(JobError, match=r"the decode stage did not end within 0\.05 s") as caught:
        await asyncio.wait_for(hung, BOUND)
    assert caught.value.reason is Reason.POISON
    assert caught.value.as_failure().stage is Stage.DECODE
    assert health.not_live() == ["decoding or drawing an image makes no progress"]
    # The other thread goes on.
    assert await bench.threads.run(Stage.DECODE, lambda: 7) == 7
    assert health.not_live() != []
    bench.held[0].set()
    await _until(lambda: not bench.threads.stalled)
    assert health.not_live() == []
    bench.close()


async def test_others_go_on_when_all_threads_hang() -> None:
    bench = Bench(count=2, timeout=0.05)
    hung = []
    for _ in range(2):
        began, work = bench.hold()
        hung.append(asyncio.create_task(bench.threads.run(Stage.DECODE, work)))
        await reached(began)
    good = [asyncio.create_task(bench.threads.run(Stage.DECODE, lambda: 7)) for _ in range(20)]
    hung[0].cancel()  # whether its job still waits or not
    bench.now += 0.05
    assert await asyncio.wait_for(asyncio.gather(*good), BOUND) == [7] * 20
    assert bench.threads.stalled
    with pytest.raises(JobError):
        await hung[1]
    for go_on in bench.held:
        go_on.set()
    await _until(lambda: not bench.threads.stalled)
    bench.close()


async def test_only_so_many_threads_are_replaced() -> None:
    bench = Bench(count=1, timeout=0.05)
    idents: list[int] = []

    def in_thread(work: Callable[[], str]) -> str:
        idents.append(threading.get_ident())
        return work()

    for _ in range(2):
        began, work = bench.hold()
        hung = asyncio.create_task(bench.threads.run(Stage.DECODE, partial(in_thread, work)))
        await reached(began)
        bench.now += 0.05
        with pytest.raises(JobError):
            await asyncio.wait_for(hung, BOUND)
    replaced, lost = idents
    waiting = asyncio.create_task(bench.threads.run(Stage.DECODE, threading.get_ident))
    bench.held[1].set()  # a thread that comes back goes on, if no other has taken its place
    assert await asyncio.wait_for(waiting, BOUND) == lost != replaced
    bench.close()


def stalled(bench: Bench) -> bool:
    return bench.threads.stalled


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND):
        while not condition():  # noqa: ASYNC110 - a thread's end tells nobody
            await asyncio.sleep(0.001)


async def test_a_long_queue_is_no_alarm(bench: Bench) -> None:
    calls = [bench.hold() for _ in range(5)]
    running = [asyncio.create_task(bench.threads.run(Stage.DECODE, work)) for _, work in calls]
    for number, (began, _) in enumerate(calls):
        # Each call takes nearly as long as it may, so that the last one waits for much longer.
        await reached(began)
        bench.now += 0.9 * LIMIT
        assert not bench.threads.stalled
        bench.held[number].set()
        assert await asyncio.wait_for(running[number], BOUND) == "done"


async def test_a_call_is_not_overdue_before_its_time(bench: Bench) -> None:
    began, work = bench.hold()
    running = asyncio.create_task(bench.threads.run(Stage.DECODE, work))
    await reached(began)
    bench.now += LIMIT - 0.01
    assert not bench.threads.stalled
    bench.now += 0.01
    assert stalled(bench)
    bench.held[0].set()
    assert await running == "done"
    assert not stalled(bench)


async def test_cancelling_withdraws_a_call_that_waits(bench: Bench) -> None:
    began, work = bench.hold()
    first = asyncio.create_task(bench.threads.run(Stage.DECODE, work))
    await reached(began)
    done: list[int] = []
    second = asyncio.create_task(bench.threads.run(Stage.DECODE, lambda: done.append(1)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    bench.held[0].set()
    assert await first == "done"
    assert await bench.threads.run(Stage.DECODE, lambda: len(done)) == 0


async def test_a_thread_whose_job_was_withdrawn_still_counts(bench: Bench) -> None:
    began, work = bench.hold()
    running = asyncio.create_task(bench.threads.run(Stage.DECODE, work))
    await reached(began)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    bench.now += LIMIT
    assert bench.threads.stalled
    bench.held[0].set()
    await _until(lambda: not bench.threads.stalled)


async def test_of_what_failed_nothing_is_held(bench: Bench) -> None:
    """Not even until the garbage collector runs, which an idle process may never see."""

    class Image:
        """Stands for the bytes of a job."""

    def refuse(image: Image) -> None:
        raise JobError(Reason.CORRUPT_IMAGE, f"{image!r} is cut off")

    async def failed() -> weakref.ref[Image]:
        image = Image()
        with pytest.raises(JobError):
            await bench.threads.run(Stage.DECODE, partial(refuse, image))
        return weakref.ref(image)

    gc.disable()
    try:
        image = await failed()
        # The only thread has done with the first call when it does the next.
        await bench.threads.run(Stage.DECODE, lambda: None)
        assert image() is None
    finally:
        gc.enable()


async def test_how_busy_threads_are_and_what_waits_for_them_shows() -> None:
    bench = Bench(count=2)
    assert bench.value("image_threads") == 2
    assert bench.value("image_threads_busy_seconds_total") == 0
    calls = []
    for _ in range(2):
        began, work = bench.hold()
        calls.append(asyncio.create_task(bench.threads.run(Stage.DECODE, work)))
        await reached(began)
    waiting = [
        asyncio.create_task(bench.threads.run(stage, lambda: "done"))
        for stage in (Stage.DECODE, Stage.DRAW, Stage.DRAW)
    ]
    await asyncio.sleep(0)
    assert bench.value("queued_images", stage="decode") == 1
    assert bench.value("queued_images", stage="draw") == 2
    bench.now += 3.0
    assert bench.value("image_threads_busy_seconds_total") == 6.0, "while they still are"
    for go_on in bench.held:
        go_on.set()
    await asyncio.wait_for(asyncio.gather(*calls, *waiting), BOUND)
    bench.now += 100.0
    assert bench.value("image_threads_busy_seconds_total") == 6.0
    assert bench.value("queued_images", stage="draw") == 0
    bench.close()


async def test_a_thread_that_hangs_is_busy_until_it_is_given_up() -> None:
    bench = Bench(count=1, timeout=0.05)
    for _ in range(2):
        began, work = bench.hold()
        hung = asyncio.create_task(bench.threads.run(Stage.DECODE, work))
        await reached(began)
        bench.now += 0.05
        with pytest.raises(JobError):
            await asyncio.wait_for(hung, BOUND)
    assert bench.value("image_threads") == 0, "only one is replaced"
    bench.now += 100.0
    assert bench.value("image_threads_busy_seconds_total") == pytest.approx(0.1)
    for go_on in bench.held:
        go_on.set()
    await _until(lambda: bench.value("image_threads") == 1)
    assert bench.value("image_threads_busy_seconds_total") == pytest.approx(0.1)
    bench.close()
