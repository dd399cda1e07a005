"""The producer of one partition's transactions: had again after each error, by the owner alone.

An error ends a producer (`worker.kafka.transactional_producer`). Starting its successor fences
another worker with its id. A worker that was cut off for longer than its session lasts
is no owner any more, and does not know: it would fence the one that is, whose jobs would then be
done again. So the group's coordinator is asked first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import BrokerResponseError, KafkaError

from worker.errors import WorkerError
from worker.kafka.broker_errors import ErrorKind
from worker.kafka.transaction_context import Shared
from worker.kafka.transaction_errors import Trouble, causes, judge
from worker.kafka.transactional_producer import TransactionalProducer

if TYPE_CHECKING:
    from aiokafka import TopicPartition

__all__ = ["PartitionProducer"]

ANSWER_TIMEOUT = 30.0
"""Seconds for brokers to say what is committed."""

STOP_TIMEOUT = 5.0
"""Seconds for a producer to disconnect."""

_TRANSACTION_RIGHTS = frozenset({30, 31, 53})
"""GROUP_, CLUSTER_ and TRANSACTIONAL_ID_AUTHORIZATION_FAILED."""

log = structlog.get_logger(__name__)


class PartitionProducer:
    """Has a producer for a partition, as often as that takes.

    Args:
        on_lost: called when the partition is this worker's no longer, before that is asked again.
    """

    def __init__(
        self, partition: TopicPartition, shared: Shared, on_lost: Callable[[], Awaitable[None]]
    ) -> None:
        self._partition = partition
        self._place = {"topic": partition.topic, "partition": partition.partition}
        self._shared = shared
        self._on_lost = on_lost
        self._producer: TransactionalProducer | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        # The partition has just been assigned to this worker: it need not be asked about.
        self._newly_assigned = True

    @property
    def current(self) -> TransactionalProducer | None:
        """The producer, started; None after an error."""
        return self._producer

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a broker."""
        return self._producer is not None and self._producer.connected

    async def open(self, begin: Callable[[int | None], Awaitable[None]]) -> None:
        """Start a producer if there is none, read the committed offset, and begin with that.

        Args:
            begin: called with the committed offset, None if there is none; if it fails, all steps
                are taken again.
        """
        pauses = self._shared.retry.pauses(self._shared.clock)
        while True:
            try:
                if self._producer is None:
                    await self._own()
                    self._producer = self._shared.make(self._partition)
                    await self._shared.starts.start(self._producer)
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    committed = await self._shared.consumer.committed(self._partition)
                await begin(committed)
            except (KafkaError, WorkerError, OSError) as error:
                self.note_trouble(error)
                self.discard()
                await self._shared.clock.sleep(next(pauses))
            else:
                # The coordinators of the transactional id and of the group have both answered.
                self._shared.history.allow_transactions(self._partition)
                return

    def discard(self) -> None:
        """Give up the producer: another one with its id continues."""
        if (producer := self._producer) is None:
            return
        self._producer = None
        # Not waited for: what it still sends is refused once its successor has started.
        retiring = asyncio.create_task(producer.stop(STOP_TIMEOUT))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def stop(self) -> None:
        """Disconnect. The partition's next owner ends what is left open."""
        self._shared.history.allow_transactions(self._partition)
        self.discard()
        if self._retiring:
            await asyncio.wait(self._retiring)

    def note_trouble(self, error: Exception) -> None:
        """Take note of an error that is no message's; a right that is missing is reported."""
        self._shared.metrics.commits.labels("failure").inc()
        log.warning("transaction_failed", **self._place, error=f"{type(error).__name__}: {error}")
        if judge(error) is not Trouble.FORBIDDEN:
            return
        cause = next(each for each in causes(error) if isinstance(each, BrokerResponseError))
        if cause.errno in _TRANSACTION_RIGHTS:
            self._shared.history.forbid_transactions(self._partition, cause)
            return
        for topic in _topics(cause) or [self._shared.results_topic]:
            self._shared.history.refused(topic, ErrorKind.FORBIDDEN, cause)

    async def _own(self) -> None:
        """Wait until the group's coordinator has said that the partition is this worker's."""
        if self._newly_assigned:
            self._newly_assigned = False
            return
        shared = self._shared
        pauses = shared.retry.pauses(shared.clock)
        lost = False
        while not (member := await shared.consumer.is_member()):
            if member is False and not lost:
                lost = True
                log.warning("partition_lost", **self._place, reason="the group has gone on without")
                await self._on_lost()
            # A coordinator that cannot be reached is looked for by the consumer meanwhile.
            await shared.clock.sleep(min(next(pauses), shared.membership_pause))


def _topics(error: BrokerResponseError) -> Collection[str]:
    """The topics that an error names, as aiokafka makes it."""
    named = error.args[0] if error.args else ()
    return sorted(named) if isinstance(named, set | frozenset) else ()
