"""What was fetched and has not been polled yet, by partition."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.consumer.fetcher import FetchError

from worker.clock import Clock
from worker.kafka.unreadable_partitions import UnreadablePartitions

if TYPE_CHECKING:
    from aiokafka import TopicPartition
    from aiokafka.consumer.subscription_state import Assignment

    from worker.contract.records import Record
    from worker.kafka.damage import Damage
    from worker.kafka.fetched_batches import FetchedBatches

__all__ = ["FetchBuffer"]

RETRY = 5.0
"""Seconds until a partition that could not be read is fetched again: another replica may have
become its leader, or an operator may have removed the damage."""

POLL_BYTES = 8 * 1024 * 1024
"""Bytes of records after which a poll ends: decompressing them holds up the event loop."""


@dataclass(frozen=True, slots=True)
class _Suspension:
    """An entry for a partition that is not fetched until `until`, seconds."""

    until: float

    def calculate_backoff(self) -> float:
        """No delay: aiokafka would delay all partitions of the same broker."""
        return 0.0


@dataclass(slots=True)
class _Entry:
    """Fetched batches, in the shape that aiokafka expects of an entry."""

    batches: FetchedBatches
    assignment: Assignment
    clock: Clock
    until: float

    def calculate_backoff(self) -> float:
        """Seconds for which the broker's other partitions wait for these batches to be polled."""
        return max(0.0, self.until - self.clock.monotonic())


class FetchBuffer:
    """At most one entry per partition: batches, an error to raise, or a suspension.

    A partition that has an entry is not fetched.

    Args:
        backoff: seconds for which a broker's other partitions wait until a partition's batches are
            polled.
        on_drop: called when an entry is dropped, so that the partition can be fetched again.
        clock: what suspensions and the backoff go by.

    Attributes:
        entries: by partition, in the order of fetching. aiokafka reads them, and puts its errors
            here.
        unreadable: partitions that cannot be read any further for now.
        skipping: whether the last `take` ended among records that are skipped.
    """

    def __init__(self, backoff: float, on_drop: Callable[[], None], clock: Clock) -> None:
        self._backoff = backoff
        self._on_drop = on_drop
        self._clock = clock
        self.entries: OrderedDict[TopicPartition, _Entry | _Suspension | FetchError] = OrderedDict()
        self.unreadable = UnreadablePartitions(RETRY)
        self.skipping = False

    @property
    def held(self) -> int:
        """Bytes fetched and not yet polled."""
        return sum(entry.batches.held for entry in self._batches().values())

    def keep(
        self, partition: TopicPartition, batches: FetchedBatches, assignment: Assignment
    ) -> None:
        """Keep batches until they are polled.

        Args:
            assignment: the assignment for which they were fetched.
        """
        until = self._clock.monotonic() + self._backoff
        self.entries[partition] = _Entry(batches, assignment, self._clock, until)

    def suspend(self, partition: TopicPartition, seconds: float) -> None:
        """Have a partition not fetched for some seconds."""
        self.entries[partition] = _Suspension(self._clock.monotonic() + seconds)

    def note_damage(self, damage: Damage) -> None:
        """Suspend a partition that cannot be read any further, and report it.

        Damage that may be none is ignored the first time: the partition is fetched again at once.
        """
        if damage.doubtful and self.unreadable.is_first_doubt(damage):
            return
        self.suspend(damage.partition, RETRY)
        self.unreadable.note(damage)

    def drop_until(self, needed: int, partitions: Collection[TopicPartition]) -> int:
        """Drop batches of `partitions`, which are fetched again later.

        Args:
            needed: bytes after which no more are dropped.

        Returns:
            Bytes that were dropped.
        """
        freed = 0
        for partition, entry in self._batches().items():
            if freed >= needed:
                break
            if partition in partitions:
                freed += entry.batches.held
                entry.batches.close()
                del self.entries[partition]
        return freed

    def take(
        self,
        partitions: Collection[TopicPartition],
        max_records: int | None,
        max_bytes: int | None,
    ) -> dict[TopicPartition, list[Record]]:
        """Take records of `partitions` (of all, if empty), as many as are there and allowed.

        Returns:
            Records in the order of their offsets, by partition; empty when there are none.

        Raises:
            KafkaError: a partition cannot be used.
        """
        self.skipping = False
        taken: dict[TopicPartition, list[Record]] = {}
        room = POLL_BYTES if max_bytes is None else min(max_bytes, POLL_BYTES)
        for partition in list(self.entries):
            entry = self.entries[partition]
            if isinstance(entry, _Suspension):
                if self._clock.monotonic() >= entry.until:
                    self._drop(partition)
                continue
            if partitions and partition not in partitions:
                continue
            if isinstance(entry, FetchError):
                if taken:
                    break
                self._drop(partition)
                entry.check_raise()
            records = self._read(partition, entry, max_records, room)
            if not records:
                continue
            taken[partition] = records
            room -= sum(record.size for record in records)
            if max_records is not None:
                max_records -= len(records)
            if room <= 0 or max_records == 0:
                break
        return taken

    def _read(
        self, partition: TopicPartition, entry: _Entry, max_records: int | None, max_bytes: int
    ) -> list[Record]:
        state, batches = entry.assignment.state_value(partition), entry.batches
        if not entry.assignment.active or state.position != batches.position:
            self._drop(partition)  # the position was changed, or the partition was revoked
            return []
        if state.paused:
            return []
        records = batches.take(max_records, max_bytes)
        self.skipping |= batches.skipping
        state.consumed_to(batches.position)
        self.unreadable.clear_passed(partition, batches.position)
        if batches.finished:
            self._drop(partition)
        if batches.damage is not None:
            self.note_damage(batches.damage)
        return records

    def _batches(self) -> dict[TopicPartition, _Entry]:
        return {tp: entry for tp, entry in self.entries.items() if isinstance(entry, _Entry)}

    def _drop(self, partition: TopicPartition) -> None:
        del self.entries[partition]
        self._on_drop()
