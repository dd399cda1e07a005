"""Lag with the real broker: a partition's end minus the committed offset, as the broker says."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.support.member import Member
from tests.support.topics import CreateTopic, Fill
from worker.settings import KafkaSettings

BURST = 3000


async def broker_lags(kafka: KafkaSettings) -> list[int]:
    """What the broker says of both partitions, asked by another client of the group's name."""
    partitions = [TopicPartition(kafka.jobs_topic, number) for number in range(2)]
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group_id
    ) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        committed = [await consumer.committed(partition) or 0 for partition in partitions]
    return [ends[tp] - offset for tp, offset in zip(partitions, committed, strict=True)]


async def test_lag_is_true_in_two_bursts_of_which_little_is_taken_in(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    async with Member(kafka, max_jobs=60, partition_max_jobs=40) as member:
        for done in (0, BURST):
            member.free = False
            await asyncio.gather(*(fill(kafka.jobs_topic, BURST, number) for number in range(2)))
            await member.reach_count(60)
            assert await broker_lags(kafka) == [BURST, BURST]
            await member.reach_lag(BURST, BURST)
            assert member.lag.time_to_drain() is None or done, "no job has ended so far"
            first, second = (done + number for number in range(2))
            member.finish((0, second))
            await member.reach_count(60)
            assert await member.committed(0) in (None, done), "the one before it has not ended"
            await member.reach_lag(BURST, BURST)
            member.finish((0, first))
            await member.reach_committed(0, second + 1)
            assert await broker_lags(kafka) == [BURST - 2, BURST]
            await member.reach_lag(BURST - 2, BURST)
            member.finish_all()
            await member.reach_lag(0, 0)
            assert await broker_lags(kafka) == [0, 0]
            assert member.lag.time_to_drain() == 0


async def test_jobs_of_open_transactions_and_markers_are_no_lag(
    kafka: KafkaSettings, create_topic: CreateTopic
) -> None:
    topic = await create_topic(kafka.jobs_topic)
    async with (
        Member(kafka) as member,
        AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap_servers, transactional_id=topic
        ) as producer,
    ):
        async with producer.transaction():
            await producer.send_and_wait(topic, b"job")
        # Offset 0 is a job, 1 its marker.
        await member.reach((0, 0))
        await member.reach_lag(2)
        await producer.begin_transaction()
        for _ in range(10):
            await producer.send_and_wait(topic, b"job")
        member.finish_all()
        await member.reach_lag(0)
        await member.asked_again()
        await member.reach_lag(0)
        member.free = False
        await producer.commit_transaction()
        await member.reach_lag(11)
        member.finish_all()
        await member.reach_lag(0)
        await member.reach_committed(0, 13)
