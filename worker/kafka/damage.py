"""What can be wrong with what a broker stores, and what an operator does about it.

Two kinds. *Damage* is the broker's: a wrong checksum, a batch that is not whole. Another replica or
a later answer may be right, so nothing is stepped over; the partition waits. *Unreadable content*
is the producer's: it is stored as it was sent and stays as it is, so each of its records is
answered with an error and others go on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from aiokafka import TopicPartition

__all__ = ["BeyondError", "ContentError", "Damage", "DamageError", "TooLargeError"]


class ContentError(Exception):
    """What a batch contains cannot be read, now or later; the message says why."""


class TooLargeError(ContentError):
    """It inflates beyond the limit."""


class DamageError(Exception):
    """A partition cannot be read any further for now; the message says why."""


class BeyondError(DamageError):
    """A batch lies beyond the partition's end, as the broker told it with that batch.

    No damage as a rule: a broker looks where the end is before it reads, and appends go on.
    """


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a partition cannot be read any further.

    Attributes:
        offset: the first offset that cannot be read.
        follows: the offset where reading can go on, if the damage left that legible.
        why: what is wrong.
        doubtful: whether the next answer may well be right.
    """

    partition: TopicPartition
    offset: int
    follows: int | None
    why: str
    doubtful: bool = False

    @property
    def remedy(self) -> str:
        """What an operator does about it."""
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
