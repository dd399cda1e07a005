"""What the brokers say of themselves and of the topics; nothing is created or changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from worker.errors import KafkaSetupError
from worker.kafka.client import make_admin
from worker.kafka.diagnosis import find_cause, find_fault
from worker.kafka.topics import describe_configs
from worker.settings import KafkaSettings

__all__ = ["Cluster", "TopicState", "inspect_cluster"]


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is.

    Attributes:
        partitions: their number.
        replicas: of the partition that has fewest.
        in_sync: replicas in sync, of the partition that has fewest.
        config: the topic's configuration; empty where it may not be read.
    """

    partitions: int
    replicas: int
    in_sync: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers, as seen from here.

    Attributes:
        brokers: their number.
        latency: seconds that one of them took to answer.
        unreachable: advertised addresses that cannot be used from here, and why.
        topics: those asked for that exist, by name.
    """

    brokers: int
    latency: float
    unreachable: Mapping[str, str]
    topics: Mapping[str, TopicState]


async def inspect_cluster(
    settings: KafkaSettings, topics: tuple[str, ...], timeout: float
) -> Cluster:
    """Ask the brokers for the state of everything that the worker depends on.

    Args:
        topics: names that may exist.
        timeout: seconds for all of it.

    Returns:
        What they answered.

    Raises:
        KafkaSetupError: no broker can be used; the message says why and what to change.
        TimeoutError: there is no answer in time.
    """
    async with asyncio.timeout(timeout):
        admin = make_admin(settings)
        try:
            await admin.start()
            return await _inspect(admin, settings, topics)
        except KafkaError as error:
            cause = await find_cause(settings)
            raise KafkaSetupError(cause or str(error)) from error
        finally:
            with contextlib.suppress(KafkaError):
                await admin.close()


async def _inspect(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: tuple[str, ...]
) -> Cluster:
    began = time.monotonic()
    # All topics: asking for one that does not exist would create it on some brokers.
    known = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
    latency = time.monotonic() - began
    brokers = (await admin.describe_cluster())["brokers"]
    addresses = [(broker["host"], broker["port"]) for broker in brokers]
    faults = await asyncio.gather(*(find_fault(settings, *address) for address in addresses))
    found = [topic for topic in dict.fromkeys(topics) if topic in known]
    configs = await describe_configs(admin, found) if found else {}
    return Cluster(
        brokers=len(brokers),
        latency=latency,
        unreachable={
            f"{host}:{port}": fault
            for (host, port), fault in zip(addresses, faults, strict=True)
            if fault is not None
        },
        topics={
            topic: TopicState(
                partitions=len(known[topic]),
                replicas=min(len(partition["replicas"]) for partition in known[topic]),
                in_sync=min(len(partition["isr"]) for partition in known[topic]),
                config=configs.get(topic, {}),
            )
            for topic in found
        },
    )
