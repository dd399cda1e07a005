"""Calls that last long: they cost their process its place, and are given up in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from worker.clock import Clock
from worker.imaging.fleet import Fleet
from worker.imaging.process import ImageProcess, Role
from worker.imaging.waiting import WaitingCalls

__all__ = ["MOST_ASIDE", "SlowCalls"]

ASIDE_AFTER = 1.0
"""Seconds after which the others wait for a call no longer."""

MOST_ASIDE = 4
"""Processes that may be aside for each regular one."""

GIVE_WAY_AFTER = 10.0
"""Seconds after which a call that is aside is ended for another, if no more may be aside. It is
tried again alone, with all its time."""

TICK = 0.2
"""Seconds between two looks at how long calls last."""


class SlowCalls:
    """Looks at how long the calls of image processes last; for one event loop.

    Args:
        count: processes that take calls.
        timeout: seconds after which a call is given up.
        waiting: takes in the calls that a process which is put aside has not begun.
        number: makes a number for a call.

    Attributes:
        timer: of the next look; None while there is nothing to look at.
        on_change: called when there may be another process to give calls to.
    """

    def __init__(
        self,
        count: int,
        timeout: float,
        fleet: Fleet,
        waiting: WaitingCalls,
        number: Callable[[], int],
        clock: Clock,
    ) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self.on_change: Callable[[], None] = lambda: None
        self._count = count
        self._timeout = timeout
        self._fleet = fleet
        self._waiting = waiting
        self._number = number
        self._clock = clock
        self._stopped = False

    def watch(self) -> None:
        """Begin to look, until no process has a call; not while `timer` runs."""
        self.timer = asyncio.get_running_loop().call_later(TICK, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self.timer is not None:
            self.timer.cancel()

    def _look(self) -> None:
        self.timer = None
        now = self._clock.monotonic()
        busy = [process for process in self._fleet if process.calls]
        for process in busy:
            if not process.calls:
                continue  # lost meanwhile
            lasts = now - process.since
            if lasts >= self._timeout:
                self._fleet.kill(process, "timeout")
            elif lasts >= ASIDE_AFTER and process.role in (Role.REGULAR, Role.SURPLUS):
                self._put_aside(process)
        waits = self._fleet.check()
        if (busy or waits) and not self._stopped:
            self.watch()

    def _put_aside(self, process: ImageProcess) -> None:
        if self._fleet.in_role(Role.ASIDE) >= MOST_ASIDE * self._count:
            self._make_room_aside()
            return
        self._fleet.put_aside(process)
        for call in list(process.calls)[1:]:
            process.send({"withdraw": call.number})
            # What has its number stays with this process, and keeps its cell until that is done.
            elsewhere = replace(call, number=self._number(), lane=-1, cell=None)
            call.withdrawn = True
            self._waiting.add_again(elsewhere)
        for call in process.draws:
            self._waiting.add_again(call)
        process.draws.clear()
        self.on_change()

    def _make_room_aside(self) -> None:
        aside = (one for one in self._fleet if one.role is Role.ASIDE and one.calls)
        longest = min(aside, key=lambda one: one.since, default=None)
        if longest and self._clock.monotonic() - longest.since >= GIVE_WAY_AFTER:
            self._fleet.kill(longest, "timeout")
