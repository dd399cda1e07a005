"""How leaders are asked where partitions end, with leaders that answer when the test says."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Collection
from typing import cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import NotLeaderForPartitionError

from worker.clock import Clock
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.consumer import Consumer
from worker.kafka.lag import INTERVAL, LagWatch

A, B, C = (TopicPartition("jobs", number) for number in range(3))
Answer = dict[TopicPartition, int] | Exception
BOUND = 10.0


class Leaders:
    """Stands in for the consumer: knows the leaders, and passes questions on to the test."""

    def __init__(self) -> None:
        self.of: dict[TopicPartition, int | None] = {A: 1, B: 1, C: 2}
        self.questions: asyncio.Queue[tuple[set[TopicPartition], asyncio.Future[Answer]]] = (
            asyncio.Queue()
        )

    def connected_leader(self, partition: TopicPartition) -> int | None:
        return self.of[partition]

    async def ask_ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.questions.put_nowait((set(partitions), answer))
        found = await answer
        if isinstance(found, Exception):
            raise found
        return found

    async def question(self) -> tuple[set[TopicPartition], asyncio.Future[Answer]]:
        async with asyncio.timeout(BOUND):
            return await self.questions.get()


class Bench:
    """A watch over three partitions, with a clock that moves when the test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.leaders = Leaders()
        self.assignment = Assignment()
        self.assignment.assign([A, B, C])
        for state in self.assignment:
            state.start, state.end_known_at = 0, self.now
        self._ticks: asyncio.Queue[None] = asyncio.Queue()
        self._asleep = asyncio.Event()
        clock = Clock(lambda: self.now, sleep=self._sleep)
        self.watch = LagWatch(cast(Consumer, self.leaders), self.assignment, 2.0, clock=clock)

    async def _sleep(self, seconds: float) -> None:
        assert seconds == INTERVAL
        self._asleep.set()
        await self._ticks.get()

    async def tick(self, seconds: float = INTERVAL) -> None:
        """Let an interval pass, until the watch sleeps again."""
        await self.settle()
        async with asyncio.timeout(BOUND):
            await self._asleep.wait()
            self._asleep.clear()
            self.now += seconds
            self._ticks.put_nowait(None)
            await self._asleep.wait()

    async def answer(self, **ends: int) -> None:
        """Answer all questions that are open or come before the watch sleeps."""
        known = {"a": A, "b": B, "c": C}
        for partitions, answer in [await self.leaders.question() for _ in range(2)]:
            found = {known[name]: end for name, end in ends.items() if known[name] in partitions}
            answer.set_result(found)
        await self.settle()

    async def settle(self) -> None:
        """Let the watch take note of answers: some turns of the loop, no time."""
        for _ in range(5):
            await asyncio.sleep(0)

    def state(self, partition: TopicPartition) -> PartitionState:
        state = self.assignment.get(partition)
        assert state is not None
        return state

    def lags(self) -> list[int | None]:
        return [each.lag for each in self.assignment.progress()]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    running = asyncio.create_task(made.watch.run())
    yield made
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_each_leader_is_asked_for_all_its_partitions_at_once(bench: Bench) -> None:
    asked = [(await bench.leaders.question())[0] for _ in range(2)]
    assert sorted(asked, key=len) == [{C}, {A, B}]


async def test_lag_is_what_the_last_answer_gives(bench: Bench) -> None:
    assert bench.lags() == [None, None, None]
    await bench.answer(a=10, b=20, c=30)
    assert bench.lags() == [10, 20, 30]
    await bench.tick()
    assert bench.watch.age() == INTERVAL
    bench.state(A).committed = 4
    await bench.answer(a=11, b=20, c=30)
    assert bench.lags() == [7, 20, 30]
    assert bench.watch.age() == 0


async def test_a_leader_that_is_silent_holds_up_no_other_and_is_not_asked_twice(
    bench: Bench,
) -> None:
    silent = None
    for _ in range(2):
        partitions, answer = await bench.leaders.question()
        if partitions == {C}:
            silent = answer
        else:
            answer.set_result({A: 1, B: 2})
    for second in range(1, 30):
        await bench.tick()
        partitions, answer = await bench.leaders.question()
        assert partitions == {A, B}
        answer.set_result({A: 1 + second, B: 2})
    await bench.tick()
    assert bench.lags() == [30, 2, None]
    assert bench.watch.age() == 30, "what is not known any more shows"
    assert silent is not None
    silent.set_result({C: 5})
    await bench.tick()
    assert bench.lags() == [30, 2, 5]


@pytest.mark.parametrize("error", [NotLeaderForPartitionError(), KeyError("a defect of a library")])
async def test_after_an_error_the_leader_is_asked_again(bench: Bench, error: Exception) -> None:
    for _ in range(2):
        (await bench.leaders.question())[1].set_result(error)
    await bench.tick()
    await bench.answer(a=1, b=2, c=3)
    assert bench.lags() == [1, 2, 3]


async def test_a_leader_without_a_connection_is_not_asked(bench: Bench) -> None:
    await bench.answer(a=1, b=1, c=1)
    bench.leaders.of = {A: None, B: 2, C: 2}
    await bench.tick()
    assert (await bench.leaders.question())[0] == {B, C}
    assert bench.leaders.questions.empty()


async def test_time_to_drain_follows_what_is_left(bench: Bench) -> None:
    assert bench.watch.time_to_drain() is None, "no leader has answered"
    await bench.answer(a=0, b=0, c=0)
    assert bench.watch.time_to_drain() == 0, "idle"
    await bench.tick()
    await bench.answer(a=1000, b=0, c=0)
    assert bench.watch.time_to_drain() is None, "and nothing was ever done"
    ledger = bench.state(A).ledger
    for offset in range(500):
        ledger.track(offset)
    for offset in range(100):
        ledger.settle(offset)
    await bench.tick()
    half = 1.0  # of the time between commits
    assert bench.watch.time_to_drain() == 900 / 100 + half
    ledger.settle(499)
    assert bench.watch.time_to_drain() == 899 / 100 + half, "in whatever order"


async def test_time_to_drain_is_infinite_while_nothing_is_done(bench: Bench) -> None:
    await bench.answer(a=1000, b=0, c=0)
    await bench.tick(60.0)
    assert bench.watch.time_to_drain() == math.inf


async def test_a_new_assignment_is_no_progress(bench: Bench) -> None:
    await bench.answer(a=1000, b=0, c=0)
    await bench.tick()
    bench.assignment.assign([A])
    bench.state(A).start = 900
    bench.state(A).note_end(1000, bench.now)
    await bench.tick()
    assert bench.watch.time_to_drain() is None
    bench.assignment.assign([])
    assert bench.watch.time_to_drain() == 0, "a spare replica"
    bench.assignment.accepting = False
    assert bench.watch.time_to_drain() is None, "a rebalance"
    bench.assignment.accepting = True
    assert bench.watch.age() is None


async def test_records_that_are_lost_are_no_progress(bench: Bench) -> None:
    await bench.answer(a=1000, b=0, c=0)
    await bench.tick()
    state = bench.state(A)
    state.start = state.lost_to = 900
    await bench.tick()
    assert bench.watch.time_to_drain() is None, "nothing was done"


async def test_what_waits_on_purpose_is_neither_work_nor_lag() -> None:
    now = 100.0
    assignment = Assignment(clock=Clock(lambda: now))
    retries = TopicPartition("later-10s", 0)
    assignment.assign([A, retries])
    watch = LagWatch(
        cast(Consumer, Leaders()), assignment, 2.0, clock=Clock(lambda: now), waiting={"later-10s"}
    )
    for state in assignment:
        state.start = 0
        state.note_end(5 if state.partition == retries else 0, now)
    assert watch.time_to_drain() == 0
    assignment.assign([retries])
    assert watch.time_to_drain() == 0, "a spare replica, as far as jobs are concerned"
    found = {
        each.topic: (each.lag, each.waiting)
        for each in assignment.progress((), waiting={"later-10s"})
    }
    assert found == {"later-10s": (None, True)}
