"""What is fetched ahead has one limit for all partitions, and none can use it up alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.fetch import FetchRequest
from structlog.testing import capture_logs

from tests.support.member import BOUND, Member
from tests.support.topics import CreateTopic, Fill
from worker.kafka.batches import SKIPPED
from worker.kafka.client import make_consumer
from worker.kafka.fetcher import SMALLEST_SHARE
from worker.settings import KafkaSettings

VALUE = bytes(100_000)


async def send_batch(kafka: KafkaSettings, partition: int, count: int) -> None:
    """Send one uncompressed batch."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, max_batch_size=1 << 30, max_request_size=1 << 30
    ) as producer:
        batch = producer.create_batch()
        for _ in range(count):
            assert batch.append(key=None, value=VALUE, timestamp=None) is not None
        await (await producer.send_batch(batch, kafka.jobs_topic, partition=partition))


async def test_a_poll_takes_no_more_bytes_than_are_free(
    kafka: KafkaSettings, create_topic: CreateTopic
) -> None:
    await create_topic(kafka.jobs_topic)
    await send_batch(kafka, 0, 10)
    async with Member(kafka, max_bytes=2 * len(VALUE) + 1) as member:
        for first in (0, 3, 6):
            await member.reach(*((0, first + n) for n in range(3)))
            await member.beats(2)
            assert member.consumer.fetched_bytes > 10 * len(VALUE)
            member.finish(*member.running)
        await member.reach((0, 9))
        # With its last record a batch is let go of.
        assert member.consumer.fetched_bytes == 0
        assert member.most == {0: 3}


async def test_a_partition_that_is_full_lets_go_of_what_others_need_and_fetches_it_again(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    await send_batch(kafka, 0, 8)
    tight = kafka.model_copy(update={"fetch_max_bytes": 4 * len(VALUE)})
    async with Member(tight, partition_max_jobs=2) as member:
        await member.reach((0, 0), (0, 1))
        assert member.consumer.fetched_bytes > tight.fetch_max_bytes, "a batch comes whole"
        await fill(kafka.jobs_topic, 2, 1)
        await member.reach((0, 0), (0, 1), (1, 0), (1, 1))
        assert member.consumer.fetched_bytes == 0
        member.finish_all()
        await member.reach_committed(0, 8)
        await member.reach_committed(1, 2)
        assert sorted(member.started) == [*((0, n) for n in range(8)), (1, 0), (1, 1)]


class Altered:
    """Changes what brokers answer to a member's fetches, from the next one on.

    Args:
        change: from one partition's fields to others.
    """

    def __init__(
        self, member: Member, change: Callable[[list[Any]], list[Any]], throttled: int = 0
    ) -> None:
        self._send = member.consumer._client.send
        self._change = change
        self._throttled = throttled
        self._asked = asyncio.Event()
        self.filled = 0
        member.consumer._client.send = self._send_altered

    async def begun(self) -> None:
        """Wait until no fetch is under way that was sent before."""
        async with asyncio.timeout(BOUND):
            await self._asked.wait()

    async def brings(self, count: int) -> None:
        """Wait for so many answers that had records."""
        async with asyncio.timeout(BOUND):
            while self.filled < count:  # noqa: ASYNC110 - a broker sends no event
                await asyncio.sleep(0.005)

    async def _send_altered(self, node: int, request: Any, **options: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await self._send(node, request, **options)
        self._asked.set()
        response = await self._send(node, request, **options)
        response.topics = [
            (topic, [self._alter(list(fields)) for fields in partitions])
            for topic, partitions in response.topics
        ]
        response.throttle_time_ms = self._throttled
        return response

    def _alter(self, fields: list[Any]) -> list[Any]:
        if not fields[-1]:
            return fields
        self.filled += 1
        return self._change(fields)


@pytest.mark.parametrize("throttled", [0, 1000])
async def test_an_answer_that_a_quota_empties_is_no_damage(
    kafka: KafkaSettings,
    create_topic: CreateTopic,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    throttled: int,
) -> None:
    monkeypatch.setattr("worker.kafka.fetch_buffer.RETRY", 0.0)
    await create_topic(kafka.jobs_topic)
    emptied = True
    async with Member(kafka) as member:
        await member.reach_committed(0, 0)
        altered = Altered(
            member, lambda fields: [*fields[:-1], b""] if emptied else fields, throttled
        )
        await altered.begun()
        await fill(kafka.jobs_topic, 1)
        await altered.brings(3)
        damaged = member.consumer.damaged.keys()
        assert damaged == (set() if throttled else {TopicPartition(kafka.jobs_topic, 0)})
        emptied = False
        await member.reach((0, 0))
        assert member.consumer.damaged == {}


@pytest.mark.parametrize("code", [5, 8, 9, 13, 74])
async def test_a_broker_that_cannot_serve_a_partition_for_now_is_asked_again_without_an_alarm(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, code: int
) -> None:
    await create_topic(kafka.jobs_topic)
    async with Member(kafka) as member:
        await member.reach_committed(0, 0)

        def refuse_once(fields: list[Any]) -> list[Any]:
            return fields if altered.filled > 1 else [fields[0], code, *fields[2:-1], b""]

        altered = Altered(member, refuse_once)
        await altered.begun()
        with capture_logs() as logs:
            await fill(kafka.jobs_topic, 1)
            await member.reach((0, 0))
        assert altered.filled > 1
        assert [entry for entry in logs if entry["event"] == "partition_unreadable"] == []


async def test_records_beyond_the_end_that_came_with_them_are_fetched_again_not_called_damage(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    """A broker looks where the end is, appends, and reads, in this order."""
    await create_topic(kafka.jobs_topic)
    async with Member(kafka) as member:
        await member.reach_committed(0, 0)
        # Each offset's first answer tells an end that is one record old.
        ends: set[int] = set()

        def outdate(fields: list[Any]) -> list[Any]:
            end = fields[2]
            if end not in ends:
                ends.add(end)
                fields[2] = end - 1
            return fields

        altered = Altered(member, outdate)
        await altered.begun()
        with capture_logs() as logs:
            for count in range(1, 4):
                await fill(kafka.jobs_topic, 1)
                await member.reach(*((0, offset) for offset in range(count)))
        assert ends == {1, 2, 3}
        assert [entry for entry in logs if entry["event"] == "partition_unreadable"] == []
        assert member.consumer.damaged == {}


async def test_a_poll_lets_others_run_while_it_steps_over_many_records(
    kafka: KafkaSettings, create_topic: CreateTopic
) -> None:
    await create_topic(kafka.jobs_topic)
    count = 6 * SKIPPED
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, max_batch_size=1 << 30, compression_type="gzip"
    ) as producer:
        batch = producer.create_batch()
        for _ in range(count):
            assert batch.append(key=None, value=b"", timestamp=None) is not None
        await (await producer.send_batch(batch, kafka.jobs_topic, partition=0))
    partition = TopicPartition(kafka.jobs_topic, 0)
    consumer = make_consumer(kafka, group_id=None, group_instance_id=None)
    async with consumer:
        consumer.assign([partition])
        consumer.seek(partition, count - 1)
        async with asyncio.timeout(BOUND):
            while not consumer.fetched_bytes:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.005)
        poll = asyncio.create_task(consumer.getmany(timeout_ms=30_000))
        turns = 0
        while not poll.done():
            turns += 1
            await asyncio.sleep(0)
        (record,) = poll.result()[partition]
        assert record.offset == count - 1
        assert turns > 3


async def test_of_many_partitions_with_records_above_their_share_a_fetch_brings_many(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    """Of what does not fit its share, a broker sends the first batch of an answer alone."""
    count = 16
    await create_topic(kafka.jobs_topic, count)
    partitions = [TopicPartition(kafka.jobs_topic, number) for number in range(count)]
    await asyncio.gather(
        *(fill(kafka.jobs_topic, 1, number, lambda _: VALUE) for _, number in partitions)
    )
    assert len(VALUE) > SMALLEST_SHARE
    tight = kafka.model_copy(update={"fetch_max_bytes": count * SMALLEST_SHARE})
    consumer = make_consumer(tight, group_id=None, group_instance_id=None)
    brought: list[int] = []
    async with consumer:
        send = consumer._client.send

        async def counted(node: int, request: Any, **options: Any) -> Any:
            response = await send(node, request, **options)
            if isinstance(request, FetchRequest):
                found = [bool(fields[-1]) for _, each in response.topics for fields in each]
                brought.append(sum(found))
            return response

        consumer._client.send = counted
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        polled: set[TopicPartition] = set()
        async with asyncio.timeout(BOUND):
            while len(polled) < count:
                polled |= (await consumer.getmany(timeout_ms=100)).keys()
    # The first answer tells that the others need more.
    assert brought[0] == 1
    assert max(brought) >= count // 2


async def test_a_large_record_comes_whatever_another_topic_brings_in_each_fetch(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    """What is larger than is asked for of a partition comes only as an answer's first batch."""
    topics = [kafka.jobs_topic, f"{kafka.jobs_topic}-other"]
    asked = 2 * SMALLEST_SHARE
    tight = kafka.model_copy(update={"partition_fetch_bytes": asked, "fetch_max_bytes": 4 * asked})
    for topic in topics:
        await create_topic(topic, 2)
        await fill(topic, 1, 0, lambda _: bytes(asked + asked // 2))
        # Each batch has one record, and the backlog is one of many fetches.
        await fill(topic, 100, 1, lambda _: bytes(asked // 8))
    partitions = [TopicPartition(topic, number) for topic in topics for number in range(2)]
    consumer = make_consumer(tight, group_id=None, group_instance_id=None)
    fetches = 0
    came: dict[str, int] = {}
    async with consumer:
        send = consumer._client.send

        async def counted(node: int, request: Any, **options: Any) -> Any:
            nonlocal fetches
            response = await send(node, request, **options)
            if isinstance(request, FetchRequest):
                found = [
                    TopicPartition(topic, fields[0])
                    for topic, each in response.topics
                    for fields in each
                    if fields[-1]
                ]
                fetches += bool(found)
                for topic, number in found:
                    if number == 0:
                        came.setdefault(topic, fetches)
            return response

        consumer._client.send = counted
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        async with asyncio.timeout(BOUND):
            while len(came) < len(topics):
                await consumer.getmany(timeout_ms=100)
    # As many turns as there are topics, times the partitions of each.
    assert max(came.values()) <= len(partitions)
