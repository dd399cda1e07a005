"""Topics on the real broker: missing, made, raced for, and how large their messages may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from demo.broker import KafkaBroker
from tests.support.topics import CreateTopic
from worker.errors import KafkaSetupError
from worker.kafka.topics import ensure_topics
from worker.settings import KafkaSettings, TopicSettings


def creating(kafka: KafkaSettings, partitions: int = 3) -> KafkaSettings:
    topics = TopicSettings(partitions=partitions)
    return kafka.model_copy(update={"create_topics": True, "topics": topics})


async def test_missing_topics_are_an_error_that_names_them_and_the_remedy(
    kafka: KafkaSettings, create_topic: CreateTopic
) -> None:
    await create_topic(kafka.jobs_topic)
    with pytest.raises(KafkaSetupError) as raised:
        await ensure_topics(kafka, [kafka.results_topic, kafka.jobs_topic, kafka.group_id])
    message = str(raised.value)
    assert f"missing on {kafka.bootstrap_servers}" in message
    assert f"{kafka.group_id}, {kafka.results_topic}. " in message
    assert kafka.jobs_topic not in message
    assert "kafka.create_topics: true" in message


async def test_topics_are_made_as_the_settings_say(
    kafka: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await ensure_topics(creating(kafka), [kafka.jobs_topic])
    (topic,) = await admin.describe_topics([kafka.jobs_topic])
    assert len(topic["partitions"]) == 3
    assert {len(partition["replicas"]) for partition in topic["partitions"]} == {1}


async def test_a_topic_that_exists_is_left_as_it_is(
    kafka: KafkaSettings, create_topic: CreateTopic, admin: AIOKafkaAdminClient
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    await ensure_topics(creating(kafka, partitions=5), [kafka.jobs_topic])
    (topic,) = await admin.describe_topics([kafka.jobs_topic])
    assert len(topic["partitions"]) == 2


async def test_replicas_that_start_together_do_not_mind_each_other(kafka: KafkaSettings) -> None:
    topics = [kafka.jobs_topic, kafka.results_topic]
    settings = creating(kafka)
    limits = await asyncio.gather(*(ensure_topics(settings, topics) for _ in range(4)))
    assert all(set(known) == set(topics) for known in limits)


async def test_a_topic_that_may_not_be_is_refused_by_name(kafka: KafkaSettings) -> None:
    with pytest.raises(KafkaSetupError, match=r"cannot create topic not/a/name: InvalidTopic"):
        await ensure_topics(creating(kafka), ["not/a/name"])


async def test_each_topics_largest_message_is_known(
    kafka: KafkaSettings, create_topic: CreateTopic
) -> None:
    await create_topic(kafka.jobs_topic, max_message_bytes="4321")
    await create_topic(kafka.results_topic)
    limits = await ensure_topics(kafka, [kafka.jobs_topic, kafka.results_topic])
    assert limits[kafka.jobs_topic] == 4321
    assert limits[kafka.results_topic] > 1_000_000


async def test_a_compacted_topic_is_refused_where_every_record_must_stay(
    kafka: KafkaSettings, create_topic: CreateTopic
) -> None:
    jobs = await create_topic(kafka.jobs_topic, cleanup_policy="compact")
    results = await create_topic(kafka.results_topic, cleanup_policy="compact,delete")
    letters = await create_topic(kafka.dead_letters_topic)
    topics = [jobs, results, letters]
    with pytest.raises(KafkaSetupError) as raised:
        await ensure_topics(kafka, topics, uncompacted=[results, letters])
    assert f"(cleanup.policy=compact): {results}. " in str(raised.value)
    assert "cleanup.policy=delete" in str(raised.value)
    assert set(await ensure_topics(kafka, topics, uncompacted=[letters])) == set(topics)


async def test_topics_are_made_uncompacted_though_the_brokers_compact_by_default(
    make_broker: Callable[..., KafkaBroker],
) -> None:
    broker = make_broker(properties={"log.cleanup.policy": "compact"})
    await asyncio.to_thread(broker.start)
    kafka = creating(KafkaSettings(bootstrap_servers=broker.bootstrap_servers))
    topics = [kafka.results_topic, kafka.dead_letters_topic]
    assert set(await ensure_topics(kafka, topics, uncompacted=topics)) == set(topics)
