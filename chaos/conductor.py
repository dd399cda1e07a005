"""Lets the faults of a schedule happen when their time has come."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from chaos.environment import Environment
from chaos.faults import Nothing, execute
from chaos.schedule import Fault

__all__ = ["Conductor"]

AT_ONCE = 3
"""Most faults that go on at the same time."""

PATIENCE = 15.0
"""Seconds without another job done after which the next fault happens although it is not due yet:
the jobs that it waits for may not be sent before an earlier fault is over."""


class Conductor:
    """Plays a schedule.

    When a fault happens is a matter of the jobs that are done, not of time, so that a slow machine
    has the same faults among the same jobs.

    Attributes:
        over: how many faults happened.
        counts: of the faults that happened, by kind.
        nothing: of the faults that had nothing to act on, by kind.
    """

    def __init__(self, schedule: Sequence[Fault], on: Environment) -> None:
        self._waiting = deque(schedule)
        self._on = on
        self._running: dict[asyncio.Task[None], Fault] = {}
        self.over = 0
        self.counts: Counter[str] = Counter()
        self.nothing: Counter[str] = Counter()

    async def play(self, tell: Callable[[str], None]) -> None:
        """Play it to its end.

        Args:
            tell: called with the names of the faults that go on.

        Raises:
            DemoError: what a fault ended did not come up again.
        """
        traffic = self._on.traffic
        done, since = -1, time.monotonic()
        try:
            while self._waiting or self._running:
                if traffic.done != done:
                    done, since = traffic.done, time.monotonic()
                stalled = time.monotonic() - since > PATIENCE
                while self._waiting and len(self._running) < AT_ONCE:
                    if self._waiting[0].at > traffic.done and not stalled:
                        break
                    stalled = False
                    self._begin(self._waiting.popleft())
                await traffic.wait(0.2)
                self._finish()
                tell(", ".join(sorted(fault.kind for fault in self._running.values())))
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self, fault: Fault) -> None:
        task = asyncio.create_task(execute(fault, self._on), name=fault.kind)
        self._running[task] = fault

    def _finish(self) -> None:
        for task in [task for task in self._running if task.done()]:
            fault = self._running.pop(task)
            self.over += 1
            try:
                task.result()
            except Nothing:
                self.nothing[fault.kind] += 1
            else:
                self.counts[fault.kind] += 1
