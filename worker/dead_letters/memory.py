"""Which letters of a partition were replayed, in the few bytes that an offset's metadata may have.

A group commits an offset for each partition, and up to 4096 characters of metadata with it
(`offset.metadata.max.bytes` of the brokers). A replay with filters takes letters here and there, so
one offset is not enough, and a list of a million offsets would not fit. But letters never change.
So what is kept is how they were chosen: of the letters in these intervals, those that meet these
conditions were replayed. That is exact, and as short for a million letters as for one.

The committed offset itself says that everything before it was replayed, or is no longer there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Self

from worker.contract.letters import DeadLetter
from worker.dead_letters.filters import Conditions
from worker.dead_letters.intervals import Intervals
from worker.errors import WorkerError

__all__ = ["MAX_METADATA", "MemoryFullError", "PartitionProgress", "Replayed"]

MAX_METADATA = 4000
"""Most characters of metadata: brokers accept 4096 unless they are configured otherwise."""

MAX_INTERVALS = 1500
"""Intervals above which a list of them cannot fit: each has four characters at least."""

EVERY = Conditions()


class MemoryFullError(WorkerError):
    """What was replayed does not fit into an offset's metadata; the message says what to do."""


class Replayed:
    """The letters of one partition that were replayed.

    Args:
        parts: conditions, and the intervals in which every letter that meets them was replayed.
    """

    def __init__(self, parts: Iterable[tuple[Conditions, Intervals]] = ()) -> None:
        self._parts: dict[Conditions, Intervals] = {}
        for conditions, intervals in parts:
            known = self._parts.get(conditions, Intervals())
            self._parts[conditions] = known.united(intervals)

    def __contains__(self, letter: DeadLetter) -> bool:
        return any(
            letter.offset in intervals and conditions.match(letter)
            for conditions, intervals in self._parts.items()
        )

    def joined(self, conditions: Conditions, intervals: Intervals) -> Replayed:
        """Add letters.

        Returns:
            A new memory that has these as well.
        """
        return Replayed([*self._parts.items(), (conditions, intervals)])

    def position(self, begin: int) -> int:
        """Find the end of the prefix that was replayed as a whole.

        Args:
            begin: the partition's first offset; what is before it is no longer there.

        Returns:
            The offset after it.
        """
        every = self._parts.get(EVERY, Intervals()).united(Intervals([(0, begin)]))
        return every.pairs[0][1] if every.pairs and every.pairs[0][0] == 0 else 0

    def written(self, begin: int) -> tuple[int, str]:
        """Write it as an offset and its metadata.

        Args:
            begin: the partition's first offset; what is before it is forgotten.

        Returns:
            The offset to commit, and JSON; empty if the offset says all.
        """
        position = self.position(begin)
        kept = [
            (conditions, rest)
            for conditions, intervals in self._parts.items()
            if len(rest := intervals.from_offset(position))
        ]
        needed = [part for part in kept if not any(_exceeds(other, part) for other in kept)]
        parts = [[each.written(), intervals.written(position)] for each, intervals in needed]
        text = json.dumps({"replayed": parts}, separators=(",", ":")) if parts else ""
        return position, text

    @classmethod
    def read(cls, position: int, metadata: str) -> Self:
        """Read what `written` made.

        Args:
            position: the committed offset; -1 if there is none.

        Returns:
            The memory.

        Raises:
            ValueError: the metadata is something else.
        """
        if position < 0:
            return cls()
        parts = [(EVERY, Intervals([(0, position)]))]
        try:
            for written, text in json.loads(metadata)["replayed"] if metadata else ():
                parts.append((Conditions.read(written), Intervals.read(text, position)))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not written by a replay: {metadata[:80]!r}") from error
        return cls(parts)


class PartitionProgress:
    """What one replay has done in a partition, next to what earlier ones did.

    It is kept in two forms, and the shorter one is committed: the intervals in which every letter
    was replayed, and those in which every letter that meets the replay's conditions was.

    Args:
        before: what earlier replays did.
        begin: the partition's first offset.
        start: the first offset that this replay reads.
    """

    def __init__(self, before: Replayed, conditions: Conditions, begin: int, start: int) -> None:
        self.before = before
        self._conditions = conditions
        self._begin = begin
        self._next = start
        self._every: Intervals | None = Intervals()
        self._chosen = Intervals()

    def note(self, offset: int, *, done: bool, chosen: bool) -> None:
        """Note the next letter, in the order of their offsets. Offsets between are of no letters.

        Args:
            done: it was replayed, now or earlier, or never can be.
            chosen: if it meets the conditions, it is done.
        """
        start, self._next = self._next, offset + 1
        if done and self._every is not None:
            self._every.add(start, offset + 1)
            if len(self._every) > MAX_INTERVALS:
                self._every = None
        if done or chosen:
            self._chosen.add(start, offset + 1)

    def written(self) -> tuple[int, str]:
        """Write what this replay and earlier ones did.

        Returns:
            The offset to commit, and its metadata.

        Raises:
            MemoryFullError: it does not fit.
        """
        ways = [self.before.joined(self._conditions, self._chosen)]
        if self._every is not None:
            ways.append(self.before.joined(EVERY, self._every))
        position, text = min((way.written(self._begin) for way in ways), key=_length)
        if len(text) > MAX_METADATA:
            raise MemoryFullError(
                f"what was replayed takes {len(text)} characters to remember, and a group's offset "
                f"has room for {MAX_METADATA}: replay what is left without filters or purge up to "
                "a time, either of which shortens it; or name another --group, which begins with "
                "an empty memory and may replay letters again"
            )
        return position, text


def _exceeds(other: tuple[Conditions, Intervals], part: tuple[Conditions, Intervals]) -> bool:
    """Whether `other` says all that `part` says, and is not the same."""
    return other != part and part[0].imply(other[0]) and other[1].covers(part[1])


def _length(written: tuple[int, str]) -> int:
    return len(written[1])
