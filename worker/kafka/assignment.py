"""The partitions that are assigned to this worker, each with its ledger and its running jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock
from worker.kafka.ledger import Ledger
from worker.metrics import PartitionProgress

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from worker.kafka.parcel import Parcel

__all__ = ["Assignment", "PartitionState"]


@dataclass(slots=True, eq=False)
class PartitionState:
    """The state of one partition during one assignment.

    Attributes:
        start: the offset at which reading began; None while that is not known.
        committed: the position that was last committed during this assignment, or None.
        lost_to: records before this offset that were not read have been counted as lost.
        order: what became of each job until all before it have ended, for ordered delivery.
        ready: whether its records may be polled.
        tasks: the partition's running jobs.
        end: where its leader last said that it ends; None before the first answer.
        end_known_at: when that was, monotonic seconds; when it was assigned before that.
        lag: records between the offset that was committed then and that end; None if unknown.
    """

    partition: TopicPartition
    ledger: Ledger[None] = field(default_factory=Ledger)
    order: Ledger[Parcel] = field(default_factory=Ledger)
    ready: bool = True
    start: int | None = None
    committed: int | None = None
    lost_to: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    end: int | None = None
    end_known_at: float = field(default_factory=SYSTEM_CLOCK.monotonic)
    lag: int | None = None

    def track(self, offset: int, timestamp_ms: int = 0) -> None:
        """Take note of a polled record.

        Raises:
            ValueError: the offset does not follow the last one, or the partition was released.
        """
        self.ledger.track(offset, timestamp_ms)
        self.order.track(offset)

    def note_end(self, end: int, now: float) -> None:
        """Take note of the partition's end.

        Args:
            now: monotonic seconds.
        """
        self.end, self.end_known_at = end, now
        # Without a commit in this assignment the group's offset is where reading began.
        begun = self.ledger.first if self.start is None else self.start
        committed = begun if self.committed is None else self.committed
        if committed is not None:
            self.lag = max(0, end - committed)

    @property
    def done(self) -> int | None:
        """Offsets that are done, counted from offset 0; None before anything was read.

        Those that are no jobs, such as transaction markers, count once the reading has passed them,
        so that what is done and what is left always add up to the partition's end.
        """
        last = self.ledger.last
        known = (self.start, self.ledger.position, None if last is None else last + 1)
        read_to = max((offset for offset in known if offset is not None), default=None)
        return None if read_to is None else read_to - self.ledger.outstanding

    @property
    def left(self) -> int | None:
        """Offsets up to the end that are not done; None while that is not known."""
        done = self.done
        return None if done is None or self.end is None else max(0, self.end - done)


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
        now = self._clock.monotonic()
        self._states = {
            partition: PartitionState(partition, end_known_at=now)
            # In an order that does not depend on hashes.
            for partition in sorted(partitions)
        }
        self.accepting = True

    def get(self, partition: TopicPartition) -> PartitionState | None:
        """Get the state of a partition of which records are to be taken in.

        Returns:
            None if its records are to be dropped: a poll can return records of a partition that is
            being revoked, and its next owner gets them too.
        """
        return self._states.get(partition) if self.accepting else None

    def current(self, partition: TopicPartition) -> PartitionState:
        """Get the state of an assigned partition, even while nothing is taken in.

        Raises:
            KeyError: the partition is not assigned.
        """
        return self._states[partition]

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

    async def renew(self, state: PartitionState, start: int | None) -> PartitionState:
        """Abandon the jobs of one partition, and begin it again with empty ledgers.

        Args:
            start: the offset at which reading begins again; None if that is not known.

        Returns:
            The state that takes the place of `state`. It is not ready.
        """
        fresh = PartitionState(state.partition, start=start, committed=start, ready=False)
        self._states[state.partition] = fresh
        state.ledger.close()
        await _cancel(state.tasks)
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
        await _cancel(tasks)
        self._states = {}
        return len(tasks)

    def progress(
        self, damaged: Container[TopicPartition] = (), waiting: Container[str] = ()
    ) -> Iterable[PartitionProgress]:
        """Measure lag and age of every partition, for metrics.

        Args:
            damaged: the partitions that cannot be read any further.
            waiting: the topics whose records wait on purpose.
        """
        now = self._clock.wall()
        for partition, state in self._states.items():
            oldest = state.ledger.oldest_timestamp_ms
            yield PartitionProgress(
                partition.topic,
                partition.partition,
                state.lag,
                0.0 if oldest is None or oldest < 0 else max(0.0, now - oldest / 1000),
                partition in damaged,
                partition.topic in waiting,
            )

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {task for state in self for task in state.tasks}


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
