"""What is fetched ahead has one limit for all partitions, and nobody holds it against others."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from tests.unit.kafka.conftest import CreateTopic, Fill
from tests.unit.kafka.member import Member
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
