"""Topics of a test's own on the run's broker, and their records."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from demo.broker import KafkaBroker
from tests.support.topics import CreateTopic, Fill, Read
from worker.settings import KafkaSettings


@pytest.fixture
def kafka(broker: KafkaBroker) -> KafkaSettings:
    """Settings with topics and a group that no other test uses; the topics do not exist yet."""
    name = f"t{uuid.uuid4().hex[:12]}"
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        jobs_topic=f"{name}-jobs",
        results_topic=f"{name}-results",
        dead_letters_topic=f"{name}-dead-letters",
        group_id=f"{name}-group",
    )


@pytest.fixture
async def admin(broker: KafkaBroker) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def create_topic(admin: AIOKafkaAdminClient) -> CreateTopic:
    async def create(name: str, partitions: int = 1, **configs: str) -> str:
        named = {key.replace("_", "."): value for key, value in configs.items()}
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=named)])
        # The controller has it at once, the broker's own view a moment later.
        async with asyncio.timeout(30.0):
            while name not in await admin.list_topics():  # noqa: ASYNC110 - by asking
                await asyncio.sleep(0.01)
        return name

    return create


@pytest.fixture
def fill(broker: KafkaBroker) -> Fill:
    """Writes `count` records to one partition, by default with their numbers as values."""

    async def write(
        topic: str,
        count: int,
        partition: int = 0,
        value: Callable[[int], bytes] = lambda number: b"%d" % number,
        key: Callable[[int], bytes | None] = lambda _: None,
    ) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, linger_ms=5
        ) as producer:
            sent = [
                await producer.send(topic, value(number), key(number), partition=partition)
                for number in range(count)
            ]
            for acknowledged in sent:
                await acknowledged

    return write


@pytest.fixture
def read(broker: KafkaBroker) -> Read:
    """The first `count` records of a topic's partition 0."""

    async def records(topic: str, count: int) -> list[ConsumerRecord]:
        async with AIOKafkaConsumer(
            bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
        ) as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            return [await consumer.getone() for _ in range(count)]

    return records
