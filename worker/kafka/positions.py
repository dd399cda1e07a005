"""Where reading begins, and where it goes on when the brokers no longer have what is due.

aiokafka has one setting for two cases that are not alike: a group without a committed offset is new
and may choose, a group whose offset is out of range has missed something. It is told to choose
nothing (`auto_offset_reset: none`), and what it then raises is settled here.
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

__all__ = ["UNSETTLED", "Positions"]

UNSETTLED = (NoOffsetForPartitionError, OffsetOutOfRangeError)
"""What a poll raises for a partition that has no position, or one that the brokers lack."""

TIMEOUT = 5.0
"""Seconds for the brokers to tell where a partition begins or ends; nothing is polled meanwhile."""

log = structlog.get_logger(__name__)


class Positions:
    """Seeks, and starts ledgers accordingly.

    Args:
        topic: that jobs come from.
        reset: where a new group starts.
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
        # Partitions that were there when this worker came and that it has not read: to others the
        # group is not new, though it has no offset there (they were added, or made anew).
        self._fresh: set[int] | None = None

    def note(self) -> None:
        """Take note of the partitions that are there, and of those that are read."""
        if self._fresh is None:
            self._fresh = set(self._consumer.partitions_for_topic(self._topic) or ())
        if self._fresh:
            known = (each for each in self._assignment if each.start is not None)
            self._fresh -= {state.partition.partition for state in known}

    async def settle(self, error: NoOffsetForPartitionError | OffsetOutOfRangeError) -> None:
        """Give the partitions that `error` names a position.

        Raises:
            KafkaError: the brokers do not tell where they begin or end.
        """
        try:
            async with asyncio.timeout(TIMEOUT):
                if isinstance(error, NoOffsetForPartitionError):
                    await self._begin(error.args[0])
                else:
                    for partition, offset in error.args[0].items():
                        await self._go_on(partition, offset)
        except TimeoutError:
            raise KafkaTimeoutError("no answer where partitions begin or end") from error

    async def _begin(self, partition: TopicPartition) -> None:
        """Begin a partition for which the group has committed nothing, and have that committed.

        Otherwise a partition without jobs would have no offset: a restart would choose anew, and
        `latest` skip what came in between.
        """
        state = self._assignment.get(partition)
        if state is None:
            return
        latest = self._reset == "latest" and partition.partition in (self._fresh or ())
        ask = self._consumer.end_offsets if latest else self._consumer.beginning_offsets
        offset = (await ask([partition]))[partition]
        if self._assignment.get(partition) is state:
            self._consumer.seek(partition, offset)
            state.start = offset
            state.ledger.advance_to(offset)

    async def _go_on(self, partition: TopicPartition, offset: int) -> None:
        """Go on at the earliest record in place of `offset`, which the brokers do not have."""
        state = self._assignment.get(partition)
        if state is None:
            return
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
                reason="it ends before the offset that is due: the topic was made anew, or cut off",
            )
            state = self._assignment.restart(state)
        self._consumer.seek(partition, earliest)
        if state.start is None:
            state.start = earliest
        state.ledger.advance_to(earliest)
