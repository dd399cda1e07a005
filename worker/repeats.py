"""Which of repeated messages are told: brokers that are gone must not fill the log."""

from __future__ import annotations

from collections.abc import Hashable

from worker.clock import SYSTEM_CLOCK, Clock

__all__ = ["Repeats"]

PAUSE = 10.0
"""Seconds between two messages that say the same."""

MOST = 1000
"""Messages remembered; of more than that the ones told longest ago are forgotten."""


class Repeats:
    """Lets each message through once in a while.

    Args:
        pause: seconds, after a message was told, in which its repetitions are left out.
    """

    def __init__(self, pause: float = PAUSE, clock: Clock = SYSTEM_CLOCK) -> None:
        self._pause = pause
        self._clock = clock
        self._told: dict[Hashable, float] = {}
        self._left_out: dict[Hashable, int] = {}

    def admit(self, message: Hashable) -> int | None:
        """Decide whether to tell a message.

        Returns:
            How many of the same were left out since the last one told; None to leave this one out
            too.
        """
        now = self._clock.monotonic()
        told = self._told.get(message)
        if told is not None and now - told < self._pause:
            self._left_out[message] = self._left_out.get(message, 0) + 1
            return None
        self._told.pop(message, None)
        self._told[message] = now  # the last one: they are in the order in which they were told
        if len(self._told) > MOST:
            oldest = next(iter(self._told))
            del self._told[oldest]
            self._left_out.pop(oldest, None)
        return self._left_out.pop(message, 0)
