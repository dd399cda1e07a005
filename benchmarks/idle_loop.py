"""How long an event loop that has nothing to do is kept waiting: the machine's part of a delay."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from worker.bench.child import Child

__all__ = ["IdleLoop"]


class IdleLoop:
    """An event loop in a process of its own; a context manager that ends it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._longest = 0.0

    def __enter__(self) -> Self:
        self._child = self._stack.enter_context(Child("worker.bench.idle_loop_process"))
        self._child.answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def look(self) -> None:
        """Ask for the longest delay of the last seconds, as a worker's metrics have it."""
        self._child.ask()
        self._longest = max(self._longest, self._child.answer()["lag"])

    @property
    def longest_ms(self) -> float:
        """The longest delay that was seen."""
        return self._longest * 1000
