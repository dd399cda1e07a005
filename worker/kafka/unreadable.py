"""Which partitions cannot be read any further, from when on, and until when."""

from __future__ import annotations

import structlog
from aiokafka import TopicPartition

from worker.kafka.damage import Damage

__all__ = ["Unreadable"]

log = structlog.get_logger(__name__)


class Unreadable(dict[TopicPartition, Damage]):
    """The damage of each partition of an assignment that is known to have one.

    Args:
        patience: seconds for which a broker may send nothing of what it has.
    """

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience
        self._withheld: dict[TopicPartition, float] = {}
        self._doubted: dict[TopicPartition, int] = {}

    def forget(self) -> None:
        """Begin anew, with another assignment."""
        self.clear()
        self._withheld.clear()
        self._doubted.clear()

    def note(self, damage: Damage) -> None:
        """Keep it, and name it once."""
        known = self.get(damage.partition)
        self[damage.partition] = damage
        if known is None or known.offset != damage.offset:
            log.error(
                "partition_unreadable",
                topic=damage.partition.topic,
                partition=damage.partition.partition,
                offset=damage.offset,
                error=damage.why,
                remedy=damage.remedy,
            )

    def doubt(self, damage: Damage) -> bool:
        """Whether it is seen for the first time there, and so may be none."""
        first = self._doubted.get(damage.partition) != damage.offset
        self._doubted[damage.partition] = damage.offset
        return first

    def heal(self, partition: TopicPartition, position: int) -> None:
        """Forget the damage of a partition that is read elsewhere: behind it, or from 0 again."""
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
        """Whether a broker has sent nothing of what it has for too long.

        A damaged length makes a batch end nowhere: then it sends nothing, and no error.

        Args:
            missing: whether it should have sent something this time, and did not.
            now: seconds.
        """
        if not missing:
            self._withheld.pop(partition, None)
            return False
        return now - self._withheld.setdefault(partition, now) >= self._patience
