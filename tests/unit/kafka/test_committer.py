"""Commits: the settled prefix and nothing beyond, on the real broker and with one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError
from aiokafka.structs import OffsetAndMetadata
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.commits import fails, settle, track
from tests.support.topics import CreateTopic
from worker.kafka.assignment import Assignment
from worker.kafka.client import make_consumer, stop_bounded
from worker.kafka.committer import Committer
from worker.metrics import Metrics
from worker.settings import KafkaSettings

ZERO, ONE = TopicPartition("jobs", 0), TopicPartition("jobs", 1)

BOUND = 20.0


class Broker:
    """A consumer's side of commits, as it goes wrong."""

    def __init__(self) -> None:
        self.committed: list[dict[TopicPartition, int]] = []
        self.under_way = 0
        self.calls = 0
        self.answer: Callable[[], Any] = lambda: asyncio.sleep(0)

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        self.calls += 1
        self.under_way += 1
        assert self.under_way == 1, "an older commit could land after a newer one"
        try:
            await self.answer()
            self.committed.append({tp: entry.offset for tp, entry in offsets.items()})
        finally:
            self.under_way -= 1

    async def position(self, partition: TopicPartition) -> int:
        return 30

    def drop_coordinator(self) -> None:
        """For a machine so slow that a test lasts as long as that."""


def committing(patience: float = BOUND) -> tuple[Broker, Assignment, Committer, Metrics]:
    broker, assignment, metrics = Broker(), Assignment(), Metrics()
    assignment.assign([ZERO, ONE])
    consumer: Any = broker
    return broker, assignment, Committer(consumer, assignment, 0.01, metrics, patience), metrics


async def test_nothing_settled_is_nothing_to_commit() -> None:
    broker, assignment, committer, _ = committing()
    track(assignment, ZERO, 0, 1)
    settle(assignment, ZERO, 1)
    assert await committer.commit()
    assert broker.committed == []


async def test_each_position_is_committed_once() -> None:
    broker, assignment, committer, metrics = committing()
    track(assignment, ZERO, 5, 6)
    track(assignment, ONE, 0)
    settle(assignment, ZERO, 5)
    await committer.commit()
    await committer.commit()
    settle(assignment, ONE, 0)
    await committer.commit()
    assert broker.committed == [{ZERO: 6}, {ONE: 1}]
    assert metrics.registry.get_sample_value("classify_commits_total", {"outcome": "success"}) == 2


@pytest.mark.parametrize("error", [KafkaConnectionError("down"), CommitFailedError("rebalanced")])
async def test_a_commit_that_fails_is_due_again(error: Exception) -> None:
    broker, assignment, committer, metrics = committing()
    track(assignment, ZERO, 0, 1)
    settle(assignment, ZERO, 0)

    async def fail() -> None:
        raise error

    broker.answer = fail
    assert not await committer.commit()
    broker.answer = lambda: asyncio.sleep(0)
    settle(assignment, ZERO, 1)
    assert await committer.commit()
    assert broker.committed == [{ZERO: 2}]
    assert metrics.registry.get_sample_value("classify_commits_total", {"outcome": "failure"}) == 1


async def test_a_broker_that_does_not_answer_holds_nothing_up() -> None:
    broker, assignment, committer, _ = committing()
    track(assignment, ZERO, 0)
    settle(assignment, ZERO, 0)
    broker.answer = lambda: asyncio.sleep(3600)
    async with asyncio.timeout(BOUND):
        assert not await committer.commit(0.01)
    broker.answer = lambda: asyncio.sleep(0)
    assert await committer.commit()
    assert broker.committed == [{ZERO: 1}]


async def test_an_attempt_that_takes_long_is_waited_for_not_made_again() -> None:
    broker, assignment, committer, metrics = committing(patience=0.02)
    track(assignment, ZERO, 0, 1)
    settle(assignment, ZERO, 0)
    gate = asyncio.Event()
    broker.answer = gate.wait
    running = asyncio.create_task(committer.run())
    await fails(metrics, 3)
    settle(assignment, ZERO, 1)
    assert (broker.calls, broker.under_way) == (1, 1)
    gate.set()
    async with asyncio.timeout(BOUND):
        while len(broker.committed) < 2:  # noqa: ASYNC110 - the timer is what is tested
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert broker.committed == [{ZERO: 1}, {ZERO: 2}]


async def test_a_commit_on_demand_takes_the_place_of_the_timers_and_has_the_newest() -> None:
    broker, assignment, committer, metrics = committing(patience=0.02)
    track(assignment, ZERO, 0, 1)
    settle(assignment, ZERO, 0)
    broker.answer = lambda: asyncio.sleep(3600)
    running = asyncio.create_task(committer.run())
    await fails(metrics, 1)
    settle(assignment, ZERO, 1)
    broker.answer = lambda: asyncio.sleep(0)
    assert await committer.commit(BOUND)
    assert broker.committed == [{ZERO: 2}]
    assert not running.done(), "the timer goes on"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert broker.under_way == 0


async def test_commits_do_not_cross() -> None:
    broker, assignment, committer, _ = committing()
    track(assignment, ZERO, *range(6))
    gate = asyncio.Event()
    broker.answer = gate.wait
    settle(assignment, ZERO, 0)
    first = asyncio.create_task(committer.commit())
    await asyncio.sleep(0)
    settle(assignment, ZERO, 1, 2)
    second = asyncio.create_task(committer.commit())
    await asyncio.sleep(0)
    settle(assignment, ZERO, 3)
    gate.set()
    assert all(await asyncio.gather(first, second))
    assert broker.committed == [{ZERO: 1}, {ZERO: 4}]


async def test_the_timer_goes_on_after_failures_and_learns_where_reading_began() -> None:
    broker, assignment, committer, _ = committing()
    track(assignment, ZERO, 20)
    failures = 3

    async def fail_at_first() -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise KafkaConnectionError("down")

    broker.answer = fail_at_first
    settle(assignment, ZERO, 20)
    running = asyncio.create_task(committer.run())
    async with asyncio.timeout(BOUND):
        while not broker.committed:  # noqa: ASYNC110 - the timer is what is tested
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert broker.committed == [{ZERO: 21}]
    assert [state.start for state in assignment] == [20, 30]


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
@settings(max_examples=60, deadline=None)
def test_no_commit_passes_an_unsettled_offset(order: list[int], commits_after: set[int]) -> None:
    async def run() -> None:
        broker, assignment, committer, _ = committing()
        track(assignment, ZERO, *range(12))
        done: set[int] = set()
        for step, offset in enumerate(order):
            settle(assignment, ZERO, offset)
            done.add(offset)
            if step in commits_after:
                await committer.commit()
                unsettled = min(set(range(13)) - done)
                positions = [commit[ZERO] for commit in broker.committed]
                assert (positions[-1] if positions else 0) == unsettled
                assert positions == sorted(set(positions))

    asyncio.run(run())


@pytest.fixture
async def consumer(
    kafka: KafkaSettings, create_topic: CreateTopic
) -> AsyncIterator[AIOKafkaConsumer]:
    await create_topic(kafka.jobs_topic)
    consumer = make_consumer(kafka)
    consumer.subscribe([kafka.jobs_topic])
    await consumer.start()
    yield consumer
    await stop_bounded(consumer, "consumer")


async def test_reading_began_at_offset_0_when_that_is_the_first_job() -> None:
    broker, assignment, committer, _ = committing()
    track(assignment, ZERO, 0)
    running = asyncio.create_task(committer.run())
    async with asyncio.timeout(BOUND):
        while any(state.start is None for state in assignment):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [state.start for state in assignment] == [0, 30]
    assert broker.committed == []
