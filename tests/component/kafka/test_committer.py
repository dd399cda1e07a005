"""Commits that a real broker takes, refuses, or leaves unanswered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.protocol.commit import OffsetCommitRequest

from demo.broker import KafkaBroker
from tests.support.commits import fails, settle, track
from tests.support.topics import CreateTopic, Fill
from worker.kafka.assignment import Assignment
from worker.kafka.client import make_consumer, stop_bounded
from worker.kafka.committer import Committer
from worker.kafka.topics import ensure_topics
from worker.metrics import Metrics
from worker.settings import KafkaSettings

BOUND = 20.0


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


async def test_the_real_broker_knows_the_settled_prefix(
    consumer: AIOKafkaConsumer, kafka: KafkaSettings, fill: Fill
) -> None:
    await fill(kafka.jobs_topic, 5)
    partition = TopicPartition(kafka.jobs_topic, 0)
    assignment = Assignment()
    assignment.assign([partition])
    committer = Committer(consumer, assignment, 1.0, Metrics())
    track(assignment, partition, *range(5))
    settle(assignment, partition, 4, 0, 1)
    assert await committer.commit()
    assert await consumer.committed(partition) == 2
    settle(assignment, partition, 2, 3)
    assert await committer.commit()
    assert await consumer.committed(partition) == 5


async def test_a_partition_that_is_gone_is_a_failed_commit_not_a_defect(
    consumer: AIOKafkaConsumer,
) -> None:
    foreign = TopicPartition("of another worker", 0)
    assignment = Assignment()
    assignment.assign([foreign])
    track(assignment, foreign, 0)
    settle(assignment, foreign, 0)
    assert not await Committer(consumer, assignment, 1.0, Metrics()).commit()


async def test_commits_do_not_pile_up_at_a_broker_that_takes_long(
    make_broker: Callable[..., KafkaBroker],
) -> None:
    broker = make_broker()
    await asyncio.to_thread(broker.start)
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, create_topics=True)
    await ensure_topics(kafka, [kafka.jobs_topic])
    partition = TopicPartition(kafka.jobs_topic, 0)
    consumer = make_consumer(kafka)
    consumer.subscribe([kafka.jobs_topic])
    await consumer.start()
    assignment, metrics = Assignment(), Metrics()
    assignment.assign([partition])
    track(assignment, partition, *range(9))
    committer = Committer(consumer, assignment, 0.01, metrics, 0.05)
    running = asyncio.create_task(committer.run())

    def waiting() -> int:
        connections = consumer._client._conns.values()
        pending = [request for each in connections for _, request, _ in each._requests]
        return sum(request.API_KEY == OffsetCommitRequest.API_KEY for request in pending)

    async def reaches(offset: int) -> None:
        async with asyncio.timeout(BOUND):
            while await consumer.committed(partition) != offset:  # noqa: ASYNC110 - by asking it
                await asyncio.sleep(0.02)

    settle(assignment, partition, 0)
    await reaches(1)
    broker.pause()
    for offset in range(1, 9):
        settle(assignment, partition, offset)
        await fails(metrics, 1)
    assert waiting() == 1
    broker.resume()
    await reaches(9)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stop_bounded(consumer, "consumer")


async def test_a_connection_that_has_gone_silent_is_replaced(
    consumer: AIOKafkaConsumer, kafka: KafkaSettings
) -> None:
    partition = TopicPartition(kafka.jobs_topic, 0)
    assignment, metrics = Assignment(), Metrics()
    assignment.assign([partition])
    track(assignment, partition, 0)
    settle(assignment, partition, 0)
    # Longer than a commit takes on any machine, shorter than aiokafka's own time-out.
    committer = Committer(consumer, assignment, 0.01, metrics, 0.05, 2.0)
    for (_, kind), connection in consumer._client._conns.items():
        if kind == ConnectionGroup.COORDINATION:
            connection._writer.transport.pause_reading()
    running = asyncio.create_task(committer.run())
    try:
        async with asyncio.timeout(BOUND):
            while next(iter(assignment)).committed != 1:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert await consumer.committed(partition) == 1
