"""Keeps to a number of records a second."""

from __future__ import annotations

from worker.clock import SYSTEM_CLOCK, Clock

__all__ = ["Pace"]


class Pace:
    """Waits before a batch for as long as the ones before it have taken too little time.

    Args:
        rate: most records a second; None for no limit.
        clock: measures, and waits.
    """

    def __init__(self, rate: float | None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._rate = rate
        self._clock = clock
        # When the next record may go.
        self._due = clock.monotonic()

    def batch_size(self, most: int) -> int:
        """Choose the size of batches: about a second's records, so that none comes in bursts.

        Returns:
            At least 1 and at most `most`.
        """
        return most if self._rate is None else max(1, min(most, int(self._rate)))

    async def wait(self, count: int) -> None:
        """Wait until `count` more records may go. Time that was not used is not saved up."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        if self._due > now:
            await self._clock.sleep(self._due - now)
        self._due = max(self._due, now) + count / self._rate
