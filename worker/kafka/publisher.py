"""Publishes results and dead letters until the broker acknowledges them (at least once)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
)

from worker.errors import WorkerError
from worker.kafka.client import BATCH_BYTES, stop_bounded
from worker.messages import Message
from worker.metrics import Metrics

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["Outgoing", "Publisher"]

RECORD_OVERHEAD = 512
"""Bytes allowed for what the protocol adds to a message: batch header, lengths, deltas."""

BACKOFF_INITIAL = 0.1

RETIREMENT = 60.0
"""Seconds for a replaced producer to deliver what it still can."""

log = structlog.get_logger(__name__)

Reduce = Callable[[Message], Message]


class MakeProducer(Protocol):
    """Makes a producer that is not started."""

    def __call__(self, *, max_batch_size: int) -> AIOKafkaProducer:
        """Make one whose batches have `max_batch_size` bytes at most; a larger message is alone."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic.

    Attributes:
        reductions: each makes the message smaller, at a loss; applied in order while the topic does
            not take it.
    """

    topic: str
    message: Message
    reductions: tuple[Reduce, ...] = ()


class Publisher:
    """One idempotent producer, replaced when a batch fails.

    aiokafka numbers a batch when it sends it: once a batch has failed for good (too large, say) the
    broker misses its number and refuses all later ones of that partition. A new producer starts
    afresh.

    Args:
        limits: largest message of a topic in bytes, for those that are known.
        default_limit: the same for all others.
        backoff_max: seconds between attempts at most.
    """

    def __init__(
        self,
        make: MakeProducer,
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
        # A topic's limit holds for a whole batch.
        self._batch_bytes = min(BATCH_BYTES, default_limit, *limits.values())
        self._producer: AIOKafkaProducer | None = None
        # Whether that producer sends every message in a batch of its own.
        self._alone = False
        # Invariant: set exactly while there is a producer.
        self._ready = asyncio.Event()
        self._replacement: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[bool]] = set()

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: the brokers cannot be reached or refuse the client.
        """
        batch_bytes = self._batch_bytes
        producer = self._make(max_batch_size=batch_bytes)
        try:
            await producer.start()
        except BaseException:
            await stop_bounded(producer, "producer")
            raise
        self._producer, self._alone = producer, batch_bytes == 1
        self._ready.set()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when the brokers have acknowledged all; only cancelling ends the attempts.

        Raises:
            MessageSizeTooLargeError: a topic takes not even the most reduced message (in an
                ExceptionGroup when there are several messages).
        """
        if len(messages) == 1:
            await self._publish_one(messages[0])
            return
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(self._publish_one(message))

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
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

    async def _publish_one(self, outgoing: Outgoing) -> None:
        topic, message, reductions = outgoing.topic, outgoing.message, iter(outgoing.reductions)
        limit = self._limits.get(topic, self._default_limit) - RECORD_OVERHEAD
        while message.size > limit and (smaller := self._reduce(topic, message, reductions)):
            message = smaller
        backoff = BACKOFF_INITIAL
        while True:
            try:
                await self._send(topic, message)
                return
            except _TooLargeAloneError as error:
                # The topic's limit could not be read, or was lowered since.
                smaller = self._reduce(topic, message, reductions)
                if smaller is None:
                    raise MessageSizeTooLargeError(
                        f"{topic} takes no message of {message.size} bytes"
                    ) from error
                message = smaller
            except KafkaError as error:
                self._metrics.publish_retries.inc()
                log.warning("publish_failed", topic=topic, error=str(error))
                await asyncio.sleep(random.uniform(0, backoff))  # noqa: S311 - jitter is no secret
                backoff = min(backoff * 2, self._backoff_max)

    def _reduce(self, topic: str, message: Message, reductions: Iterator[Reduce]) -> Message | None:
        """A smaller message, or None when there is none."""
        for reduce in reductions:
            smaller = reduce(message)
            if smaller.size < message.size:
                self._metrics.reduced.labels(topic).inc()
                log.warning(
                    "message_too_large", topic=topic, bytes=message.size, reduced_to=smaller.size
                )
                return smaller
        return None

    async def _send(self, topic: str, message: Message) -> None:
        """One attempt.

        Raises:
            _TooLargeAloneError: the message by itself is too large.
            KafkaError: it was not delivered.
        """
        while (producer := self._producer) is None:
            await self._ready.wait()
        alone = self._alone
        value = message.value
        if value is None and message.key is None:
            # aiokafka refuses a record without both; a dead letter's reason says that it was null.
            value = b""
        try:
            acknowledged = await producer.send(
                topic, value, message.key, headers=list(message.headers)
            )
        except MessageSizeTooLargeError as error:
            # Refused before it was numbered: the producer is as good as ever.
            raise _TooLargeAloneError from error
        except (KafkaTimeoutError, UnknownTopicOrPartitionError):
            raise
        except KafkaError:
            # aiokafka's sender has died of an earlier error; it never comes back.
            self._renew(producer)
            raise
        try:
            await acknowledged
        except MessageSizeTooLargeError as error:
            # The broker judges batches. With one message each, the next attempt shows whose fault
            # it is.
            self._batch_bytes = 1
            self._renew(producer)
            if alone:
                raise _TooLargeAloneError from error
            raise
        except KafkaError:
            self._renew(producer)
            raise

    def _renew(self, failed: AIOKafkaProducer) -> None:
        """Begin to replace `failed`, once."""
        if self._producer is None or self._producer is not failed:
            return
        self._producer = None
        self._ready.clear()
        # Not waited for: while a broker is slow, it may still deliver what others wait for.
        retiring = asyncio.create_task(stop_bounded(failed, "failed producer", RETIREMENT))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        self._replacement = asyncio.create_task(self._replace(), name="producer-replacement")

    async def _replace(self) -> None:
        while self._producer is None:
            try:
                await self.start()
            except (KafkaError, WorkerError, OSError) as error:
                # A certificate that is being renewed, say: nobody else would try again.
                log.warning("producer_not_started", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._backoff_max)


class _TooLargeAloneError(Exception):
    """A message is too large, whatever it is sent with."""
