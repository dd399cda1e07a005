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
"""Seconds that the first records of a backlog may take before it counts that none is done."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    seconds: float
    done: float


class Pace:
    """The pace of the present backlog, or of the last one."""

    def __init__(self) -> None:
        # Of one backlog, oldest first; of an earlier one a single stretch of `REMEMBERED` is left.
        self._stretches: deque[_Stretch] = deque()
        # Seconds since the backlog began, until its first records are done; None after that.
        self._filling: float | None = 0.0
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
        stretch = _Stretch(seconds, done)
        if left == 0 or left < done:
            # The backlog is over: what came at its end was too little to be a measure.
            if (rate := self._average()) is not None:
                self._stretches = deque([_Stretch(REMEMBERED, rate * REMEMBERED)])
            self._filling = 0.0
        elif self._filling is None:
            self._stretches.append(stretch)
            self._shorten()
        else:
            self._fill(stretch)

    @property
    def rate(self) -> float | None:
        """Records per second; 0 if none is done although some wait; None if that is not known."""
        rate = self._average()
        # Before any backlog was measured, the worker is as fast as it has been seen, at least.
        return (self._best or None) if rate is None else rate

    def _fill(self, stretch: _Stretch) -> None:
        """Leave out the beginning of a backlog, in which the stages fill one after another."""
        self._filling = (self._filling or 0.0) + stretch.seconds
        if stretch.done:
            self._filling = None
        elif self._filling >= PATIENCE:
            self._stretches.append(_Stretch(self._filling, 0.0))
            self._filling = None

    def _average(self) -> float | None:
        seconds = self._seconds()
        return sum(each.done for each in self._stretches) / seconds if seconds else None

    def _seconds(self) -> float:
        return sum(each.seconds for each in self._stretches)

    def _shorten(self) -> None:
        """Drop what is older than the window."""
        seconds = self._seconds()
        progresses = sum(each.done > 0 for each in self._stretches)
        dropped = 0
        for count, stretch in enumerate(self._stretches, start=1):
            seconds -= stretch.seconds
            progresses -= stretch.done > 0
            if seconds < WINDOW or (progresses < PROGRESSES and seconds < LONGEST):
                break
            # From one batch's end to another's: with a batch at both ends it would be one too many.
            if stretch.done or seconds >= LONGEST:
                dropped = count
        for _ in range(dropped):
            self._stretches.popleft()
