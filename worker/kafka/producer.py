"""A producer that is replaced by a new one after it has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.records import Message
from worker.errors import WorkerError
from worker.kafka.client import stop_bounded
from worker.retry import Retry

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer
    from aiokafka.structs import RecordMetadata

__all__ = ["MessageTooLargeError", "ReplaceableProducer"]

RETIREMENT = 60.0
"""Seconds for a replaced producer to deliver what it has queued."""

log = structlog.get_logger(__name__)


class MessageTooLargeError(Exception):
    """A message is larger than any request may be."""


class ReplaceableProducer:
    """Sends messages with one aiokafka producer, and replaces it when it has failed.

    aiokafka's idempotent producer numbers its batches as it sends them. Once a batch has failed for
    good, its number is missing and the broker refuses all later batches of that partition. A new
    producer begins with new numbers. A producer that is not idempotent can go on after a refusal.

    Args:
        make: makes a producer that is not started.
        idempotent: whether `make` makes idempotent producers.
        pause: seconds between attempts to start a producer.
        clock: measures the pauses.

    Attributes:
        replacements: how often a producer was given up so far.
    """

    def __init__(
        self,
        make: Callable[[], AIOKafkaProducer],
        pause: float,
        *,
        idempotent: bool,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._make = make
        self._retry = Retry(pause, pause)
        self._clock = clock
        self._idempotent = idempotent
        self._producer: AIOKafkaProducer | None = None
        # Invariant: set exactly while there is a producer.
        self._ready = asyncio.Event()
        self._replacement: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[bool]] = set()
        self.replacements = 0
        self._stopped = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a broker."""
        connections = () if self._producer is None else self._producer.client._conns.values()  # noqa: SLF001 - nothing else tells
        return any(connection.connected() for connection in connections)

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: the brokers cannot be reached or refuse the client.
        """
        producer = self._make()
        try:
            await producer.start()
        except BaseException:
            await stop_bounded(producer, "producer")
            raise
        self._producer = producer
        self._ready.set()

    async def send(self, topic: str, message: Message) -> RecordMetadata:
        """Send a message once, after connecting if necessary, and wait until it is acknowledged.

        Returns:
            Where the brokers have put it: its `partition` and its `offset` there.

        Raises:
            MessageTooLargeError: the message is larger than any request may be.
            KafkaError: it was not delivered.
        """
        return await (await self.append(topic, message))

    async def append(self, topic: str, message: Message) -> asyncio.Future[RecordMetadata]:
        """Queue a message, after connecting if necessary, behind those that were appended before.

        Returns:
            Where the brokers have put it, once it is acknowledged; or the `KafkaError`.

        Raises:
            MessageTooLargeError: the message is larger than any request may be.
            KafkaError: it cannot be sent.
        """
        producer = await self._connected()
        value = message.value
        if value is None and message.key is None:
            # aiokafka refuses a record that has neither. The dead letter's reason says that the
            # value was null.
            value = b""
        try:
            acknowledged: asyncio.Future[RecordMetadata] = await producer.send(
                topic, value, message.key, headers=list(message.headers)
            )
        except MessageSizeTooLargeError as error:
            # Refused before it got a number: the producer can go on.
            raise MessageTooLargeError from error
        except (
            KafkaTimeoutError,
            TopicAuthorizationFailedError,
            UnknownTopicOrPartitionError,
        ):
            raise  # the topic is the cause; the producer can go on
        except KafkaError:
            # aiokafka's sender task has ended with an earlier error and never starts again.
            self._renew(producer)
            raise
        if self._idempotent:
            acknowledged.add_done_callback(partial(self._renew_after, producer))
        return acknowledged

    def _renew_after(
        self, producer: AIOKafkaProducer, acknowledged: asyncio.Future[RecordMetadata]
    ) -> None:
        if not acknowledged.cancelled() and isinstance(acknowledged.exception(), KafkaError):
            self._renew(producer)

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
        self._stopped = True
        ending: set[asyncio.Task[bool] | asyncio.Task[None]] = {*self._retiring}
        if self._replacement is not None:
            self._replacement.cancel()
            ending.add(self._replacement)
        if (producer := self._producer) is not None:
            self._producer = None
            self._ready.clear()
            ending.add(asyncio.create_task(stop_bounded(producer, "producer", timeout)))
        if ending:
            _, late = await asyncio.wait(ending, timeout=timeout)
            for task in late:
                task.cancel()

    async def _connected(self) -> AIOKafkaProducer:
        while (producer := self._producer) is None:
            self._begin_replacement()
            await self._ready.wait()
        return producer

    def _renew(self, failed: AIOKafkaProducer) -> None:
        """Begin to replace `failed`; nothing happens if that has begun already."""
        if self._producer is None or self._producer is not failed:
            return
        self._producer = None
        self.replacements += 1
        self._ready.clear()
        # Not awaited: it may still deliver what other callers wait for, if a broker is slow.
        retiring = asyncio.create_task(stop_bounded(failed, "failed producer", RETIREMENT))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        self._begin_replacement()

    def _begin_replacement(self) -> None:
        if self._stopped or (self._replacement is not None and not self._replacement.done()):
            return
        self._replacement = asyncio.create_task(self._replace(), name="producer-replacement")

    async def _replace(self) -> None:
        pauses = self._retry.pauses(self._clock)
        while self._producer is None:
            try:
                await self.start()
            except (KafkaError, WorkerError, OSError) as error:
                # A certificate that is just being renewed, say. Nothing else would try again.
                log.warning("producer_not_started", error=f"{type(error).__name__}: {error}")
                await self._clock.sleep(next(pauses))
