"""A set of offsets as disjoint intervals, and its compact text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Self

__all__ = ["Intervals"]


class Intervals:
    """Offsets, kept as half-open intervals in ascending order that neither overlap nor touch."""

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in intervals:
            self.add(start, end)

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._starts, offset) - 1
        return at >= 0 and offset < self._ends[at]

    def __len__(self) -> int:
        """The number of intervals."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self.pairs == other.pairs

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The intervals, each as its first offset and the offset after its last."""
        return list(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        """Add the offsets from `start` up to but not including `end`."""
        if start >= end:
            return
        # Those that overlap the new one, or touch it.
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def united(self, other: Intervals) -> Intervals:
        """Unite two sets.

        Returns:
            A new set with the offsets of both.
        """
        return Intervals([*self.pairs, *other.pairs])

    def covers(self, other: Intervals) -> bool:
        """Tell whether each offset of `other` is in this set."""
        return all(self._covers(start, end) for start, end in other.pairs)

    def _covers(self, start: int, end: int) -> bool:
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]

    def from_offset(self, begin: int) -> Intervals:
        """Leave out what is before an offset.

        Returns:
            A new set with the offsets from `begin` on.
        """
        return Intervals((max(start, begin), end) for start, end in self.pairs if end > begin)

    def written(self, base: int) -> str:
        """Write the set as text, as `GAP+LENGTH` for each interval.

        Args:
            base: no later than the first offset; the first gap is counted from there.

        Returns:
            For example `5+1,2+10` for base 100: offset 105, and the ten from 108 on.
        """
        parts = []
        for start, end in self.pairs:
            parts.append(f"{start - base}+{end - start}")
            base = end
        return ",".join(parts)

    @classmethod
    def read(cls, text: str, base: int) -> Self:
        """Read what `written` made.

        Returns:
            The set.

        Raises:
            ValueError: it is no such text.
        """
        made = cls()
        for part in text.split(",") if text else ():
            gap, _, length = part.partition("+")
            start = base + int(gap)
            base = start + int(length)
            if int(gap) < 0 or int(length) <= 0:
                raise ValueError(part)
            made.add(start, base)
        return made
