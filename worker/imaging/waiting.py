"""Calls that no process has yet, and which of them is next. No I/O."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator

from worker.errors import Stage
from worker.imaging.call import Call, LostError
from worker.imaging.crops import CropCells

__all__ = ["WaitingCalls"]


class WaitingCalls:
    """Calls of any process, the most urgent first, and calls that must be alone in one.

    Args:
        cells: a call that makes a crop waits until there is one for it.
    """

    def __init__(self, cells: CropCells) -> None:
        self._cells = cells
        self._alone: deque[Call] = deque()
        # Those that need no cell, or have theirs: they make up for what was lost.
        self._makeup: deque[Call] = deque()
        self._urgent: list[tuple[float, int, Call]] = []

    def __iter__(self) -> Iterator[Call]:
        """All that are still wanted."""
        urgent = (call for _, _, call in self._urgent)
        return (call for call in (*self._alone, *self._makeup, *urgent) if call.wanted)

    def add(self, call: Call) -> None:
        """Take in a call."""
        if call.alone:
            self._alone.append(call)
        elif call.needs_cell:
            heapq.heappush(self._urgent, (call.urgency, call.number, call))
        else:
            self._makeup.append(call)

    def add_again(self, call: Call) -> None:
        """Take in a call that a process had, but did not begin; it goes first.

        One that draws fails: the picture is gone with the process.
        """
        if not call.wanted:
            self.free_cell(call)
        elif call.stage is Stage.DRAW:
            call.settle(error=LostError())
        elif call.alone:
            self._alone.appendleft(call)
        elif call.needs_cell and call.cell is None:
            heapq.heappush(self._urgent, (-math.inf, call.number, call))
        else:
            self._makeup.append(call)

    @property
    def has_alone(self) -> bool:
        """Whether there may be a call that must be alone in a process."""
        return bool(self._alone)

    @property
    def has_next(self) -> bool:
        """Whether there may be a call that any process may have now."""
        return bool(self._makeup) or (bool(self._urgent) and self._cells.available)

    def next(self) -> Call | None:
        """Take the next call that any process may have; None if there is none now."""
        if self._makeup:
            return self._makeup.popleft()
        while self._urgent and self._cells.available:
            call = heapq.heappop(self._urgent)[2]
            if call.wanted:
                call.cell = self._cells.take()
                return call
        return None

    def next_alone(self) -> Call | None:
        """Look at the next call that must be alone; None if there is none now."""
        while self._alone and not self._alone[0].wanted:
            self.free_cell(self._alone.popleft())
        if not self._alone:
            return None
        return self._alone[0] if self.have_cell(self._alone[0]) else None

    def take_alone(self) -> Call:
        """Take what `next_alone` has shown.

        Returns:
            The call.
        """
        return self._alone.popleft()

    def withdraw(self, call: Call) -> None:
        """Forget a call; those in the other queues are skipped when their turn comes."""
        if call in self._makeup:
            self._makeup.remove(call)
            self.free_cell(call)

    def have_cell(self, call: Call) -> bool:
        """Take a cell for a call, if it needs one and has none.

        Returns:
            Whether it has what it needs.
        """
        if call.needs_cell and call.cell is None:
            if not self._cells.available:
                return False
            call.cell = self._cells.take()
        return True

    def free_cell(self, call: Call) -> None:
        """Have the cell of a call used again, if it has one."""
        if call.cell is not None:
            self._cells.give_back(call.cell)
            call.cell = None
