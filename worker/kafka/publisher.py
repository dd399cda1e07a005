"""Publishes results and dead letters until the broker acknowledges them (at least once)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from worker.kafka.client import stop_bounded
from worker.messages import Message
from worker.metrics import Metrics

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["Outgoing", "Publisher"]

RECORD_OVERHEAD = 512
"""Bytes allowed for what the protocol adds to a message: batch header, lengths, deltas."""

BACKOFF_INITIAL = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic.

    Attributes:
        reduce: makes the message smaller, at a loss, when the topic does not take it.
    """

    topic: str
    message: Message
    reduce: Callable[[Message], Message]


class Publisher:
    """One idempotent producer, replaced when a batch fails.

    aiokafka numbers a batch when it sends it: once a batch has failed for good (too large, say) the
    broker misses its number and refuses all later ones of that partition. A new producer starts
    afresh.

    Args:
        make: makes a producer that is not started.
        limits: largest message of a topic in bytes, for those that are known.
        backoff_max: seconds between attempts at most.
    """

    def __init__(
        self,
        make: Callable[[], AIOKafkaProducer],
        limits: Mapping[str, int],
        default_limit: int,
        backoff_max: float,
        metrics: Metrics,
    ) -> None:
        self._make = make
        self._limits = limits
        self._default_limit = default_limit
        self._backoff_max = backoff_max
        self._metrics = metrics
        self._producer: AIOKafkaProducer | None = None
        # Invariant: set while `_producer` is None after `start`: somebody is always bringing up the
        # next one.
        self._replacement: asyncio.Task[None] | None = None

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

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when the brokers have acknowledged all; only cancelling ends the attempts.

        Raises:
            MessageSizeTooLargeError: a topic takes not even the reduced message.
        """
        if len(messages) == 1:
            await self._publish_one(messages[0])
            return
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(self._publish_one(message))

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
        if self._replacement is not None:
            self._replacement.cancel()
            await asyncio.gather(self._replacement, return_exceptions=True)
        if self._producer is not None:
            await stop_bounded(self._producer, "producer", timeout)
            self._producer = None

    async def _publish_one(self, outgoing: Outgoing) -> None:
        message = outgoing.message
        limit = self._limits.get(outgoing.topic, self._default_limit) - RECORD_OVERHEAD
        if message.size > limit:
            message = self._reduce(outgoing, message)
        backoff = BACKOFF_INITIAL
        while True:
            try:
                await self._send(outgoing.topic, message)
                return
            except MessageSizeTooLargeError:
                # The topic's limit could not be read, or was lowered since.
                smaller = self._reduce(outgoing, message)
                if smaller.size == message.size:
                    raise
                message = smaller
            except KafkaError as error:
                self._metrics.publish_retries.inc()
                log.warning(
                    "publish_failed", topic=outgoing.topic, error=f"{type(error).__name__}: {error}"
                )
                await asyncio.sleep(random.uniform(0, backoff))  # noqa: S311 - jitter is no secret
                backoff = min(backoff * 2, self._backoff_max)

    def _reduce(self, outgoing: Outgoing, message: Message) -> Message:
        smaller = outgoing.reduce(message)
        self._metrics.reduced.labels(outgoing.topic).inc()
        log.warning(
            "message_too_large", topic=outgoing.topic, bytes=message.size, reduced_to=smaller.size
        )
        return smaller

    async def _send(self, topic: str, message: Message) -> None:
        value = message.value
        if value is None and message.key is None:
            # aiokafka refuses a record without both; the dead letter's reason says that it was
            # null.
            value = b""
        while (producer := self._producer) is None:
            assert self._replacement is not None
            # Shielded: one job that is cancelled must not leave all others without a producer.
            await asyncio.shield(self._replacement)
        # An error here queued nothing, so no number goes missing and the producer stays.
        acknowledged = await producer.send(topic, value, message.key, headers=list(message.headers))
        try:
            await acknowledged
        except KafkaError:
            if self._producer is producer:
                self._producer = None
                self._replacement = asyncio.create_task(
                    self._replace(producer), name="producer-replacement"
                )
            raise

    async def _replace(self, failed: AIOKafkaProducer) -> None:
        await stop_bounded(failed, "failed producer", timeout=1.0)
        while self._producer is None:
            try:
                await self.start()
            except KafkaError as error:
                log.warning("producer_not_started", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._backoff_max)
