"""Where reading begins, and where it goes on if the brokers no longer have the next offset.

aiokafka has one setting for two different cases: a group without a committed offset is new and may
start anywhere, a group whose offset is out of range has missed records. So aiokafka is configured
not to choose (`auto_offset_reset: none`), and the errors that it then raises are handled here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import structlog
from aiokafka.errors import KafkaTimeoutError, NoOffsetForPartitionError, OffsetOutOfRangeError

from worker.metrics import Metrics

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from worker.kafka.assignment import Assignment

__all__ = ["POSITION_ERRORS", "Positions"]

POSITION_ERRORS = (NoOffsetForPartitionError, OffsetOutOfRangeError)
"""Errors of a poll for a partition that has no position, or one that the brokers do not have."""

TIMEOUT = 5.0
"""Seconds for the brokers to say where a partition begins or ends. No poll runs meanwhile."""

log = structlog.get_logger(__name__)


class Positions:
    """Sets the consumer's positions, and starts ledgers there.

    Args:
        topic: the jobs topic.
        reset: where a new group starts in it; in other topics always at the beginning.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        assignment: Assignment,
        reset: Literal["earliest", "latest"],
        metrics: Metrics,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._assignment = assignment
        self._reset = reset
        self._metrics = metrics
        # Partitions that existed when this worker started and that it has not read yet. For all
        # others the group is not new, even if it has no offset there: they were added later, or
        # the topic was deleted and created again.
        self._unread: set[int] | None = None

    def note(self) -> None:
        """Take note of which partitions exist, and which are being read."""
        if self._unread is None:
            self._unread = set(self._consumer.partitions_for_topic(self._topic) or ())
        if self._unread:
            read = (each.partition for each in self._assignment if each.start is not None)
            self._unread -= {each.partition for each in read if each.topic == self._topic}

    async def resolve(self, error: NoOffsetForPartitionError | OffsetOutOfRangeError) -> None:
        """Set the positions of the partitions that `error` names.

        Raises:
            KafkaError: the brokers do not say where these partitions begin or end.
        """
        try:
            async with asyncio.timeout(TIMEOUT):
                if isinstance(error, NoOffsetForPartitionError):
                    await self._begin(error.args[0])
                else:
                    for partition, offset in error.args[0].items():
                        await self._resume(partition, offset)
        except TimeoutError:
            raise KafkaTimeoutError("no answer where partitions begin or end") from error

    async def _begin(self, partition: TopicPartition) -> None:
        """Begin a partition for which the group has no committed offset, and let that be committed.

        Otherwise a partition without jobs would have no offset, and after a restart `latest` would
        skip the jobs that were sent in between.
        """
        state = self._assignment.get(partition)
        if state is None or not state.ready or state.start is not None:
            return
        # What is in a retry topic was taken in by this group once.
        unread = partition.topic == self._topic and partition.partition in (self._unread or ())
        latest = self._reset == "latest" and unread
        ask = self._consumer.end_offsets if latest else self._consumer.beginning_offsets
        offset = (await ask([partition]))[partition]
        if self._assignment.get(partition) is state:
            self._consumer.seek(partition, offset)
            state.start = offset
            state.ledger.advance_to(offset)

    async def _resume(self, partition: TopicPartition, offset: int) -> None:
        """Go on at the earliest record instead of `offset`, which the brokers do not have."""
        state = self._assignment.get(partition)
        if state is None or not state.ready:
            return  # it is about to be given another position
        earliest = (await self._consumer.beginning_offsets([partition]))[partition]
        if self._assignment.get(partition) is not state:
            return
        place = {"topic": partition.topic, "partition": partition.partition}
        if offset < earliest:
            lost = max(0, earliest - max(offset, state.lost_to))
            state.lost_to = earliest
            self._metrics.lost.inc(lost)
            log.warning(
                "records_lost",
                **place,
                lost=lost,
                due=offset,
                earliest=earliest,
                reason="retention or a deletion removed them before this group had read them",
            )
        else:
            log.warning(
                "partition_begins_anew",
                **place,
                due=offset,
                earliest=earliest,
                reason="it ends before the offset that is due: the topic was recreated or cut off",
            )
            state = self._assignment.restart(state)
        self._consumer.seek(partition, earliest)
        if state.start is None:
            state.start = earliest
        state.ledger.advance_to(earliest)
