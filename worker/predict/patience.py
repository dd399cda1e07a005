"""Retries work that gets no memory: other work may free some."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import JobError, Reason
from worker.images.memory import raising_memory_errors
from worker.retry import SHORTAGES

__all__ = ["patiently"]

T = TypeVar("T")


def patiently(work: Callable[[], T], clock: Clock = SYSTEM_CLOCK) -> T:
    """Call `work`, and again after a pause while it gets no memory.

    Returns:
        What `work` returns.

    Raises:
        JobError: `UNAVAILABLE` when there was no memory for it, several times.
        Exception: whatever else `work` raises.
    """
    pauses, attempt = SHORTAGES.pauses(clock), 0
    while True:
        attempt += 1
        try:
            with raising_memory_errors():
                return work()
        except MemoryError:
            pass
        # Out of the block above, which holds on to what was allocated.
        if (pause := next(pauses, None)) is None:
            raise JobError(
                Reason.UNAVAILABLE,
                "there is no memory left for this image: free some, or read fewer at a time",
                transient=True,
                attempts=attempt,
            )
        clock.block(pause)
