"""How long an event loop that has nothing to do is kept waiting: the machine's part of a delay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from worker.bench.child import Child

__all__ = ["IdleLoop", "idle_loop"]


@contextmanager
def idle_loop() -> Iterator[IdleLoop]:
    """Run an event loop in a process of its own while the block runs.

    Yields:
        The loop.
    """
    with Child("worker.bench.idle_loop_process") as child:
        child.answer()
        yield IdleLoop(child)


class IdleLoop:
    """An event loop that has nothing to do, in the process that is given."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def longest_delay(self) -> float:
        """Ask for the longest delay of the last seconds, as a worker's metrics have it.

        Returns:
            Seconds.
        """
        self._child.ask()
        seconds: float = self._child.answer()["lag"]
        return seconds
