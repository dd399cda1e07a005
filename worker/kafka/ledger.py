"""Which offset of one partition may be committed: pure bookkeeping, no I/O, no clock.

There is one ledger for each assignment of a partition. Jobs finish in any order. What may be
committed is the end of the settled prefix, so a crash can only repeat jobs, never skip one. The
idea follows Jeffail/checkpoint's uncapped checkpointer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Ledger"]

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    timestamp_ms: int
    settled: bool = False
    payload: T | None = None


class Ledger(Generic[T]):
    """Tracks the polled offsets of one partition, in offset order, until each is settled.

    Only polled offsets count: gaps from compaction or transaction markers need no settling, and
    `advance_to` skips those at the end. `T` is what the caller attaches to a settled offset:
    nothing for at-least-once delivery; for a transactional publisher the messages to publish
    together with the offset.
    """

    __slots__ = ("_closed", "_entries", "_first", "_last", "_position", "_settled")

    def __init__(self) -> None:
        # Invariant: keys ascend, and the first entry, if any, is not settled: it ends the prefix.
        self._entries: OrderedDict[int, _Entry[T]] = OrderedDict()
        # Invariant: None until an offset settles or is skipped; afterwards it never decreases.
        self._position: int | None = None
        self._first: int | None = None
        self._last: int | None = None
        self._settled = 0
        self._closed = False

    def track(self, offset: int, timestamp_ms: int = 0) -> None:
        """Take note of a polled record.

        Args:
            timestamp_ms: the record's timestamp, for `oldest_timestamp_ms`.

        Raises:
            ValueError: the offset is not above the last one tracked, or the ledger is closed. In
                both cases a commit could skip a job.
        """
        if self._closed:
            raise ValueError("the ledger is closed: its partition was released")
        if self._last is not None and offset <= self._last:
            raise ValueError(f"offset {offset} does not follow {self._last}")
        self._last = offset
        if self._first is None:
            self._first = offset
        self._entries[offset] = _Entry(timestamp_ms)

    def settle(self, offset: int, payload: T | None = None) -> list[tuple[int, T | None]]:
        """Mark a tracked offset as done.

        After `close` this does nothing: a job that finishes late is delivered again to the next
        owner.

        Returns:
            The offsets that joined the settled prefix, in order, each with its payload.

        Raises:
            KeyError: the offset is not outstanding: it was never tracked, or is settled already.
        """
        if self._closed:
            return []
        entry = self._entries.get(offset)
        if entry is None or entry.settled:
            raise KeyError(offset)
        entry.settled, entry.payload = True, payload
        self._settled += 1
        released: list[tuple[int, T | None]] = []
        while self._entries:
            first, entry = next(iter(self._entries.items()))
            if not entry.settled:
                break
            del self._entries[first]
            self._settled -= 1
            released.append((first, entry.payload))
            self._position = first + 1
        return released

    def advance_to(self, offset: int) -> None:
        """Move the position forward to `offset`, before which no job is left.

        For offsets at the end of a partition that are no jobs: transaction markers, records of
        aborted transactions, and those that compaction or retention removed. Nothing happens while
        a tracked offset is not in the settled prefix, or after `close`.
        """
        if not self._closed and not self._entries:
            self._position = max(offset, self._position or 0)

    def close(self) -> None:
        """End the assignment. Later calls of `settle` do nothing; `position` can still be read."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether the partition was released."""
        return self._closed

    @property
    def position(self) -> int | None:
        """The offset to commit: one past the settled prefix; None when nothing is yet."""
        return self._position

    @property
    def first(self) -> int | None:
        """The first offset ever tracked; None before."""
        return self._first

    @property
    def last(self) -> int | None:
        """The last offset tracked; None before."""
        return self._last

    @property
    def outstanding(self) -> int:
        """Offsets tracked and not settled."""
        return len(self._entries) - self._settled

    @property
    def unreleased(self) -> int:
        """Offsets tracked that a restart would deliver again, settled or not."""
        return len(self._entries)

    @property
    def oldest_timestamp_ms(self) -> int | None:
        """Timestamp of the oldest unsettled record, epoch milliseconds; None when idle."""
        first = next(iter(self._entries.values()), None)
        return None if first is None else first.timestamp_ms
