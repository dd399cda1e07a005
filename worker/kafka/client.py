"""Makes aiokafka clients from the settings, and stops them within a bound."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from worker.errors import KafkaSetupError
from worker.kafka.broker_errors import name_all_codes
from worker.kafka.connections import adapt_connections
from worker.kafka.consumer import Consumer
from worker.kafka.oauth import token_provider
from worker.kafka.record_batches import send_plain_batches
from worker.logs import get_logger
from worker.settings import KafkaSettings, PublishSettings, Settings, TlsSettings

__all__ = [
    "BATCH_BYTES",
    "connection_options",
    "make_admin",
    "make_consumer",
    "make_producer",
    "make_transactional_producer",
    "stop_bounded",
]

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}

STOP_TIMEOUT = 5.0
"""Seconds for a client to stop: its own `stop` can hang while its broker is down."""

BATCH_BYTES = 1024 * 1024
"""Most bytes of a batch, as many as topics take by default: several results with pictures share
one. The fewer do, the more of them wait for a batch to be sent, and aiokafka lets all of those try
again for each that is."""

log = get_logger(__name__)

name_all_codes()
adapt_connections()


class Client(Protocol):
    """Any aiokafka client, as far as stopping it is concerned."""

    async def stop(self) -> None:
        """Stop."""


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Make the options that all aiokafka clients share: addresses, identity and security.

    Returns:
        Keyword arguments of aiokafka's clients.

    Raises:
        KafkaSetupError: a certificate or key cannot be loaded.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.client_id,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings.tls)
    if settings.security_protocol.startswith("SASL"):
        sasl = settings.sasl
        options["sasl_mechanism"] = sasl.mechanism
        if sasl.mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = token_provider(sasl)
        else:
            options["sasl_plain_username"] = sasl.username
            options["sasl_plain_password"] = (
                sasl.password.get_secret_value() if sasl.password else None
            )
    return options


def make_consumer(settings: KafkaSettings, **options: object) -> Consumer:
    """Make a consumer of the group, without a subscription.

    Args:
        options: aiokafka's own; they replace those of the settings.

    Returns:
        The consumer, not started.

    Raises:
        KafkaSetupError: a certificate or key cannot be loaded.
    """
    return Consumer(
        ahead_bytes=settings.fetch_max_bytes,
        batch_bytes=settings.batch_max_bytes,
        **connection_options(settings)
        | {
            "group_id": settings.group_id,
            "group_instance_id": settings.group_instance_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",  # worker.kafka.positions chooses
            "isolation_level": settings.isolation_level,
            "partition_assignment_strategy": [ASSIGNORS[settings.assignor]],
            "session_timeout_ms": _milliseconds(settings.session_timeout),
            "heartbeat_interval_ms": _milliseconds(settings.heartbeat_interval),
            # aiokafka's default is the session time-out, which is too short to drain.
            "rebalance_timeout_ms": _milliseconds(settings.rebalance_timeout),
            "max_poll_interval_ms": _milliseconds(settings.max_poll_interval),
            "metadata_max_age_ms": _milliseconds(settings.metadata_max_age),
            "max_partition_fetch_bytes": settings.partition_fetch_bytes,
            # JoinGroup is answered when the slowest member has drained. With a shorter limit the
            # consumer would give up and join again, over and over.
            "request_timeout_ms": _milliseconds(
                max(settings.request_timeout, settings.rebalance_timeout + 10)
            ),
        }
        | options,
    )


def make_producer(
    settings: KafkaSettings, publish: PublishSettings, **options: object
) -> AIOKafkaProducer:
    """Make an idempotent producer with `acks=all`.

    Args:
        options: aiokafka's own; they replace those of the settings.

    Returns:
        The producer, not started.

    Raises:
        KafkaSetupError: a certificate or key cannot be loaded.
    """
    producer = AIOKafkaProducer(
        **connection_options(settings)
        | {
            "enable_idempotence": True,
            "acks": "all",
            "compression_type": None if publish.compression == "none" else publish.compression,
            "max_request_size": publish.max_request_bytes,
            "max_batch_size": min(BATCH_BYTES, publish.max_request_bytes),
            "request_timeout_ms": _milliseconds(settings.request_timeout),
        }
        | options
    )
    if publish.compression == "none":
        send_plain_batches(producer)
    return producer


def make_transactional_producer(settings: Settings, largest: int, name: str) -> AIOKafkaProducer:
    """Make a producer of transactions.

    Args:
        largest: bytes that each topic takes in one message; a topic's limit applies to batches.
        name: its transactional id.

    Returns:
        The producer, not started.

    Raises:
        KafkaSetupError: a certificate or key cannot be loaded.
    """
    return make_producer(
        settings.kafka,
        settings.publish,
        transactional_id=name,
        transaction_timeout_ms=_milliseconds(settings.transactions.timeout),
        max_batch_size=min(BATCH_BYTES, largest),
    )


def make_admin(settings: KafkaSettings) -> AIOKafkaAdminClient:
    """Make an administration client.

    Returns:
        The client, not started.

    Raises:
        KafkaSetupError: a certificate or key cannot be loaded.
    """
    return AIOKafkaAdminClient(
        **connection_options(settings), request_timeout_ms=_milliseconds(settings.request_timeout)
    )


async def stop_bounded(client: Client, name: str, timeout: float = STOP_TIMEOUT) -> bool:
    """Stop a client, or abandon it after `timeout` seconds.

    Returns:
        Whether it stopped.
    """
    try:
        async with asyncio.timeout(timeout):
            await client.stop()
    except (KafkaError, TimeoutError) as error:
        # aiokafka raises here what ended a background task of the client, which was reported then.
        return _not_stopped(name, timeout, error)
    except asyncio.CancelledError as error:
        # Some ends of aiokafka raise this for a task that they cancelled themselves.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return _not_stopped(name, timeout, error)
    return True


def _not_stopped(name: str, seconds: float, error: BaseException) -> bool:
    log.warning("kafka_client_not_stopped", client=name, seconds=seconds, error=repr(error))
    return False


def _ssl_context(tls: TlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            # Without any password OpenSSL would ask for one at the terminal.
            password = tls.key_password.get_secret_value() if tls.key_password else ""
            context.load_cert_chain(tls.cert_file, tls.key_file, password)
    except (OSError, ssl.SSLError) as error:
        raise KafkaSetupError(
            f"cannot load the files of kafka.tls (ca {tls.ca_file}, cert {tls.cert_file}, "
            f"key {tls.key_file}): {error}"
        ) from error
    context.check_hostname = tls.verify_hostname
    return context


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
