"""Publishes results and dead letters until brokers acknowledge them or refuse them for good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog
from aiokafka.errors import KafkaError

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.records import Message
from worker.kafka.broker_errors import TOO_LARGE, ErrorKind, Refused, classify, code_of, name_of
from worker.kafka.client import BATCH_BYTES
from worker.kafka.outgoing import Outgoing, Reduce, Sizes
from worker.kafka.producer import MessageTooLargeError, ReplaceableProducer
from worker.kafka.topic_history import TopicHistory
from worker.metrics import Metrics
from worker.retry import Retry

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer
    from aiokafka.structs import RecordMetadata

    from worker.tracing.tracer import Tracer

__all__ = ["Outgoing", "Publisher", "stamped"]

BACKOFF_INITIAL = 0.1
"""Seconds before the second attempt at most."""

log = structlog.get_logger(__name__)


class MakeProducer(Protocol):
    """Makes a producer that is not started."""

    def __call__(self, *, max_batch_size: int, enable_idempotence: bool) -> AIOKafkaProducer:
        """Make a producer.

        Args:
            max_batch_size: most bytes of a batch; a larger message is a batch of its own.
            enable_idempotence: whether the producer numbers its batches.
        """
        ...


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
        tracer: makes spans of messages; None without tracing.
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
        *,
        tracer: Tracer | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._sizes = Sizes(limits, default_limit, metrics)
        self._retry = Retry(BACKOFF_INITIAL, backoff_max, jitter=True)
        self._clock = clock
        self._metrics = metrics
        self._tracer = tracer
        self._history = history or TopicHistory(lambda _: None)
        # A topic's limit applies to whole batches.
        batch_bytes = min(BATCH_BYTES, self._sizes.smallest)
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

    async def send_ahead(self, messages: Sequence[Outgoing]) -> set[int]:
        """Send messages in their order, each once, without waiting for one before the next.

        Those of one topic and key arrive in their order, as far as they arrive: after a batch that
        is refused, the brokers refuse all later ones of the same producer in that partition.

        Returns:
            The numbers of those that were acknowledged. Give the others to `deliver`, in order.
        """
        sent: list[asyncio.Future[RecordMetadata]] = []
        replacements = self._batching.replacements
        for outgoing in messages:
            message = self._sizes.fit(outgoing).message
            # After an earlier one has failed, a new producer would overtake it.
            failed = self._batching.replacements != replacements
            if failed or self._history.is_isolated(outgoing.topic):
                break
            try:
                sent.append(await self._batching.append(outgoing.topic, message))
            except (KafkaError, MessageTooLargeError):
                break
        answers = await asyncio.gather(*sent, return_exceptions=True)
        acknowledged = set()
        for number, (outgoing, answer) in enumerate(zip(messages, answers, strict=False)):
            if isinstance(answer, KafkaError):
                self._metrics.publish_retries.inc()
                self._history.refused(outgoing.topic, classify(answer), answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._history.accepted(outgoing.topic)
                acknowledged.add(number)
        return acknowledged

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
        await asyncio.gather(self._batching.stop(timeout), self._isolating.stop(timeout))

    async def _publish_one(self, outgoing: Outgoing) -> Refused | None:
        if self._tracer is None:
            return await self.deliver(outgoing)
        with self._tracer.send(outgoing.topic, outgoing.message) as sending:
            refused = await self.deliver(stamped(outgoing, sending.stamp))
            if refused is not None:
                sending.refused(refused.name)
            return refused

    async def deliver(self, outgoing: Outgoing) -> Refused | None:
        """Send one message until the brokers have acknowledged it or refused it for good.

        Returns:
            Why it was refused in every form, or None.
        """
        topic, outgoing = outgoing.topic, self._sizes.fit(outgoing)
        while True:
            refused = await self._send(topic, outgoing.message)
            if refused is None or not refused.too_large:
                return refused
            # The topic's limit is not known, or has been lowered.
            smaller = self._sizes.reduce(outgoing)
            if smaller is None:
                return refused
            outgoing = smaller

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
                sent = await (self._isolating if isolated else self._batching).send(topic, message)
            except MessageTooLargeError:
                return Refused(topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
            except KafkaError as failed:
                error, kind = failed, classify(failed)
            else:
                self._note_accepted(topic, sent)
                return None
            self._metrics.publish_retries.inc()
            log.warning("publish_failed", topic=topic, error=str(error))
            history.refused(topic, kind, error)
            if not isolated and kind is not ErrorKind.RETRY:
                continue  # its batch was refused, which says nothing about the message yet
            if kind is ErrorKind.DOUBTFUL:
                doubted = history.clock.monotonic() if doubted is None else doubted
                if history.is_message_at_fault(topic, doubted):
                    kind = ErrorKind.FINAL
            if kind is ErrorKind.TOO_LARGE:
                return Refused(topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
            if kind is ErrorKind.FINAL:
                return Refused(topic, code_of(error), name_of(error))
            await self._clock.sleep(next(pauses))

    def _note_accepted(self, topic: str, sent: RecordMetadata) -> None:
        self._history.accepted(topic)
        if self._tracer is not None:
            self._tracer.note_acknowledged(sent.partition, sent.offset)


def stamped(outgoing: Outgoing, stamp: Reduce) -> Outgoing:
    """Make a message carry its span's context, in its smaller forms as well.

    Returns:
        The message with the context.
    """
    reductions = tuple(partial(_reduced, reduce, stamp) for reduce in outgoing.reductions)
    return replace(outgoing, message=stamp(outgoing.message), reductions=reductions)


def _reduced(reduce: Reduce, stamp: Reduce, message: Message) -> Message:
    return stamp(reduce(message))
