"""Produce requests that wait for each other, on a real broker: what they take along, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.protocol.produce import ProduceRequest

from tests.support.topics import CreateTopic
from worker.budget import Budget
from worker.contract.records import Message
from worker.kafka.at_least_once import AtLeastOnce
from worker.kafka.client import make_producer
from worker.kafka.delivery import make_delivery
from worker.kafka.outgoing import Outgoing
from worker.kafka.paced_requests import pace_requests
from worker.kafka.parcel import Refusals
from worker.kafka.topic_history import TopicHistory
from worker.metrics import Metrics
from worker.settings import KafkaSettings, PublishSettings, Settings

BOUND = 30.0
PACE = 0.3
LONG = 3.0
"""Seconds, more than the setting allows; as long as that the end waits too."""
PARTITIONS = 3


@asynccontextmanager
async def paced(
    kafka: KafkaSettings, pace: Callable[[], float], **options: object
) -> AsyncIterator[tuple[AIOKafkaProducer, list[float]]]:
    """A producer, and when each of its requests with records began."""
    producer = make_producer(kafka, PublishSettings(), **options)
    pace_requests(producer, pace)
    began: list[float] = []
    send = producer.client.send

    def noting(node: int, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            began.append(asyncio.get_running_loop().time())
        return send(node, request, **options)

    producer.client.send = noting
    async with asyncio.timeout(BOUND), producer:
        yield producer, began


async def test_the_first_goes_at_once_and_the_next_takes_all_partitions_along(
    create_topic: CreateTopic, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, PARTITIONS)
    async with paced(kafka, lambda: PACE) as (producer, began):
        await producer.send_and_wait(topic, b"first", partition=0)
        assert len(began) == 1
        others = [
            await producer.send(topic, b"%d" % number, partition=number % PARTITIONS)
            for number in range(3 * PARTITIONS)
        ]
        await asyncio.gather(*others)
    assert len(began) == 2
    assert began[1] - began[0] >= PACE - 0.001


async def test_a_full_batch_does_not_wait(create_topic: CreateTopic, kafka: KafkaSettings) -> None:
    topic = await create_topic(kafka.results_topic)
    async with paced(kafka, lambda: LONG, max_batch_size=1000) as (producer, began):
        await producer.send_and_wait(topic, b"first")
        # Two are a batch, and the last one is a batch that is not full.
        sent = [asyncio.create_task(producer.send_and_wait(topic, bytes(400))) for _ in range(3)]
        await asyncio.gather(*sent)
    assert len(began) == 3
    assert began[1] - began[0] < LONG
    assert began[2] - began[1] >= LONG - 0.001


async def test_without_a_pace_none_waits(create_topic: CreateTopic, kafka: KafkaSettings) -> None:
    topic = await create_topic(kafka.results_topic)
    async with paced(kafka, lambda: 0.0) as (producer, began):
        for number in range(3):
            await producer.send_and_wait(topic, b"%d" % number)
        assert len(began) == 3


@pytest.mark.parametrize("crowded", [False, True])
async def test_results_wait_for_each_other_only_in_a_crowd(
    create_topic: CreateTopic, kafka: KafkaSettings, crowded: bool
) -> None:
    topic = await create_topic(kafka.results_topic)
    settings = Settings(
        model="any", kafka=kafka, publish=PublishSettings.model_construct(linger=LONG)
    )
    budget, metrics = Budget(64, 1000), Metrics()
    for _ in range(64 if crowded else 63):
        budget.reserve(0)

    def reject(*_: object) -> Any:
        raise AssertionError("nothing is refused")

    history = TopicHistory(lambda _: None)
    delivery = make_delivery(
        settings, {}, Refusals(reject, metrics), history, metrics, None, budget
    )
    assert isinstance(delivery, AtLeastOnce)
    result = Outgoing(topic, Message(None, b"result", ()))
    await delivery.connect()
    try:
        async with asyncio.timeout(BOUND):
            await delivery._publisher.publish([result])
            second = asyncio.create_task(delivery._publisher.publish([result]))
            done, _ = await asyncio.wait([second], timeout=PACE if crowded else LONG / 2)
            assert bool(done) is not crowded
            await second
    finally:
        await delivery.stop(BOUND)
