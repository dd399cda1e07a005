"""When to try again: one policy for everything that may fail for a while.

Fetching, publishing, slot restarts, downloads and polling differ in their numbers alone. Each owner
keeps its own loop, since each has more to do between two attempts than wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from worker.clock import SYSTEM_CLOCK, Clock

__all__ = ["SHORTAGES", "Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to wait after each failure in a row, and when to give up.

    Attributes:
        first: seconds before the second attempt.
        longest: seconds between two attempts at most.
        factor: by which each pause is longer than the one before.
        jitter: whether a pause is drawn evenly between 0 and its bound, so that what failed
            together does not come back together (AWS Architecture Blog, "Exponential Backoff And
            Jitter").
        attempts: most attempts, the first one included; None is without end.
        patience: seconds after the first failure in which further attempts begin; None is without
            end.
    """

    first: float
    longest: float
    factor: float = 2.0
    jitter: bool = False
    attempts: int | None = None
    patience: float | None = None

    def pauses(self, clock: Clock = SYSTEM_CLOCK) -> Iterator[float]:
        """The pauses after the failures of one operation, one at a time.

        Ask for the next one after each failure, and for a new iterator after a success.

        Returns:
            Seconds to wait before the next attempt. The iterator ends when there is none.
        """
        most = math.inf if self.attempts is None else self.attempts
        patience = math.inf if self.patience is None else self.patience
        began, elapsed, failures = clock.monotonic(), 0.0, 1
        bound = min(self.first, self.longest)
        while failures < most and elapsed <= patience:
            yield clock.uniform(0.0, bound) if self.jitter else bound
            elapsed = clock.monotonic() - began
            failures += 1
            bound = min(bound * self.factor, self.longest)


SHORTAGES = Retry(first=0.1, longest=3.0, factor=10**0.5, attempts=5)
"""When work that got no memory is tried again: after 0.1, 0.3, 1 and 3 seconds. Whatever holds the
memory mostly frees it in less than a second."""
