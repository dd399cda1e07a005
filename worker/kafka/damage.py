"""What can be wrong with stored records, and what an operator can do about it.

There are two kinds. *Damage* is the broker's: a wrong checksum, an incomplete batch. Another
replica or a later answer may be right, so nothing is skipped and the partition waits. *Unreadable
content* is the producer's: it was stored as it was sent and will not change. So each of its records
gets an error as its result, and the partition goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from aiokafka import TopicPartition

__all__ = ["BeyondEndError", "ContentError", "Damage", "DamageError", "TooLargeError"]


class ContentError(Exception):
    """The contents of a batch cannot be read, now or later; the message says why."""


class TooLargeError(ContentError):
    """A batch inflates to more than the limit."""


class DamageError(Exception):
    """A partition cannot be read any further for now; the message says why."""


class BeyondEndError(DamageError):
    """A batch is beyond the partition's end that came in the same answer.

    Usually this is no damage: a broker determines the end before it reads, and records may be
    appended in between.
    """


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a partition cannot be read any further.

    Attributes:
        offset: the first offset that cannot be read.
        follows: the offset at which reading can go on; None if the damage hides it.
        why: what is wrong.
        doubtful: whether it may be none: the next answer may be right.
    """

    partition: TopicPartition
    offset: int
    follows: int | None
    why: str
    doubtful: bool = False

    @property
    def remedy(self) -> str:
        """What an operator can do about it."""
        topic, number = self.partition
        beyond = self.offset + 1 if self.follows is None else self.follows
        records = {
            "version": 1,
            "partitions": [{"topic": topic, "partition": number, "offset": beyond}],
        }
        guess = " (or a later offset: the damage hides where it ends)" * (self.follows is None)
        return (
            "restore the partition from another replica; or give the records up: kafka-delete-"
            f"records.sh --offset-json-file FILE with {json.dumps(records)} in FILE{guess}"
        )

    def __str__(self) -> str:
        topic, number = self.partition
        place = f"partition {number} of topic {topic}"
        return f"{place} cannot be read at offset {self.offset}: {self.why}"
