"""In a worker's place: answers jobs from a real topic on a real topic, as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.support.harness import Traffic
from worker.contract.jobs import Category, ModelIdentity, Success
from worker.contract.parsing import parse_job
from worker.contract.records import Message, Record
from worker.contract.results import result_message

__all__ = ["Respond", "answer", "of_another", "stand_in"]

MODEL = ModelIdentity("model", "sha256:0", "paddle")

Respond = Callable[[Record], Sequence[Message]]


@asynccontextmanager
async def stand_in(
    bootstrap_servers: str,
    traffic: Traffic,
    respond: Respond,
    configs: Mapping[str, Mapping[str, str]] | None = None,
    partition_of: Callable[[Record], int | None] = lambda _: None,
) -> AsyncIterator[None]:
    """In a worker's place: publishes what `respond` makes of each job.

    `partition_of` chooses the partition of the results of a job; None leaves it to the producer.
    """
    await traffic.create_topics(configs=configs)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await consumer.start()
    partition = TopicPartition(traffic.names.jobs, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)

    async def work() -> None:
        async for r in consumer:
            record = Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            for message in respond(record):
                await traffic.producer.send_and_wait(
                    traffic.names.results,
                    message.value,
                    message.key,
                    partition=partition_of(record),
                    headers=list(message.headers),
                )

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()


def answer(record: Record, label: str) -> Message:
    outcome = Success((Category(0, label, 0.5),))
    return result_message(record, parse_job(record).job_id, outcome, MODEL)


def of_another(record: Record) -> Message:
    """The result of somebody else's job, with a correlation id of its own."""
    other = Record("other", 0, record.offset, 0, None, record.value, [("correlation-id", b"c")])
    return answer(other, "other")
