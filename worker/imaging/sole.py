"""Calls that are tried while no other is, since all processes were lost as they ran. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from worker.imaging.call import Call, DiedError, LostError

if TYPE_CHECKING:
    from worker.imaging.process import ImageProcess

__all__ = ["Losses", "SoleCalls"]

MOST_SHARED = 2
"""How often all processes may be lost as a call runs before it is tried while no other is."""

MOST_SOLE = 2
"""How often they may be lost then before it has the blame. More than once: the process that forks
can be killed from outside, too."""


class Losses:
    """Counts for one image how often the process that forks was lost as its call ran."""

    def __init__(self) -> None:
        self._count = 0

    @property
    def sole(self) -> bool:
        """Whether its next call is to be tried while no other is."""
        return self._count >= MOST_SHARED

    def note(self) -> None:
        """Take note of a loss.

        Raises:
            DiedError: no other call was to blame.
        """
        self._count += 1
        if self._count >= MOST_SHARED + MOST_SOLE:
            raise DiedError("parent", "it ends the process that forks those that decode")


class SoleCalls:
    """The calls that must be the only one, in their order, and the one that is."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Call, ImageProcess | None]] = deque()
        self._running = False

    def __iter__(self) -> Iterator[Call]:
        """All that are still wanted, without the one that runs."""
        return (call for call, _ in self._waiting if call.wanted)

    def add(self, call: Call, holder: ImageProcess | None) -> None:
        """Take in a call.

        Args:
            holder: the process that must do it, if it matters.
        """
        self._waiting.append((call, holder))

    def add_again(self, call: Call) -> None:
        """Take in a call that a process had and did not begin."""
        self._waiting.appendleft((call, None))

    def next(self, *, quiet: bool) -> tuple[Call, ImageProcess | None] | None:
        """Look at the next call.

        Args:
            quiet: whether no process has any call.

        Returns:
            The call and its holder; None if there is none now.
        """
        self._running = self._running and not quiet
        while self._waiting:
            call, holder = self._waiting[0]
            if call.wanted and (holder is None or not holder.closed):
                return (call, holder) if quiet else None
            call.settle(error=LostError())
            self._waiting.popleft()
        return None

    def begin(self) -> None:
        """Take what `next` has shown: it runs from now on."""
        self._waiting.popleft()
        self._running = True

    @property
    def hold_others(self) -> bool:
        """Whether no other call may begin now."""
        return self._running or bool(self._waiting)
