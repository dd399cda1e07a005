"""Kafka records as plain values: one that was read, and one to publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Headers", "Message", "Record", "record_id"]

Headers = Sequence[tuple[str, bytes]]
"""Kafka record headers: an ordered multimap."""


def record_id(topic: str, partition: int, offset: int) -> str:
    """Name a record by its place.

    Returns:
        `topic-partition-offset`, the same for every delivery of the record.
    """
    return f"{topic}-{partition}-{offset}"


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read, free of any client library's types.

    Attributes:
        timestamp_ms: the record's timestamp, milliseconds since the epoch; -1 if it has none.
        unreadable: why the record cannot be read; None if it can. Of an unreadable record only the
            position is certain; key and value are there if they could be read.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    unreadable: str | None = None

    @property
    def id(self) -> str:
        """`topic-partition-offset`, the same for every delivery of the record."""
        return record_id(self.topic, self.partition, self.offset)

    @property
    def size(self) -> int:
        """Bytes of key, value and headers held in memory."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value or b"")
        return size


@dataclass(frozen=True, slots=True)
class Message:
    """A record to publish, without its topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes of key, value and headers, without the few that the protocol adds."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name.encode()) + len(value or b"")
        return size
