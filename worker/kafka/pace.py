"""How fast records are worked off while some wait: pure bookkeeping, no clock of its own.

Only stretches in which the worker was the limit count. If few records come, the rate at which they
are done says nothing about how long a thousand would take.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Pace"]

WINDOW = 15.0
"""Seconds of work over which the pace is averaged, at least."""

LONGEST = 120.0
"""Seconds at most: with few and slow batches the window reaches back to the last of them."""

PROGRESSES = 3
"""Stretches with progress that the window reaches back to."""

REMEMBERED = 2.0
"""Seconds of work that the pace of an earlier backlog counts for in the next one."""

PATIENCE = 10.0
"""Seconds without any progress after which a pace that was never known counts as zero."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    seconds: float
    done: float


class Pace:
    """The pace of the present backlog, or of the last one."""

    def __init__(self) -> None:
        # Of one backlog, oldest first; of an earlier one a single stretch of `REMEMBERED` is left.
        self._stretches: deque[_Stretch] = deque()
        self._best = 0.0

    def note(self, seconds: float, done: int, left: int) -> None:
        """Take note of a stretch of time.

        Args:
            seconds: its length.
            done: records done in it.
            left: records left at its end.
        """
        if seconds <= 0:
            return
        self._best = max(self._best, done / seconds)
        if left > 0 and left >= done:
            self._stretches.append(_Stretch(seconds, done))
            self._shorten()
        elif (rate := self._average()) is not None:
            # The backlog is over: what came at its end was too little to be a measure.
            self._stretches = deque([_Stretch(REMEMBERED, rate * REMEMBERED)])

    @property
    def rate(self) -> float | None:
        """Records per second; 0 if none is done although some wait; None if that is not known."""
        rate = self._average()
        if rate is None or (rate == 0 and self._seconds() < PATIENCE):
            # No backlog has been seen at work yet: the worker is at least this fast.
            return self._best or None
        return rate

    def _average(self) -> float | None:
        seconds = self._seconds()
        return sum(each.done for each in self._stretches) / seconds if seconds else None

    def _seconds(self) -> float:
        return sum(each.seconds for each in self._stretches)

    def _shorten(self) -> None:
        """Drop what is older than the window."""
        seconds = self._seconds()
        progresses = sum(each.done > 0 for each in self._stretches)
        while len(self._stretches) > 1:
            oldest = self._stretches[0]
            seconds -= oldest.seconds
            progresses -= oldest.done > 0
            if seconds < WINDOW or (progresses < PROGRESSES and seconds < LONGEST):
                return
            self._stretches.popleft()
