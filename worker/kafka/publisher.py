"""Publishes results and dead letters until the brokers take them, or refuse them for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog
from aiokafka.errors import KafkaError

from worker.contract.messages import Message
from worker.kafka.client import BATCH_BYTES
from worker.kafka.lane import Lane, TooLargeError
from worker.kafka.refusals import TOO_LARGE, Refused, Verdict, code_of, judge, name_of
from worker.kafka.standing import Standing
from worker.metrics import Metrics
from worker.retry import SYSTEM_CLOCK, Clock, Retry

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["Outgoing", "Publisher"]

RECORD_OVERHEAD = 512
"""Bytes allowed for what the protocol adds to a message: batch header, lengths, deltas."""

BACKOFF_INITIAL = 0.1
"""Seconds before the second attempt at most."""

log = structlog.get_logger(__name__)

Reduce = Callable[[Message], Message]


class MakeProducer(Protocol):
    """Makes a producer that is not started."""

    def __call__(self, *, max_batch_size: int, enable_idempotence: bool) -> AIOKafkaProducer:
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
    """Two lanes: messages share batches in the one, and go alone in the other.

    A broker judges batches, so a single message that it refuses fails all that share its batch, and
    with aiokafka the producer too. A topic that has refused something is therefore suspect for a
    while: its messages go through the other lane, where each is judged by itself, a refusal costs
    nobody anything, and retries hold nobody up.

    Args:
        limits: largest message of a topic in bytes, for those that are known.
        default_limit: the same for all others.
        backoff_max: seconds between attempts at most.
        standing: what topics took and refused; by default there is nobody to tell of it.
        clock: what pauses go by.
    """

    def __init__(
        self,
        make: MakeProducer,
        limits: Mapping[str, int],
        default_limit: int,
        backoff_max: float,
        metrics: Metrics,
        standing: Standing | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._limits = limits
        self._default_limit = default_limit
        self._retry = Retry(BACKOFF_INITIAL, backoff_max, jitter=True)
        self._clock = clock
        self._metrics = metrics
        self._standing = standing or Standing(lambda _: None)
        # A topic's limit holds for a whole batch.
        batch_bytes = min(BATCH_BYTES, default_limit, *limits.values())
        shared = partial(make, max_batch_size=batch_bytes, enable_idempotence=True)
        self._shared = Lane(shared, backoff_max, numbered=True, clock=clock)
        alone = partial(make, max_batch_size=1, enable_idempotence=False)
        self._alone = Lane(alone, backoff_max, numbered=False, clock=clock)

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: the brokers cannot be reached or refuse the client.
        """
        await self._shared.start()

    async def publish(self, messages: Sequence[Outgoing]) -> list[Refused]:
        """Return when the brokers have acknowledged all but those that they refuse for good.

        Until then only cancelling ends the attempts.

        Returns:
            What was refused in every form; empty as a rule.
        """
        if len(messages) == 1:
            refused = await self._publish_one(messages[0])
            return [] if refused is None else [refused]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._publish_one(message)) for message in messages]
        return [refused for task in tasks if (refused := task.result()) is not None]

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
        await asyncio.gather(self._shared.stop(timeout), self._alone.stop(timeout))

    async def _publish_one(self, outgoing: Outgoing) -> Refused | None:
        topic, message, reductions = outgoing.topic, outgoing.message, iter(outgoing.reductions)
        limit = self._limits.get(topic, self._default_limit) - RECORD_OVERHEAD
        while message.size > limit and (smaller := self._reduce(topic, message, reductions)):
            message = smaller
        while (refused := await self._send(topic, message)) is not None and refused.too_large:
            # The topic's limit could not be read, or was lowered since.
            smaller = self._reduce(topic, message, reductions)
            if smaller is None:
                break
            message = smaller
        return refused

    async def _send(self, topic: str, message: Message) -> Refused | None:
        """Try until the message is taken, or refused for good when it was alone."""
        standing, pauses = self._standing, self._retry.pauses(self._clock)
        doubted: float | None = None
        while True:
            alone = standing.goes_alone(topic)
            try:
                await (self._alone if alone else self._shared).send(topic, message)
            except TooLargeError:
                return Refused(topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
            except KafkaError as failed:
                error, verdict = failed, judge(failed)
            else:
                standing.took(topic)
                return None
            self._metrics.publish_retries.inc()
            log.warning("publish_failed", topic=topic, error=str(error))
            standing.refused(topic, verdict, error)
            if not alone and verdict is not Verdict.RETRY:
                continue  # its batch was judged, not yet the message
            if verdict is Verdict.DOUBTFUL:
                doubted = standing.clock() if doubted is None else doubted
                if standing.is_to_blame(topic, doubted):
                    verdict = Verdict.FINAL
            if verdict is Verdict.TOO_LARGE:
                return Refused(topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
            if verdict is Verdict.FINAL:
                return Refused(topic, code_of(error), name_of(error))
            await self._clock.sleep(next(pauses))

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
