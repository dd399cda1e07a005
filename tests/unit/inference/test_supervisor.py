"""One slot's supervision, with slots that fail as no real process does on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import numpy as np
import pytest

from tests.support.traces import Traces
from worker.clock import Clock
from worker.errors import ModelError, PredictorCrashedError, PredictorError
from worker.inference.arrays import Pixels, Scores
from worker.inference.batcher import Batcher, Ticket
from worker.inference.calibration import RunTime
from worker.inference.isolation import Poisoned
from worker.inference.slot import Slot
from worker.inference.supervisor import SlotSupervisor
from worker.metrics import Metrics
from worker.tracing.tracer import Tracer

CROP = np.zeros((2, 2, 3), np.uint8)
BOUND = 10.0


class StandIn:
    """A slot whose process comes up, or runs, as the test says."""

    def __init__(self, buffers: int = 1) -> None:
        self.running = False
        self.pid: int | None = None
        self.backend = "stand-in"
        self.buffers = buffers
        self.staged: list[tuple[int, int]] = []
        self.runs: list[tuple[int, int, bool]] = []
        self.starts = 0
        self.solo: list[bool] = []
        self.dropped = False
        self.shares = False
        self.on_prepare: Callable[[], None] = lambda: None
        self.interrupted = threading.Event()
        self.on_start: Callable[[], None] = lambda: None
        self.on_run: Callable[[Sequence[Pixels]], None] = lambda crops: None
        self.on_stage: Callable[[Sequence[Pixels]], None] = lambda crops: None

    def start(self, within: float | None = None) -> None:
        if not self.running:
            self.starts += 1
            self.on_start()
            self.running, self.pid = True, self.starts

    def stage(self, crops: Sequence[Pixels], buffer: int) -> int:
        self.staged.append((len(crops), buffer))
        self.on_stage(crops)
        return self.starts

    def begin_at_once(self, crops: Sequence[Pixels], **_: object) -> None:
        """Leave all runs to `run`."""

    def run(
        self,
        crops: Sequence[Pixels],
        *,
        solo: bool = False,
        buffer: int = 0,
        staged: int | None = None,
    ) -> tuple[Scores, float]:
        self.solo.append(solo)
        self.runs.append((len(crops), buffer, staged == self.starts))
        self.on_run(crops)
        return np.full((len(crops), 2), 0.5, np.float32), 0.001

    def choose(self, backend: str, solo_threads: int = 0, threads: int = 0) -> None:
        self.backend = backend

    def share(self) -> None:
        self.shares = True

    def time(self, crops: Sequence[Pixels], *, solo: bool = False) -> RunTime:
        self.on_run(crops)
        return RunTime(0.001, 0.001)

    def drop_solo(self) -> None:
        self.dropped = True

    def prepare_solo(self) -> None:
        self.on_prepare()

    def interrupt(self) -> None:
        self.interrupted.set()

    def kill(self) -> None:
        self.running = False


class Stage:
    """A supervisor that serves a stand-in, and the batcher that feeds it."""

    def __init__(
        self, tracer: Tracer | None = None, others: int = 0, buffers: int = 1, most: int = 8
    ) -> None:
        self.slot = StandIn(buffers)
        self.now = 0.0
        self.metrics = Metrics()
        self.batcher: Batcher[Pixels, Scores | Poisoned] = Batcher(most)
        self.supervisor = SlotSupervisor(
            cast(Slot, self.slot),
            0,
            self.batcher,
            70.0,
            self.metrics,
            others=others,
            tracer=tracer,
            clock=Clock(lambda: self.now, sleep=self.pause),
        )
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def answer(self) -> Scores | Poisoned:
        async with asyncio.timeout(BOUND):
            return await self.batcher.submit(CROP, 0).result

    def stalled(self) -> bool:
        return self.supervisor.stalled

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def serving(
    tracer: Tracer | None = None, buffers: int = 1, most: int = 8
) -> AsyncIterator[Stage]:
    stage = Stage(tracer, buffers=buffers, most=most)
    await stage.supervisor.start()
    stage.supervisor.serve()
    yield stage
    await stage.supervisor.stop()


async def test_an_image_alone_on_idle_slots_gets_all_cores_and_others_do_not() -> None:
    stage = Stage()
    await stage.supervisor.load("paddle", solo_threads=2)
    stage.supervisor.serve()
    await stage.answer()
    tickets = [stage.batcher.submit(CROP, 0) for _ in range(2)]
    async with asyncio.timeout(BOUND):
        await asyncio.gather(*(ticket.result for ticket in tickets))
    assert stage.slot.solo == [True, False]
    await stage.supervisor.stop()


async def test_who_waits_for_an_image_goes_on_before_it_is_counted() -> None:
    async with serving() as stage:
        await stage.answer()
        assert stage.value("classify_images_total") == 0
        await asyncio.sleep(0)
        assert stage.value("classify_images_total") == 1


async def test_while_another_slot_is_busy_an_image_alone_gets_its_own_slots_threads() -> None:
    stage = Stage(others=1)
    await stage.supervisor.load("paddle", solo_threads=2)
    stage.supervisor.serve()
    await stage.answer()
    assert stage.slot.solo == [False], "no other slot waits for images"
    idle = asyncio.create_task(stage.batcher.take())
    await asyncio.sleep(0)
    await stage.answer()
    assert stage.slot.solo == [False, True]
    assert not idle.done(), "the slot with all cores comes first"
    idle.cancel()
    await asyncio.gather(idle, return_exceptions=True)
    await stage.supervisor.stop()


async def test_a_slot_that_shares_cores_keeps_them_for_an_image_alone() -> None:
    stage = Stage()
    await stage.supervisor.load("paddle", threads=2)
    prepared: list[bool] = []
    stage.slot.on_prepare = lambda: prepared.append(stage.slot.shares)
    stage.supervisor.serve()
    await stage.answer()
    await stage.supervisor.share(1)
    await stage.answer()
    assert stage.slot.solo == [False, False], "the second copy is loaded when it looks again"
    await stage.answer()
    assert stage.slot.solo == [False, False, True], "the other slot is busy"
    assert prepared == [True]
    idle = asyncio.create_task(stage.batcher.take())
    await asyncio.sleep(0)
    await stage.answer()
    assert stage.slot.solo == [False, False, True, False]
    assert not idle.done(), "the slot with all cores comes first"
    idle.cancel()
    await asyncio.gather(idle, return_exceptions=True)
    await stage.supervisor.stop()


async def test_without_memory_for_a_second_copy_images_are_answered_all_the_same() -> None:
    stage = Stage()

    def refuse() -> None:
        raise PredictorError("no memory")

    stage.slot.on_prepare = refuse
    await stage.supervisor.load("paddle", solo_threads=2)
    stage.supervisor.serve()
    await stage.answer()
    assert stage.slot.solo == [False]
    await stage.supervisor.stop()


async def test_an_image_alone_that_fails_is_tried_again_on_the_first_copy() -> None:
    stage = Stage()
    await stage.supervisor.load("paddle", solo_threads=2)
    prepared: list[int | None] = []
    stage.slot.on_prepare = lambda: prepared.append(stage.slot.pid)
    stage.supervisor.serve()

    def fail_solo(crops: Sequence[Pixels]) -> None:
        if stage.slot.solo[-1]:
            raise PredictorError("no memory")

    stage.slot.on_run = fail_solo
    assert isinstance(await stage.answer(), np.ndarray)
    assert stage.slot.solo == [True, False]
    stage.slot.on_run = lambda crops: None
    await stage.answer()
    assert stage.slot.solo == [True, False, True]
    assert prepared == [1, 1], "the second copy is tried by itself before it gets images again"
    await stage.supervisor.stop()


async def test_an_image_does_not_wait_for_a_second_copy_in_a_process_started_for_it() -> None:
    stage = Stage()
    await stage.supervisor.load("paddle", solo_threads=2)
    stage.supervisor.serve()

    def crash_first(crops: Sequence[Pixels]) -> None:
        if stage.slot.starts == 1:
            stage.slot.running = False
            raise PredictorCrashedError("gone")

    stage.slot.on_run = crash_first
    assert isinstance(await stage.answer(), np.ndarray)
    await stage.answer()
    assert stage.slot.solo == [True, False, True]
    await stage.supervisor.stop()


async def test_a_second_copy_that_ends_the_process_keeps_no_image_waiting() -> None:
    stage = Stage(others=1)
    await stage.supervisor.load("paddle", solo_threads=2)
    await stage.supervisor.start()
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stage.slot.on_start = refuse
        crash(stage.slot)(())

    def refuse() -> None:
        loop.call_soon_threadsafe(tried.set)
        raise ModelError("no such file")

    stage.slot.on_prepare = end
    ticket = stage.batcher.submit(CROP, 0)
    stage.supervisor.serve()
    await asyncio.wait_for(tried.wait(), BOUND)
    assert len(stage.batcher) == 1
    taken = stage.value("classify_batches_total", reason="drained")
    assert taken == 0, "a slot that is down must leave the image to others"
    ticket.result.cancel()
    await stage.supervisor.stop()


async def test_a_second_copy_is_loaded_before_it_is_measured() -> None:
    stage = Stage()
    await stage.supervisor.load("paddle", solo_threads=2)
    calls: list[str] = []
    stage.slot.on_prepare = lambda: calls.append("load")
    stage.slot.on_run = lambda crops: calls.append("run")
    await stage.supervisor.solo_pays((2, 2))
    assert calls[:2] == ["load", "run"]
    await stage.supervisor.stop()


async def test_a_second_copy_that_ends_the_process_is_done_without() -> None:
    stage = Stage()
    await stage.supervisor.load("paddle", solo_threads=2)
    await stage.supervisor.start()
    stage.slot.on_run = crash(stage.slot)
    assert not await stage.supervisor.solo_pays((2, 2))
    await stage.supervisor.drop_solo()
    assert stage.slot.dropped
    assert stage.value("classify_predictor_slots") == 0
    stage.slot.on_run = lambda crops: None
    stage.supervisor.serve()
    assert isinstance(await stage.answer(), np.ndarray), "by a process that is started anew"
    assert stage.slot.solo[-1] is False
    assert stage.value("classify_predictor_slots") == 1
    await stage.supervisor.stop()


async def test_a_defect_reaches_who_waits_and_the_slot_goes_on() -> None:
    async with serving() as stage:
        stage.slot.on_run = lambda crops: (_ for _ in ()).throw(ValueError("a defect"))
        with pytest.raises(ValueError, match="a defect"):
            await stage.answer()
        stage.slot.on_run = lambda crops: None
        assert isinstance(await stage.answer(), np.ndarray)
        assert not stage.stalled()


async def test_a_crash_is_counted_and_its_batch_answered_by_the_next_process() -> None:
    async with serving() as stage:

        def crash_once(crops: Sequence[Pixels]) -> None:
            if stage.slot.starts == 1:
                stage.slot.running = False
                raise PredictorCrashedError("gone")

        stage.slot.on_run = crash_once
        assert isinstance(await stage.answer(), np.ndarray)
        assert stage.slot.starts == 2
        assert stage.value("classify_predictor_restarts_total", cause="crash") == 1
        assert stage.value("classify_predictor_slots") == 1


async def test_a_batchs_span_tells_of_the_runs_that_failed() -> None:
    traces = Traces()
    async with serving(traces.tracer) as stage:
        stage.slot.on_run = crash(stage.slot)
        with traces.tracer.request("POST", "/classify", ()):
            origin = traces.tracer.origin()
        ticket = stage.batcher.submit(CROP, 0, origin=origin)
        async with asyncio.timeout(BOUND):
            await ticket.result
    batch = traces.spans["infer"]
    assert [link.context for link in batch.links] == [origin]
    failed = ("run failed", {"error.type": "PredictorCrashedError", "images": 1})
    events = [(event.name, dict(event.attributes or {})) for event in batch.events]
    assert events == [failed] * 2, "it is tried twice"
    wait = traces.spans["batch wait"]
    assert wait.parent is not None
    assert wait.parent.span_id == origin.span_id


async def test_while_its_process_cannot_start_images_wait_and_then_are_answered() -> None:
    async with serving() as stage:
        stage.slot.on_run = crash(stage.slot)
        tried = asyncio.Event()
        loop = asyncio.get_running_loop()

        def refuse() -> None:
            if stage.slot.starts > 4:
                loop.call_soon_threadsafe(tried.set)
            raise ModelError("no such file")

        stage.slot.on_start = refuse
        answer = asyncio.create_task(stage.answer())
        await asyncio.wait_for(tried.wait(), BOUND)
        assert len(stage.batcher) == 1, "a slot that is down must leave the image to others"
        assert stage.value("classify_predictor_slots") == 0
        assert stage.pauses[:2] == [0.5, 1.0]
        stage.slot.on_start = lambda: None
        stage.slot.on_run = lambda crops: None
        assert isinstance(await answer, np.ndarray)


def crash(slot: StandIn) -> Callable[[Sequence[Pixels]], None]:
    def run(crops: Sequence[Pixels]) -> None:
        slot.running = False
        raise PredictorCrashedError("gone")

    return run


async def test_a_slot_that_never_comes_up_is_stalled_however_often_it_is_tried() -> None:
    async with serving() as stage:
        assert not stage.stalled()
        stage.slot.on_run = crash(stage.slot)
        tries = asyncio.Queue[int]()
        loop = asyncio.get_running_loop()

        def refuse() -> None:
            loop.call_soon_threadsafe(tries.put_nowait, stage.slot.starts)
            raise ModelError("no such file")

        stage.slot.on_start = refuse
        waiting = stage.batcher.submit(CROP, 0)
        for _ in range(3):
            await asyncio.wait_for(tries.get(), BOUND)
            stage.now += 30.0
        assert not stage.stalled()
        for _ in range(2):
            await asyncio.wait_for(tries.get(), BOUND)
            stage.now += 30.0
        assert stage.stalled()
        waiting.result.cancel()


def held_run(stage: Stage) -> tuple[threading.Event, threading.Event]:
    """Let the slot's runs last until they are told to end.

    Returns:
        What is set when a run has begun, and what ends it.
    """
    began, end = threading.Event(), threading.Event()

    def run(crops: Sequence[Pixels]) -> None:
        began.set()
        end.wait(BOUND)

    stage.slot.on_run = run
    return began, end


async def test_a_run_that_takes_too_long_is_stalled_and_an_idle_slot_never() -> None:
    async with serving() as stage:
        began, end = held_run(stage)
        answer = asyncio.create_task(stage.answer())
        assert await asyncio.to_thread(began.wait, BOUND)
        stage.now += 99.0
        assert not stage.stalled()
        stage.now += 2.0
        assert stage.stalled()
        end.set()
        await answer
        stage.now += 1e6
        assert not stage.stalled()


async def test_a_slot_is_busy_while_it_computes_and_only_then() -> None:
    async with serving() as stage:
        began, end = held_run(stage)
        stage.now += 50.0
        assert stage.supervisor.busy_seconds == 0
        answer = asyncio.create_task(stage.answer())
        assert await asyncio.to_thread(began.wait, BOUND)
        stage.now += 7.0
        assert stage.supervisor.busy_seconds == 7.0, "a batch that lasts shows before it ends"
        end.set()
        await answer
        stage.now += 50.0
        assert stage.supervisor.busy_seconds == 7.0


async def test_withdrawn_images_of_a_running_batch_are_not_answered() -> None:
    async with serving() as stage:
        began, end = held_run(stage)
        ticket = stage.batcher.submit(CROP, 0)
        assert await asyncio.to_thread(began.wait, BOUND)
        ticket.result.cancel()
        other = asyncio.create_task(stage.answer())
        end.set()
        assert isinstance(await other, np.ndarray)


async def test_stopping_while_a_process_starts_waits_for_its_interruption_alone() -> None:
    stage = Stage()
    began = threading.Event()

    def start() -> None:
        began.set()
        assert stage.slot.interrupted.wait(BOUND)
        raise PredictorCrashedError("interrupted")

    stage.slot.on_start = start
    stage.supervisor.serve()
    assert await asyncio.to_thread(began.wait, BOUND)
    await asyncio.wait_for(stage.supervisor.stop(), BOUND)
    assert stage.slot.starts == 1


class Held:
    """Runs that last until the test lets them end, one after another."""

    def __init__(self, stage: Stage) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = asyncio.Queue[int]()
        self.end = threading.Semaphore(0)
        self.staged = asyncio.Queue[int]()
        stage.slot.on_run = self.run
        stage.slot.on_stage = self.stage

    def run(self, crops: Sequence[Pixels]) -> None:
        self.loop.call_soon_threadsafe(self.began.put_nowait, len(crops))
        assert self.end.acquire(timeout=BOUND)

    def stage(self, crops: Sequence[Pixels]) -> None:
        self.loop.call_soon_threadsafe(self.staged.put_nowait, len(crops))


async def answers(tickets: Sequence[Ticket[Pixels, Scores | Poisoned]]) -> None:
    async with asyncio.timeout(BOUND):
        for ticket in tickets:
            assert isinstance(await ticket.result, np.ndarray)


async def test_a_full_batch_is_put_together_while_another_one_is_computed() -> None:
    async with serving(buffers=2, most=2) as stage:
        held = Held(stage)
        first = [stage.batcher.submit(CROP, 0)]
        async with asyncio.timeout(BOUND):
            assert await held.began.get() == 1
            later = [stage.batcher.submit(CROP, 0) for _ in range(3)]
            assert await held.staged.get() == 2
            assert held.began.empty(), "the first batch is still computed"
            held.end.release()
            assert await held.began.get() == 2
            held.end.release()
            assert await held.began.get() == 1
            held.end.release()
        await answers(first + later)
        assert stage.slot.staged == [(2, 1)]
        assert stage.slot.runs == [(1, 0, False), (2, 1, True), (1, 0, False)]
        assert stage.value("classify_batches_total", reason="full") == 1


async def test_the_next_batch_begins_before_the_answers_of_the_last_one_are_handed_out() -> None:
    async with serving(buffers=2, most=1) as stage:
        held = Held(stage)
        busy: list[bool] = []
        first = stage.batcher.submit(CROP, 0)
        first.result.add_done_callback(lambda _: busy.append(stage.supervisor.busy))
        async with asyncio.timeout(BOUND):
            await held.began.get()
            second = stage.batcher.submit(CROP, 0)
            await held.staged.get()
            held.end.release()
            await first.result
            held.end.release()
        await answers([second])
        assert busy == [True], "the second batch is computed"


async def test_answers_are_handed_out_while_no_batch_follows_or_its_slot_is_down() -> None:
    async with serving(buffers=2, most=1) as stage:
        held = Held(stage)
        first = stage.batcher.submit(CROP, 0)
        async with asyncio.timeout(BOUND):
            await held.began.get()
            held.end.release()
        await answers([first])
        first = stage.batcher.submit(CROP, 0)
        async with asyncio.timeout(BOUND):
            await held.began.get()
            second = stage.batcher.submit(CROP, 0)
            await held.staged.get()
            started = threading.Event()

            def refuse() -> None:
                assert started.wait(BOUND)
                stage.slot.on_run = lambda crops: None

            stage.slot.on_start = refuse
            stage.slot.running = False
            held.end.release()
        await answers([first])
        assert not second.result.done()
        started.set()
        await answers([second])


async def test_a_batch_that_may_still_grow_is_not_put_together_ahead() -> None:
    async with serving(buffers=2, most=8) as stage:
        held = Held(stage)
        first = [stage.batcher.submit(CROP, 0)]
        async with asyncio.timeout(BOUND):
            await held.began.get()
            later = [stage.batcher.submit(CROP, 0) for _ in range(3)]
            await asyncio.sleep(0)
            assert len(stage.batcher) == 3
            held.end.release()
            assert await held.began.get() == 3
            held.end.release()
        await answers(first + later)
        assert stage.slot.staged == []


async def test_what_was_put_together_for_a_process_that_died_is_put_together_anew() -> None:
    async with serving(buffers=2, most=1) as stage:
        held = Held(stage)
        first = stage.batcher.submit(CROP, 0)
        async with asyncio.timeout(BOUND):
            await held.began.get()
            later = stage.batcher.submit(CROP, 0)
            await held.staged.get()

            def crash_once(crops: Sequence[Pixels]) -> None:
                if stage.slot.starts == 1:
                    stage.slot.running = False
                    raise PredictorCrashedError("gone")

            stage.slot.on_run = crash_once
            held.end.release()
        await answers([first, later])
        # The first answer came from a process that was up; the second batch's own run ended it.
        assert stage.slot.runs == [(1, 0, False), (1, 1, True), (1, 1, False)]
        assert stage.slot.starts == 2


async def test_a_slot_that_goes_down_gives_back_what_was_put_together_for_it() -> None:
    async with serving(buffers=2, most=1) as stage:
        held = Held(stage)
        tried = asyncio.Event()
        loop = asyncio.get_running_loop()
        first = stage.batcher.submit(CROP, 0)

        def refuse() -> None:
            if stage.slot.starts > 4:
                loop.call_soon_threadsafe(tried.set)
            raise ModelError("no such file")

        async with asyncio.timeout(BOUND):
            await held.began.get()
            later = stage.batcher.submit(CROP, 0)
            await held.staged.get()
            stage.slot.on_start = refuse
            stage.slot.running = False
            held.end.release()
            await tried.wait()
        assert len(stage.batcher) == 1, "others can answer it"
        stage.slot.on_start = lambda: None
        stage.slot.on_run = lambda crops: None
        await answers([first, later])


async def test_stopping_while_a_batch_is_computed_and_another_one_is_ready_waits_for_none() -> None:
    stage = Stage(buffers=2, most=1)
    held = Held(stage)
    await stage.supervisor.start()
    stage.supervisor.serve()
    tickets = [stage.batcher.submit(CROP, 0)]
    async with asyncio.timeout(BOUND):
        await held.began.get()
        tickets.append(stage.batcher.submit(CROP, 0))
        await held.staged.get()
        stopping = asyncio.create_task(stage.supervisor.stop())
        assert await asyncio.to_thread(stage.slot.interrupted.wait, BOUND)
        held.end.release()
        await stopping
    assert not any(ticket.result.done() for ticket in tickets)
