"""The partitions that are assigned to this worker, each with its ledger and its running jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock
from worker.kafka.ledger import Ledger
from worker.metrics import PartitionProgress

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from worker.contract.records import Message

__all__ = ["Assignment", "PartitionState"]


@dataclass(slots=True, eq=False)
class PartitionState:
    """The state of one partition during one assignment.

    Attributes:
        start: the offset at which reading began; None while that is not known.
        committed: the position that was last committed during this assignment, or None.
        lost_to: records before this offset that were not read have been counted as lost.
        tasks: the partition's running jobs.
    """

    partition: TopicPartition
    ledger: Ledger[tuple[Message, ...]] = field(default_factory=Ledger)
    start: int | None = None
    committed: int | None = None
    lost_to: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Assignment:
    """The states of all assigned partitions; for one event loop.

    aiokafka rebalances eagerly: all partitions are revoked together, then a new set is assigned.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._states: dict[TopicPartition, PartitionState] = {}
        self._clock = clock
        # Invariant: False from the moment at which partitions are revoked until new ones are
        # assigned.
        self.accepting = False

    def __iter__(self) -> Iterator[PartitionState]:
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        """Begin an assignment with empty ledgers; aiokafka reads on from the committed offsets."""
        self._states = {partition: PartitionState(partition) for partition in partitions}
        self.accepting = True

    def get(self, partition: TopicPartition) -> PartitionState | None:
        """Get the state of a partition of which records are to be taken in.

        Returns:
            None if its records are to be dropped: a poll can return records of a partition that is
            being revoked, and its next owner gets them too.
        """
        return self._states.get(partition) if self.accepting else None

    def restart(self, state: PartitionState) -> PartitionState:
        """Give a partition whose offsets begin again a new ledger.

        Its running jobs settle nothing in that, but their results are published: no other member
        has these jobs.

        Returns:
            The state that takes the place of `state`.
        """
        state.ledger.close()
        fresh = PartitionState(state.partition, tasks=state.tasks)
        self._states[state.partition] = fresh
        return fresh

    async def drain(self, timeout: float) -> int:
        """Wait until no job runs, at most `timeout` seconds.

        Returns:
            How many jobs still run.
        """
        tasks = self._tasks()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        return len(self._tasks())

    async def abandon(self) -> int:
        """End the assignment: close the ledgers and cancel the jobs that still run.

        Returns:
            How many jobs were cancelled.
        """
        tasks = self._tasks()
        for state in self:
            state.ledger.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._states = {}
        return len(tasks)

    def progress(
        self,
        highwater: Callable[[TopicPartition], int | None],
        damaged: Container[TopicPartition] = (),
    ) -> Iterable[PartitionProgress]:
        """Measure lag and age of every partition, for metrics.

        Args:
            highwater: returns the end offset of a partition as of its last fetch.
            damaged: the partitions that cannot be read any further.
        """
        now = self._clock.wall()
        for partition, state in self._states.items():
            end = highwater(partition)
            position = state.start if state.ledger.position is None else state.ledger.position
            oldest = state.ledger.oldest_timestamp_ms
            yield PartitionProgress(
                partition.topic,
                partition.partition,
                None if end is None or position is None else max(0, end - position),
                0.0 if oldest is None or oldest < 0 else max(0.0, now - oldest / 1000),
                partition in damaged,
            )

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {task for state in self for task in state.tasks}
