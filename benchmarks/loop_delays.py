"""How long event loops are kept waiting: one that is measured, and one that has nothing to do.

The delays of the one that has nothing to do are the machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.bench.child import Child

__all__ = ["LoopDelays", "idle_loop"]


class LoopDelays:
    """The longest of an event loop's delays at several looks.

    Args:
        ask: gives the longest delay of the last seconds, in seconds, as a worker's metrics have it.
    """

    def __init__(self, ask: Callable[[], float]) -> None:
        self._ask = ask
        self._longest = 0.0

    def look(self) -> None:
        """Ask once more."""
        self._longest = max(self._longest, self._ask())

    @property
    def longest_ms(self) -> float:
        """The longest delay that was seen."""
        return self._longest * 1000


@contextmanager
def idle_loop() -> Iterator[LoopDelays]:
    """Run an event loop in a process of its own while the block runs.

    Yields:
        Its delays.
    """
    with Child("worker.bench.idle_loop_process") as child:
        child.answer()

        def ask() -> float:
            child.ask()
            lag: float = child.answer()["lag"]
            return lag

        yield LoopDelays(ask)
