"""Retry partitions on the real broker: they wait by the test's clock, and hold nothing meanwhile.

Jobs are in partition 0 of their topic, retries in partition 1 of theirs, so that a place says which
of the two it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from tests.support.member import BOUND, Member
from tests.support.topics import CreateTopic, Fill
from worker.clock import Clock
from worker.settings import KafkaSettings

DELAY = 600.0
PAST, LATER = -1.0, 500.0

FillRetries = Callable[..., Awaitable[None]]


class Time:
    """Moves when the test says."""

    def __init__(self) -> None:
        self._begun, self._passed = time.time(), 0.0
        self.clock = Clock(lambda: self._passed, lambda: self._begun + self._passed)

    def ahead(self, seconds: float) -> int:
        """A time from now on, in milliseconds since the epoch."""
        return round((self._begun + self._passed + seconds) * 1000)

    def goes_by(self, seconds: float) -> None:
        self._passed += seconds


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def later(kafka: KafkaSettings, create_topic: CreateTopic) -> str:
    """The retry topic; the jobs topic is there as well."""
    await create_topic(kafka.jobs_topic)
    return await create_topic(f"{kafka.jobs_topic}-retry-10m", 2)


@pytest.fixture
def fill_retries(kafka: KafkaSettings, later: str, clock: Time) -> FillRetries:
    """Writes a record that is due in so many seconds, for each number."""

    async def write(*due: float) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            for seconds in due:
                header = ("job-retry-not-before-ms", b"%d" % clock.ahead(seconds))
                await producer.send_and_wait(later, b"v" * 1000, partition=1, headers=[header])

    return write


async def waits(member: Member, records: int) -> None:
    """Return once the retry partition waits for so many records, and nothing of it is held."""
    async with asyncio.timeout(BOUND):
        while True:
            progress = member.assignment.progress((), member.retries)
            waiting = [each.lag for each in progress if each.waiting and each.partition == 1]
            paused = member.consumer.paused()
            if waiting == [records] and {each.partition for each in paused} == {1}:
                return
            await asyncio.sleep(0.02)


async def test_a_retry_that_waits_holds_nothing_and_nobody_up(
    kafka: KafkaSettings, later: str, clock: Time, fill: Fill, fill_retries: FillRetries
) -> None:
    await fill_retries(PAST, LATER, PAST)
    async with Member(kafka, retries={later: DELAY}, clock=clock.clock) as member:
        await member.reach((1, 0))
        member.finish((1, 0))
        await member.reach_committed(1, 1, later)
        await waits(member, 2)
        assert member.consumer.fetched_bytes == 0
        assert member.budget.jobs == 0
        assert member.budget.bytes == 0
        assert member.value("classify_paused_partitions") == 0, "it is at no limit"
        await fill(kafka.jobs_topic, 3)
        await member.reach((0, 0), (0, 1), (0, 2))
        member.finish((0, 0), (0, 1), (0, 2))
        await member.reach_committed(0, 3)
        await member.beats(2)
        assert await member.committed(1, later) == 1
        # What waits on purpose is neither lag nor work.
        member.metrics.watch_partitions(lambda: member.assignment.progress((), member.retries))
        labels = {"topic": kafka.jobs_topic, "partition": "0"}
        async with asyncio.timeout(BOUND):
            while member.value("classify_partition_lag_records", **labels):  # noqa: ASYNC110 - asked on a timer
                await asyncio.sleep(0.02)
        assert member.lag.time_to_drain() == 0
        own = {"topic": later, "partition": "1"}
        assert member.value("classify_retry_waiting_records", **own) == 2
        registry = member.metrics.registry
        assert registry.get_sample_value("classify_partition_lag_records", own) is None
        clock.goes_by(LATER + 1)
        await member.reach((1, 1), (1, 2))
        member.finish_all()
        await member.reach_committed(1, 3, later)


async def test_a_restart_while_a_retry_waits_loses_nothing(
    kafka: KafkaSettings, later: str, clock: Time, fill_retries: FillRetries
) -> None:
    # A new group begins at the first retry, wherever it begins among the jobs.
    latest = kafka.model_copy(update={"auto_offset_reset": "latest"})
    await fill_retries(LATER, LATER)
    for _ in range(2):
        async with Member(latest, retries={later: DELAY}, clock=clock.clock) as member:
            await waits(member, 2)
            await member.reach_committed(1, 0, later)
            assert member.started == []
    clock.goes_by(LATER + 1)
    async with Member(latest, retries={later: DELAY}, clock=clock.clock) as member:
        await member.reach((1, 0), (1, 1))
        member.finish_all()
        await member.reach_committed(1, 2, later)


async def test_a_time_that_was_forged_holds_a_partition_for_its_delay_at_most(
    kafka: KafkaSettings, later: str, clock: Time, fill_retries: FillRetries
) -> None:
    await fill_retries(10.0**9, 10.0**9, 10.0**9)
    async with Member(kafka, retries={later: DELAY}, clock=clock.clock) as member:
        await waits(member, 3)
        await member.beats(2)
        clock.goes_by(DELAY + 1)
        await member.reach((1, 0), (1, 1), (1, 2))
        member.finish_all()


async def test_retries_that_are_due_leave_most_of_the_worker_to_jobs(
    kafka: KafkaSettings, later: str, clock: Time, fill: Fill, fill_retries: FillRetries
) -> None:
    await fill_retries(*[PAST] * 10)
    async with Member(kafka, max_jobs=8, retries={later: DELAY}, clock=clock.clock) as member:
        await member.reach((1, 0), (1, 1))
        await member.beats(2)
        await fill(kafka.jobs_topic, 20)
        retries = [(1, 0), (1, 1)]
        await member.reach(*retries, *((0, offset) for offset in range(6)))
        member.finish(*((0, offset) for offset in range(6)))
        await member.reach(*retries, *((0, offset) for offset in range(6, 12)))
        member.finish_all()
        await member.reach_committed(0, 20)
        await member.reach_committed(1, 10, later)
        assert member.most[1] == 2


async def test_a_partition_that_is_given_up_waits_anew(
    kafka: KafkaSettings, later: str, clock: Time, fill_retries: FillRetries
) -> None:
    await fill_retries(LATER)
    async with Member(kafka, retries={later: DELAY}, clock=clock.clock) as member:
        await waits(member, 1)
        async with Member(kafka, retries={later: DELAY}, clock=clock.clock) as other:
            async with asyncio.timeout(BOUND):
                while not 0 < len(other.assignment) == 3 - len(member.assignment):  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.02)
            owner = other if TopicPartition(later, 1) in other.consumer.assignment() else member
            await waits(owner, 1)
            clock.goes_by(LATER + 1)
            await owner.reach((1, 0))
            owner.finish_all()
            await owner.reach_committed(1, 1, later)
