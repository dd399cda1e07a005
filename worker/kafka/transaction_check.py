"""Whether the brokers let this worker use transactions, asked before any job is taken in."""

from __future__ import annotations

import asyncio

from aiokafka.errors import (
    BrokerResponseError,
    IncompatibleBrokerVersion,
    KafkaError,
    UnsupportedVersionError,
)

from worker.errors import KafkaSetupError
from worker.kafka.broker_errors import name_of
from worker.kafka.client import BATCH_BYTES, make_transactional_producer, stop_bounded
from worker.kafka.transaction_errors import causes
from worker.settings import Settings

__all__ = ["explain", "transactional_id", "try_transactions"]


def transactional_id(group: str, topic: str, partition: object) -> str:
    """Name the producer of one input partition.

    Returns:
        `group-topic-partition`: each owner of the partition uses the same.
    """
    return f"{group}-{topic}-{partition}"


async def try_transactions(settings: Settings, patience: float) -> None:
    """Start a producer of transactions once, and stop it.

    Its transactional id is `GROUP-TOPIC-check`, which no partition has.

    Args:
        patience: seconds for the brokers to answer.

    Raises:
        KafkaSetupError: transactions cannot be used; the message says why and what to change.
    """
    name = transactional_id(settings.kafka.group_id, settings.kafka.jobs_topic, "check")
    producer = make_transactional_producer(settings, BATCH_BYTES, name)
    try:
        async with asyncio.timeout(patience):
            await producer.start()
    except TimeoutError as error:
        raise KafkaSetupError(
            f"delivery: exactly_once needs transactions, and no broker coordinates them within "
            f"{patience:g} s. Look at the topic __transaction_state: brokers make it with "
            "transaction.state.log.replication.factor replicas (3 unless set), which needs as many "
            "brokers, and a transaction needs transaction.state.log.min.isr of them in sync"
        ) from error
    except KafkaError as error:
        reason = explain(error, name, settings.transactions.timeout)
        raise KafkaSetupError(f"delivery: exactly_once needs transactions: {reason}") from error
    finally:
        await stop_bounded(producer, "producer")


def explain(error: KafkaError, name: str, transaction_timeout: float) -> str:
    """Say why a producer of transactions did not start.

    Returns:
        A sentence with the remedy.
    """
    for cause in causes(error):
        if isinstance(cause, IncompatibleBrokerVersion | UnsupportedVersionError):
            return "the brokers are older than Apache Kafka 0.11 and have none; update them"
        if not isinstance(cause, BrokerResponseError):
            continue
        match cause.errno:
            case 53:
                prefix = name.rpartition("-")[0]
                return (
                    f"the brokers do not let this worker use the transactional id {name} "
                    f"({name_of(cause)}): allow it WRITE and DESCRIBE on transactional ids that "
                    f"begin with {prefix}- (docs/secured-kafka.md)"
                )
            case 31:
                return (
                    f"the brokers do not let this worker number its messages ({name_of(cause)}): "
                    "before Kafka 3.0 that needs IDEMPOTENT_WRITE on the cluster "
                    "(docs/secured-kafka.md)"
                )
            case 50:
                return (
                    f"the brokers refuse a time-out of {transaction_timeout:g} s "
                    f"({name_of(cause)}): lower transactions.timeout, or raise the brokers' "
                    "transaction.max.timeout.ms"
                )
    return f"{type(error).__name__}: {error}"
