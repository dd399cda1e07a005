"""The submitting side: sends jobs, and reads the results that are published from then on."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from worker.contract.records import record_id
from worker.errors import JobError, KafkaSetupError, Reason, Stage
from worker.kafka.client import BATCH_BYTES, make_consumer, make_producer, stop_bounded
from worker.kafka.topics import ensure_topics
from worker.settings import KafkaSettings, PublishSettings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from worker.contract.records import Message, Record
    from worker.kafka.consumer import Consumer

__all__ = ["JobClient"]

NOTICED = 5.0
"""Seconds after which a new partition of the results topic is noticed: results may be in it."""


class JobClient:
    """A producer for the jobs topic and a consumer of the results topic; a context manager.

    The consumer belongs to no group: it reads every result, and commits no offsets. It is
    positioned at the topic's end before the first job can be sent. So it misses no result of these
    jobs, and reads none of earlier ones. A partition that the topic gets later is read from its
    beginning.

    Attributes:
        max_bytes: largest message that the jobs topic takes.
    """

    def __init__(self, settings: KafkaSettings, publish: PublishSettings) -> None:
        self._settings = settings
        self._publish = publish
        self._producer: AIOKafkaProducer | None = None
        self._consumer: Consumer | None = None
        self.max_bytes = publish.max_request_bytes

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured, or a topic is missing.
        """
        jobs, results = self._settings.jobs_topic, self._settings.results_topic
        limits = await ensure_topics(self._settings, (jobs, results))
        self.max_bytes = min(self.max_bytes, limits.get(jobs, self.max_bytes))
        self._producer = make_producer(
            self._settings,
            self._publish,
            # A refused job would leave a gap in an idempotent producer's numbers, and the broker
            # would refuse all later ones. A job that is sent twice only has a second result.
            enable_idempotence=False,
            max_batch_size=min(BATCH_BYTES, self.max_bytes),
        )
        self._consumer = make_consumer(
            self._settings,
            group_id=None,
            group_instance_id=None,
            auto_offset_reset="earliest",
            # Whatever the setting says of jobs: a result of an aborted transaction is none.
            isolation_level="read_committed",
            metadata_max_age_ms=round(1000 * min(NOTICED, self._settings.metadata_max_age)),
        )
        try:
            await self._producer.start()
            await self._consumer.start()
            numbers = await self._producer.partitions_for(results)
            partitions = [TopicPartition(results, number) for number in sorted(numbers)]
            self._consumer.assign(partitions)
            for partition, end in (await self._consumer.end_offsets(partitions)).items():
                self._consumer.seek(partition, end)
        except KafkaError as error:
            await self._stop()
            raise self._unusable(error) from error
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def send(self, message: Message) -> str:
        """Send one job, and wait until all in-sync replicas have it.

        Returns:
            The id of its record.

        Raises:
            JobError: it is too large for the topic.
            KafkaSetupError: the brokers did not take it in time, or refused it.
        """
        assert self._producer is not None
        topic = self._settings.jobs_topic
        try:
            sent = await self._producer.send_and_wait(
                topic, message.value, message.key, headers=list(message.headers)
            )
        except MessageSizeTooLargeError as error:
            raise JobError(
                Reason.TOO_LARGE,
                f"the job has {message.size} bytes; topic {topic} takes {self.max_bytes} at most",
                stage=Stage.PUBLISH,
            ) from error
        except KafkaError as error:
            raise self._unusable(error) from error
        return record_id(sent.topic, sent.partition, sent.offset)

    async def poll(self, wait: float) -> list[Record]:
        """Read the results that have arrived, waiting at most `wait` seconds for the first.

        Returns:
            The records; empty when none came in time.

        Raises:
            KafkaSetupError: the results topic cannot be read.
        """
        assert self._consumer is not None
        _assign_new_partitions(self._consumer, self._settings.results_topic)
        try:
            polled = await self._consumer.getmany(timeout_ms=round(wait * 1000))
        except KafkaError as error:
            raise self._unusable(error) from error
        if polled:  # damage is reported after all records before it, and those of other partitions
            return [record for records in polled.values() for record in records]
        for damage in self._consumer.damaged.values():
            raise KafkaSetupError(f"{damage}. Remedy: {damage.remedy}")
        return []

    async def _stop(self) -> None:
        clients = {"producer": self._producer, "consumer": self._consumer}
        self._producer = self._consumer = None
        await asyncio.gather(
            *(stop_bounded(client, name) for name, client in clients.items() if client is not None)
        )

    def _unusable(self, error: KafkaError) -> KafkaSetupError:
        return KafkaSetupError(f"cannot submit to {self._settings.bootstrap_servers}: {error}")


def _assign_new_partitions(consumer: Consumer, topic: str) -> None:
    """Read partitions that the topic has got meanwhile, from their beginning."""
    assigned: set[TopicPartition] = consumer.assignment()
    numbers = consumer.partitions_for_topic(topic) or ()
    new = {TopicPartition(topic, number) for number in numbers} - assigned
    if not new:
        return
    # A new assignment has no positions. Nothing is awaited here, so nothing is fetched in between.
    positions = {partition: consumer.current_position(partition) for partition in assigned}
    consumer.assign([*assigned, *new])
    for partition, position in (positions | dict.fromkeys(new, 0)).items():
        if position is not None:
            consumer.seek(partition, position)
