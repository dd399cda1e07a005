"""Work that gets no memory is tried again: whoever has it may give it back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from worker.errors import JobError, Reason
from worker.images.memory import raising_memory_errors
from worker.images.threads import PAUSES

__all__ = ["patiently"]

T = TypeVar("T")


def patiently(work: Callable[[], T]) -> T:
    """What `work` returns.

    Raises:
        JobError: `UNAVAILABLE` when there was no memory for it, several times. Besides, whatever
            `work` raises.
    """
    for pause in (*PAUSES, 0.0):
        try:
            with raising_memory_errors():
                return work()
        except MemoryError:
            pass
        # Out of the block above, which holds on to what was allocated.
        time.sleep(pause)
    raise JobError(
        Reason.UNAVAILABLE,
        "there is no memory left for this image: free some, or read fewer at a time",
        transient=True,
        attempts=len(PAUSES) + 1,
    )
