"""Publishes results and dead letters until brokers acknowledge them or refuse them for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog
from aiokafka.errors import KafkaError

from worker.contract.records import Message
from worker.kafka.broker_errors import TOO_LARGE, ErrorKind, Refused, classify, code_of, name_of
from worker.kafka.client import BATCH_BYTES
from worker.kafka.producer import MessageTooLargeError, ReplaceableProducer
from worker.kafka.topic_history import TopicHistory
from worker.metrics import Metrics
from worker.retry import SYSTEM_CLOCK, Clock, Retry

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["Outgoing", "Publisher"]

RECORD_OVERHEAD = 512
"""Bytes that the protocol may add to a message: batch header, lengths, deltas."""

BACKOFF_INITIAL = 0.1
"""Seconds before the second attempt at most."""

log = structlog.get_logger(__name__)

Reduce = Callable[[Message], Message]


class MakeProducer(Protocol):
    """Makes a producer that is not started."""

    def __call__(self, *, max_batch_size: int, enable_idempotence: bool) -> AIOKafkaProducer:
        """Make a producer.

        Args:
            max_batch_size: most bytes of a batch; a larger message is a batch of its own.
            enable_idempotence: whether the producer numbers its batches.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic.

    Attributes:
        reductions: functions that each make the message smaller by something less important. They
            are applied in order for as long as the message is too large for the topic.
    """

    topic: str
    message: Message
    reductions: tuple[Reduce, ...] = ()


class Publisher:
    """Publishes with two producers: one puts messages into batches, one sends each by itself.

    A broker accepts or refuses whole batches. So one message that it refuses fails all messages of
    its batch, and with aiokafka the producer too. For a while after a refusal, all messages of that
    topic therefore go through the second producer. There a refusal affects one message only, and
    its retries delay no other.

    Args:
        limits: largest message in bytes by topic, where it is known.
        default_limit: largest message in bytes of all other topics.
        backoff_max: longest pause between attempts, in seconds.
        history: what topics accepted and refused; by default one that reports to no callback.
        clock: measures the pauses.
    """

    def __init__(
        self,
        make: MakeProducer,
        limits: Mapping[str, int],
        default_limit: int,
        backoff_max: float,
        metrics: Metrics,
        history: TopicHistory | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._limits = limits
        self._default_limit = default_limit
        self._retry = Retry(BACKOFF_INITIAL, backoff_max, jitter=True)
        self._clock = clock
        self._metrics = metrics
        self._history = history or TopicHistory(lambda _: None)
        # A topic's limit applies to whole batches.
        batch_bytes = min(BATCH_BYTES, default_limit, *limits.values())
        batching = partial(make, max_batch_size=batch_bytes, enable_idempotence=True)
        self._batching = ReplaceableProducer(batching, backoff_max, idempotent=True, clock=clock)
        isolating = partial(make, max_batch_size=1, enable_idempotence=False)
        self._isolating = ReplaceableProducer(isolating, backoff_max, idempotent=False, clock=clock)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a broker."""
        return self._batching.connected

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: the brokers cannot be reached or refuse the client.
        """
        await self._batching.start()

    async def publish(self, messages: Sequence[Outgoing]) -> list[Refused]:
        """Send messages until the brokers have acknowledged each or refused it for good.

        Until then only cancelling ends the attempts.

        Returns:
            The messages that were refused in every form; empty as a rule.
        """
        if len(messages) == 1:
            refused = await self._publish_one(messages[0])
            return [] if refused is None else [refused]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._publish_one(message)) for message in messages]
        return [refused for task in tasks if (refused := task.result()) is not None]

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
        await asyncio.gather(self._batching.stop(timeout), self._isolating.stop(timeout))

    async def _publish_one(self, outgoing: Outgoing) -> Refused | None:
        topic, message, reductions = outgoing.topic, outgoing.message, iter(outgoing.reductions)
        limit = self._limits.get(topic, self._default_limit) - RECORD_OVERHEAD
        while message.size > limit and (smaller := self._reduce(topic, message, reductions)):
            message = smaller
        while (refused := await self._send(topic, message)) is not None and refused.too_large:
            # The topic's limit is not known, or has been lowered.
            smaller = self._reduce(topic, message, reductions)
            if smaller is None:
                break
            message = smaller
        return refused

    async def _send(self, topic: str, message: Message) -> Refused | None:
        """Send a message until it is acknowledged, or refused for good while sent by itself.

        Returns:
            Why it was refused, or None.
        """
        history, pauses = self._history, self._retry.pauses(self._clock)
        doubted: float | None = None
        while True:
            isolated = history.is_isolated(topic)
            try:
                await (self._isolating if isolated else self._batching).send(topic, message)
            except MessageTooLargeError:
                return Refused(topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
            except KafkaError as failed:
                error, kind = failed, classify(failed)
            else:
                history.accepted(topic)
                return None
            self._metrics.publish_retries.inc()
            log.warning("publish_failed", topic=topic, error=str(error))
            history.refused(topic, kind, error)
            if not isolated and kind is not ErrorKind.RETRY:
                continue  # its batch was refused, which says nothing about the message yet
            if kind is ErrorKind.DOUBTFUL:
                doubted = history.clock() if doubted is None else doubted
                if history.is_message_at_fault(topic, doubted):
                    kind = ErrorKind.FINAL
            if kind is ErrorKind.TOO_LARGE:
                return Refused(topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
            if kind is ErrorKind.FINAL:
                return Refused(topic, code_of(error), name_of(error))
            await self._clock.sleep(next(pauses))

    def _reduce(self, topic: str, message: Message, reductions: Iterator[Reduce]) -> Message | None:
        """Apply the next reduction that makes the message smaller.

        Returns:
            The smaller message, or None if there is none.
        """
        for reduce in reductions:
            smaller = reduce(message)
            if smaller.size < message.size:
                self._metrics.reduced.labels(topic).inc()
                log.warning(
                    "message_too_large", topic=topic, bytes=message.size, reduced_to=smaller.size
                )
                return smaller
        return None
