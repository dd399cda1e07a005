"""The partitions that this worker holds now, each with its ledger and its running jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.kafka.ledger import Ledger
from worker.metrics import PartitionState

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from worker.contract.records import Message

__all__ = ["AssignedPartition", "Assignment"]


@dataclass(slots=True, eq=False)
class AssignedPartition:
    """One partition for the time of one assignment.

    Attributes:
        start: where reading began, or None while that is not known.
        committed: the position last committed from here, or None.
        lost_to: what came before this offset and was not read is known to be lost.
        tasks: the jobs of this partition that run.
    """

    partition: TopicPartition
    ledger: Ledger[tuple[Message, ...]] = field(default_factory=Ledger)
    start: int | None = None
    committed: int | None = None
    lost_to: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Assignment:
    """Holdings by partition; for one event loop.

    Rebalances are eager with aiokafka: all partitions are given up together, then a new set is
    assigned.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._holdings: dict[TopicPartition, AssignedPartition] = {}
        self._clock = clock
        # Invariant: False from the moment that partitions are being given up until new ones are
        # assigned.
        self.accepting = False

    def __iter__(self) -> Iterator[AssignedPartition]:
        return iter(self._holdings.values())

    def __len__(self) -> int:
        return len(self._holdings)

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        """Begin an assignment with new ledgers: aiokafka reads on from the committed offsets."""
        self._holdings = {partition: AssignedPartition(partition) for partition in partitions}
        self.accepting = True

    def get(self, partition: TopicPartition) -> AssignedPartition | None:
        """The holding that takes records of `partition`, or None when they are to be dropped.

        A poll can return records of a partition that is being given up; its new owner gets them
        too.
        """
        return self._holdings.get(partition) if self.accepting else None

    def begin_anew(self, holding: AssignedPartition) -> AssignedPartition:
        """A new ledger for a partition whose offsets begin again; what still runs settles nothing.

        Its jobs are answered all the same: nobody else has them.
        """
        holding.ledger.close()
        fresh = AssignedPartition(holding.partition, tasks=holding.tasks)
        self._holdings[holding.partition] = fresh
        return fresh

    async def drain(self, timeout: float) -> int:
        """Wait until no job runs or `timeout` seconds passed; how many still run."""
        tasks = self._tasks()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        return len(self._tasks())

    async def abandon(self) -> int:
        """End the assignment: close ledgers, cancel what still runs; how many jobs that were."""
        tasks = self._tasks()
        for holding in self:
            holding.ledger.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._holdings = {}
        return len(tasks)

    def states(
        self,
        highwater: Callable[[TopicPartition], int | None],
        damaged: Container[TopicPartition] = (),
    ) -> Iterable[PartitionState]:
        """Lag and age of every partition, for metrics.

        Args:
            highwater: the end offset of a partition as of its last fetch.
            damaged: the partitions that cannot be read any further.
        """
        now = self._clock()
        for partition, holding in self._holdings.items():
            end = highwater(partition)
            position = holding.start if holding.ledger.position is None else holding.ledger.position
            oldest = holding.ledger.oldest_timestamp_ms
            yield PartitionState(
                partition.topic,
                partition.partition,
                None if end is None or position is None else max(0, end - position),
                0.0 if oldest is None or oldest < 0 else max(0.0, now - oldest / 1000),
                partition in damaged,
            )

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {task for holding in self for task in holding.tasks}
