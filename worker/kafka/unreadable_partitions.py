"""The partitions that cannot be read any further for now, and why."""

from __future__ import annotations

from aiokafka import TopicPartition

from worker.kafka.damage import Damage
from worker.logs import get_logger

__all__ = ["UnreadablePartitions"]

log = get_logger(__name__)


class UnreadablePartitions(dict[TopicPartition, Damage]):
    """The damage by partition, for one assignment.

    Args:
        patience: seconds for which a broker may send nothing although it has records.

    Attributes:
        noted: damages so far, over all assignments.
    """

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.noted = 0
        self._patience = patience
        self._withheld: dict[TopicPartition, float] = {}
        self._doubted: dict[TopicPartition, int] = {}

    def forget(self) -> None:
        """Forget everything, for a new assignment."""
        self.clear()
        self._withheld.clear()
        self._doubted.clear()

    def note(self, damage: Damage) -> None:
        """Keep a damage, and log it if it is new."""
        known = self.get(damage.partition)
        self[damage.partition] = damage
        if known is None or known.offset != damage.offset:
            self.noted += 1
            log.error(
                "partition_unreadable",
                topic=damage.partition.topic,
                partition=damage.partition.partition,
                offset=damage.offset,
                error=damage.why,
                remedy=damage.remedy,
            )

    def is_first_doubt(self, damage: Damage) -> bool:
        """Take note of a doubtful damage.

        Returns:
            Whether it is the first one at its offset: then it may be none.
        """
        first = self._doubted.get(damage.partition) != damage.offset
        self._doubted[damage.partition] = damage.offset
        return first

    def clear_passed(self, partition: TopicPartition, position: int) -> None:
        """Forget the damage of a partition that is read at another offset than the damaged one."""
        damage = self.get(partition)
        if damage is not None and damage.offset != position:
            del self[partition]
            log.info(
                "partition_readable_again",
                topic=partition.topic,
                partition=partition.partition,
                position=position,
            )

    def is_withheld(self, partition: TopicPartition, missing: bool, now: float) -> bool:
        """Take note of one answer of a broker.

        If the stored length of a batch is damaged, a broker sends no records and no error.

        Args:
            missing: whether the broker has records and did not send any.
            now: monotonic seconds.

        Returns:
            Whether records have been missing for `patience` seconds.
        """
        if not missing:
            self._withheld.pop(partition, None)
            return False
        return now - self._withheld.setdefault(partition, now) >= self._patience
