"""Polling around a record that aiokafka cannot read.

To Kafka a header's name is bytes, to aiokafka it must be UTF-8: a poll that meets another one
raises UnicodeDecodeError, and so would every later one. What that poll had read of other partitions
by then is lost, while their positions have moved on; a damaged batch (CorruptRecordException) costs
the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aiokafka.structs import ConsumerRecord

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from worker.kafka.assignment import Assignment

__all__ = ["UNREADABLE", "CarefulPolls"]

UNREADABLE = -2
"""The `serialized_value_size` of a stand-in for a record that cannot be read."""

PATIENCE = 60.0
"""Seconds without an unreadable record after which polls need no care any more."""

TURN = 1000
"""Most records of one partition before the next one has its turn."""

WAIT_MS = 200


class CarefulPolls:
    """Takes single records until the one that cannot be read is found, and steps over it.

    A poll of one record loses nothing when it fails, and shows which record it was.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        assignment: Assignment,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._clock = clock
        self._until = 0.0
        self._lost = False
        self._turn = 0
        self._taken = 0

    @property
    def active(self) -> bool:
        """Whether polls have to go through here."""
        return self._lost or self._clock() < self._until

    def begin(self) -> None:
        """A poll failed in the middle: positions are wrong, and some record is the cause."""
        self._lost = True
        self._until = self._clock() + PATIENCE

    async def poll(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """At most one record of one of `partitions`; a stand-in for one that cannot be read.

        Raises:
            KafkaError: the poll failed.
        """
        if self._lost:
            await self._rewind()
            self._lost = False
        partition = partitions[self._turn % len(partitions)]
        try:
            polled: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                partition, timeout_ms=WAIT_MS, max_records=1
            )
        except UnicodeDecodeError:
            offset = await self._consumer.position(partition)
            self._consumer.seek(partition, offset + 1)
            self._until = 0.0
            return {partition: [_stand_in(partition, offset)]}
        self._taken += 1
        if not polled or self._taken == TURN:
            self._turn, self._taken = self._turn + 1, 0
        return polled

    async def _rewind(self) -> None:
        """Go back to the first record of each partition that was not taken in."""
        for holding in list(self._assignment):
            partition = holding.partition
            if holding.ledger.last is not None:
                self._consumer.seek(partition, holding.ledger.last + 1)
            elif holding.start is not None:
                self._consumer.seek(partition, holding.start)
            elif (committed := await self._consumer.committed(partition)) is not None:
                self._consumer.seek(partition, committed)
            else:
                await self._consumer.seek_to_beginning(partition)


def _stand_in(partition: TopicPartition, offset: int) -> ConsumerRecord:
    return ConsumerRecord(
        partition.topic, partition.partition, offset, -1, 0, None, None, None, -1, UNREADABLE, ()
    )
