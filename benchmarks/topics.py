"""Topics of one measurement, and the jobs that wait in them before it begins."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from worker.contract.records import Message
from worker.kafka.client import make_admin, make_producer, stop_bounded
from worker.kafka.topics import ensure_topics
from worker.settings import KafkaSettings, Settings

__all__ = ["Topics", "fill", "make_topics"]

AT_ONCE = 200
"""Messages that wait for the broker at a time: more would only take memory."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of their own for one measurement, so that none sees another's records.

    Attributes:
        group: the consumer group.
    """

    bootstrap: str
    jobs: str
    results: str
    dead_letters: str
    group: str
    partitions: int = 1

    def settings(self) -> KafkaSettings:
        """Write them as the worker's settings."""
        return Settings.model_validate(
            {
                "kafka": {
                    "bootstrap_servers": self.bootstrap,
                    "jobs_topic": self.jobs,
                    "results_topic": self.results,
                    "dead_letters_topic": self.dead_letters,
                    "group_id": self.group,
                    "create_topics": True,
                    "topics": {"partitions": self.partitions},
                }
            }
        ).kafka

    def environment(self) -> dict[str, str]:
        """Write them as a worker's environment variables."""
        return {
            "WORKER_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "WORKER_KAFKA__JOBS_TOPIC": self.jobs,
            "WORKER_KAFKA__RESULTS_TOPIC": self.results,
            "WORKER_KAFKA__DEAD_LETTERS_TOPIC": self.dead_letters,
            "WORKER_KAFKA__GROUP_ID": self.group,
        }


async def make_topics(bootstrap: str, partitions: int = 1, *, append_time: bool = False) -> Topics:
    """Create topics with names that nobody else has.

    Args:
        append_time: whether a record of jobs or results says when the broker appended it, in place
            of when it was made.

    Returns:
        The topics, empty.
    """
    end = uuid.uuid4().hex[:8]
    topics = Topics(
        bootstrap,
        jobs=f"bench-jobs-{end}",
        results=f"bench-results-{end}",
        dead_letters=f"bench-dead-{end}",
        group=f"bench-{end}",
        partitions=partitions,
    )
    await ensure_topics(topics.settings(), (topics.jobs, topics.results, topics.dead_letters))
    if append_time:
        admin = make_admin(topics.settings())
        await admin.start()
        try:
            # What is not named goes back to its default.
            values = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
            await admin.alter_configs(
                [
                    ConfigResource(ConfigResourceType.TOPIC, topic, values)
                    for topic in (topics.jobs, topics.results)
                ]
            )
        finally:
            await admin.close()
    return topics


async def fill(topics: Topics, messages: Sequence[Message], jobs: int) -> None:
    """Write so many jobs, the messages in turn, evenly over the partitions."""
    producer = make_producer(topics.settings(), Settings().publish)
    await producer.start()
    try:
        numbered = enumerate(itertools.islice(itertools.cycle(messages), jobs))
        while some := list(itertools.islice(numbered, AT_ONCE)):
            sent = [
                await producer.send(
                    topics.jobs,
                    message.value,
                    message.key,
                    partition=number % topics.partitions,
                    headers=list(message.headers),
                )
                for number, message in some
            ]
            await asyncio.gather(*sent)
    finally:
        await stop_bounded(producer, "producer")
