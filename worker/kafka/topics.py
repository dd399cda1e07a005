"""Checks or creates the topics, and reads how large their messages may be."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    for_code,
)

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import KafkaSetupError
from worker.kafka.client import make_admin, stop_bounded
from worker.kafka.diagnosis import find_cause
from worker.logs import get_logger
from worker.retry import Retry
from worker.settings import KafkaSettings

__all__ = ["ask_until_reached", "describe_configs", "ensure_topics", "wait_until_known"]

KNOWN_SOON = Retry(first=0.05, longest=0.5)
"""When brokers are asked again whether they know a new topic."""

_POLICY = "cleanup.policy"

UNREACHED = (KafkaConnectionError, NodeNotReadyError)
"""Errors of a request to a broker that is down; another one may answer it."""

log = get_logger(__name__)

T = TypeVar("T")


async def ensure_topics(
    settings: KafkaSettings, topics: Sequence[str], uncompacted: Sequence[str] = ()
) -> dict[str, int]:
    """Check that topics exist, or create them.

    Args:
        uncompacted: those of `topics` in which every record must stay. A compacted topic refuses
            records without a key, and keeps only the last record of each key.

    Returns:
        The largest message in bytes by topic, for those whose configuration may be read.

    Raises:
        KafkaSetupError: no broker answers, a topic is missing and `kafka.create_topics` is off, or
            one of `uncompacted` is compacted.
    """
    admin = make_admin(settings)
    try:
        await admin.start()
        described = await ask_until_reached(
            lambda: _ensure(admin, settings, topics), settings.request_timeout
        )
    except KafkaError as error:
        cause = await find_cause(settings)
        raise KafkaSetupError(
            f"cannot use the Kafka brokers at {settings.bootstrap_servers} "
            f"({settings.security_protocol}): {cause or error}"
        ) from error
    finally:
        await stop_bounded(_Closing(admin), "admin")
    _refuse_compaction(described, uncompacted)
    key = "max.message.bytes"
    return {topic: int(values[key]) for topic, values in described.items() if key in values}


async def _ensure(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    missing = sorted(set(topics) - set(await admin.list_topics()))
    if missing and not settings.create_topics:
        raise KafkaSetupError(
            f"topics missing on {settings.bootstrap_servers}: {', '.join(missing)}. "
            "Create them, correct their names, or set kafka.create_topics: true"
        )
    for topic in missing:
        await _create(admin, topic, settings)
    if missing:
        await wait_until_known(admin, missing, settings.request_timeout)
    return await _described(admin, topics)


async def ask_until_reached(
    request: Callable[[], Awaitable[T]], timeout: float, clock: Clock = SYSTEM_CLOCK
) -> T:
    """Make requests again while they go to a broker that is down.

    aiokafka's admin client asks any broker of the cluster, up or not. A worker that starts while
    one of three is down would end for that.

    Args:
        timeout: seconds until it is given up.

    Returns:
        The answer.

    Raises:
        KafkaError: no broker was reached, or one answered with an error.
    """
    pauses = replace(KNOWN_SOON, patience=timeout).pauses(clock)
    while True:
        try:
            return await request()
        except UNREACHED:
            if (pause := next(pauses, None)) is None:
                raise
            await clock.sleep(pause)


class _Closing:
    """An admin client with the method `stop` of all other clients; aiokafka calls it `close`."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def stop(self) -> None:
        await self._admin.close()


async def _create(admin: AIOKafkaAdminClient, topic: str, settings: KafkaSettings) -> None:
    replicas = settings.topics.replication_factor
    if replicas == -1:
        replicas = await _default_replication_factor(admin)
    # Explicit, since the brokers' default may be compaction.
    policy = {_POLICY: "delete"}
    new = NewTopic(topic, settings.topics.partitions, replicas, topic_configs=policy)
    response = await admin.create_topics([new])
    for name, code, *detail in response.topic_errors:
        error = for_code(code)
        # Another replica may have created it meanwhile.
        if code and error is not TopicAlreadyExistsError:
            raise KafkaSetupError(
                f"cannot create topic {name}: {error.__name__} {detail[0] if detail else ''}"
            )
    log.info("topic_created", topic=topic, partitions=new.num_partitions, replicas=replicas)


async def wait_until_known(
    admin: AIOKafkaAdminClient,
    topics: Sequence[str],
    timeout: float,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Wait until the brokers know new topics, which takes a moment after they are created.

    Raises:
        KafkaTimeoutError: a topic is still unknown after `timeout` seconds.
    """
    pauses = replace(KNOWN_SOON, patience=timeout).pauses(clock)
    while not set(topics) <= set(await admin.list_topics()):
        if (pause := next(pauses, None)) is None:
            raise KafkaTimeoutError(f"a new topic is still unknown after {timeout:g} s")
        await clock.sleep(pause)


async def _default_replication_factor(admin: AIOKafkaAdminClient) -> int:
    """Read the brokers' default. aiokafka's version of CreateTopics cannot ask for it."""
    cluster = await admin.describe_cluster()
    broker = ConfigResource(ConfigResourceType.BROKER, str(cluster["brokers"][0]["node_id"]))
    values = await _describe(admin, [broker])
    return int(next(iter(values.values())).get("default.replication.factor", 1))


def _refuse_compaction(described: Mapping[str, Mapping[str, str]], topics: Sequence[str]) -> None:
    compacted = [topic for topic in topics if "compact" in described[topic].get(_POLICY, "")]
    if compacted:
        raise KafkaSetupError(
            f"compacted topics ({_POLICY}=compact): {', '.join(compacted)}. They would refuse "
            "results and dead letters without a key, and forget all but the last one of a key. "
            f"Set {_POLICY}=delete there, or name other topics"
        )


async def describe_configs(
    admin: AIOKafkaAdminClient, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Read the configuration of each topic.

    Returns:
        The configurations by topic; empty where one may not be read.
    """
    with contextlib.suppress(KafkaError):
        return await _describe_topics(admin, topics)
    return {topic: {} for topic in topics}


async def _describe_topics(
    admin: AIOKafkaAdminClient, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    return {topic: {} for topic in topics} | await _describe(admin, resources)


async def _described(
    admin: AIOKafkaAdminClient, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The configuration of each topic; empty, with a warning, where it may not be read."""
    try:
        described = await _describe_topics(admin, topics)
    except UNREACHED:
        raise
    except KafkaError:
        described = {topic: {} for topic in topics}
    if unknown := sorted(topic for topic, values in described.items() if not values):
        # Reading a topic's configuration needs a separate right. Without it
        # publish.max_request_bytes is the only limit, and compaction is noticed when a message is
        # refused.
        log.warning(
            "topic_settings_unread",
            topics=unknown,
            remedy="grant DESCRIBE_CONFIGS, or see to max.message.bytes and cleanup.policy=delete",
        )
    return described


async def _describe(
    admin: AIOKafkaAdminClient, resources: Sequence[ConfigResource]
) -> dict[str, dict[str, str]]:
    """Read the configuration of each resource; it is empty where it may not be read."""
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in await admin.describe_configs(list(resources))
        for _code, _message, _kind, name, entries in response.resources
    }
